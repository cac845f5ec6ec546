"""Files of a fit: interrupted ones go on to the last bit, saved models are the fitted, nothing is lost by mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
from ase.io import write
from fits import COPPER, SPEC, emt_labelled

import acegen
from acegen.basis.radial import radial_matrix
from acegen.cli.main import main
from acegen.errors import InputError, SpecError
from acegen.fitting.fitted import Fitted, partial_of
from acegen.inputs import read_input
from acegen.spec.read import read_spec


@pytest.fixture(scope="module")
def spec_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fit") / "cuau.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def copper(tmp_path: Path) -> Path:
    """A specification of few functions, well determined by a dozen structures."""
    path = tmp_path / "cu.yaml"
    path.write_text(COPPER)
    return path


@pytest.fixture(scope="module")
def frames() -> list[ase.Atoms]:
    return [emt_labelled(k, "Cu3Au" if k % 2 else "Cu2Au2") for k in range(14)]


@pytest.fixture(scope="module")
def fitted(spec_file: Path, frames: list[ase.Atoms]) -> Fitted:
    return acegen.fit(spec_file, frames[:10], frames[10:])


def test_saved_model_is_the_fitted_one(fitted: Fitted, frames: list[ase.Atoms], tmp_path: Path) -> None:
    files = fitted.save(tmp_path / "model")
    assert [file.name for file in files] == ["model.yaml", "model.npz", "model.json"]
    assert sorted(os.listdir(tmp_path)) == sorted(file.name for file in files)
    loaded = acegen.load(files[0])
    mine, again = fitted.model.evaluate(frames), loaded.evaluate(frames)
    np.testing.assert_allclose(again.energy, mine.energy, rtol=1e-12)
    np.testing.assert_allclose(again.forces, mine.forces, rtol=0, atol=1e-12 * np.abs(mine.forces).max())
    assert files[0].read_text().startswith("# copper and gold, the smallest that is not trivial\nelements: [Cu, Au]\n")
    report = json.loads(files[2].read_text())
    assert report["errors"]["test"][-1]["n_structures"] == 4 and report["warnings"] == []
    with np.load(files[1]) as arrays:
        assert arrays["committee_0"].shape == (8, len(fitted.weights[0]))
        assert arrays["active_set_inverse_1"].shape == (len(fitted.weights[1]),) * 2


def test_the_same_fit_writes_the_same_bytes(spec_file: Path, frames: list[ase.Atoms], tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        found = acegen.fit(spec_file, frames, holdout=0.2, seed=3)
        written.append([file.read_bytes() for file in found.save(tmp_path / name / "model.yaml")])
    assert written[0] == written[1]


class Interrupted(Exception):
    """Raised by the progress of a fit that is to stop."""


@pytest.mark.parametrize("after", [1, 4])
def test_interrupted_fit_goes_on_to_the_same_bits(
    spec_file: Path, frames: list[ase.Atoms], tmp_path: Path, after: int
) -> None:
    """Stopped after a number of structures, the second call begins there and ends as if nothing had happened."""
    partial = tmp_path / "model.partial"
    choices: dict[str, Any] = {"block_bytes": 1, "save_every": 0.0, "active_set": False}

    def stop(text: str, fraction: float) -> None:
        if text == f"rows of structure {after + 1} of 6":
            raise Interrupted

    with pytest.raises(Interrupted):
        acegen.fit(spec_file, frames[:6], partial=partial, progress=stop, **choices)
    told: list[str] = []
    resumed = acegen.fit(spec_file, frames[:6], partial=partial, progress=lambda text, _: told.append(text), **choices)
    assert f"resumed from {partial}: {after} of 6 structures done" in told
    assert next(text for text in told if text.startswith("rows")) == f"rows of structure {after} of 6"
    whole = acegen.fit(spec_file, frames[:6], **choices)
    for mine, other in zip(resumed.weights + resumed.committee, whole.weights + whole.committee, strict=True):
        np.testing.assert_array_equal(mine, other)
    resumed.save(tmp_path / "model")
    assert not partial.exists()


def test_state_of_other_structures_is_not_taken(spec_file: Path, frames: list[ase.Atoms], tmp_path: Path) -> None:
    partial = tmp_path / "model.partial"
    choices: dict[str, Any] = {"block_bytes": 1, "save_every": 0.0, "active_set": False, "partial": partial}
    acegen.fit(spec_file, frames[:6], **choices)
    for changed in ({"weights": {"default": {"E": 10.0}}}, {"e0": "lsq"}):
        told: list[str] = []
        acegen.fit(spec_file, frames[:6], progress=lambda text, _, told=told: told.append(text), **choices, **changed)
        assert "rows of structure 1 of 6" in told
        assert f"{partial}: the state of a fit of other structures or choices: begun anew" in told


_FIT = """
import os, signal, sys
import acegen

moment, spec = sys.argv[1:]
replace, seen = os.replace, 0

def replaced(source, target):
    global seen
    seen += str(target).endswith(".partial")
    if moment in (os.path.basename(str(target)), f"state {seen}"):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

os.replace = replaced
acegen.fit(
    spec, "train.xyz", partial="model.partial", threads=1, active_set=False, block_bytes=1, save_every=0.0
).save("model")
"""


@pytest.mark.parametrize("moment", ["state 5", "model.npz", "model.yaml"])
def test_killed_fit_leaves_a_state_or_a_whole_model(
    spec_file: Path, frames: list[ase.Atoms], tmp_path: Path, moment: str
) -> None:
    """SIGKILL at any rename, an older model being there: its specification never stands beside other arrays."""
    write(tmp_path / "train.xyz", frames[:6])
    older = acegen.fit(spec_file, frames[:3], active_set=False)
    files = older.save(tmp_path / "model")
    before = [file.read_bytes() for file in files]
    killed = subprocess.run(
        [sys.executable, "-c", _FIT, moment, str(spec_file)], cwd=tmp_path, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    if files[0].exists():
        assert [file.read_bytes() for file in files] == before
    assert (tmp_path / "model.partial").exists()
    for name in os.listdir(tmp_path):
        if name.startswith("."):
            (tmp_path / name).unlink()  # what was being written aside
    partial = partial_of(tmp_path / "model")
    acegen.fit(
        spec_file, tmp_path / "train.xyz", partial=partial, active_set=False, block_bytes=1, save_every=0.0
    ).save(tmp_path / "model")
    assert sorted(os.listdir(tmp_path)) == ["model.json", "model.npz", "model.yaml", "train.xyz"]
    assert [file.read_bytes() for file in files] != before
    assert np.abs(read_input(files[0]).exact.centres[0].weights).max() > 0.0


GIVEN = "name: given\nelements: [Cu, Au]\norder: 2\ndegree: 3\ncutoff: 4.2\n"


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A specification with radial weights in given.npz of the folder above; folders out and scratch beside it."""
    for name in ("in", "out", "scratch"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    spec = tmp_path / "in" / "given.yaml"
    spec.write_text(GIVEN + "radial: {weights: {kind: glorot}}\n")
    np.savez(tmp_path / "given.npz", W=radial_matrix(read_spec(spec)))
    spec.write_text(GIVEN + "radial: {weights: {kind: file, file: ../given.npz}}  # fitted before\n")
    return spec


def test_radial_weights_travel_with_the_model(given: Path, frames: list[ase.Atoms], tmp_path: Path) -> None:
    """They come to lie next to the model, wherever they were, never over its own arrays, and nowhere else."""
    found = acegen.fit(given, frames[:4], active_set=False, committee=0)
    expected = found.model.evaluate(frames).energy
    for name, copy in (("model", "given.npz"), ("given", "given_radial.npz")):
        files = found.save(tmp_path / "out" / name)
        assert (tmp_path / "out" / copy).read_bytes() == (tmp_path / "given.npz").read_bytes()
        np.testing.assert_allclose(acegen.load(files[0]).evaluate(frames).energy, expected, rtol=1e-12)
        (tmp_path / "out" / copy).unlink()
    assert sorted(os.listdir(tmp_path)) == ["given.npz", "in", "out", "scratch"]
    assert not os.listdir(tmp_path / "scratch") and os.listdir(tmp_path / "in") == ["given.yaml"]
    (tmp_path / "out" / "given.npz").write_bytes(b"another")
    with pytest.raises(SpecError, match="another file than the radial weights"):
        found.save(tmp_path / "out" / "model")
    (tmp_path / "given.npz").write_bytes(b"another")
    with pytest.raises(SpecError, match=r"radial weights changed since given\.yaml was read"):
        found.save(tmp_path / "out" / "model")


def test_the_model_is_of_the_specification_that_was_fitted(
    spec_file: Path, frames: list[ase.Atoms], tmp_path: Path
) -> None:
    """Whatever became of its file while the fit ran."""
    spec = tmp_path / "edited.yaml"
    spec.write_text(spec_file.read_text())
    found = acegen.fit(spec, frames[:4], active_set=False, committee=0)
    spec.write_text(spec_file.read_text().replace("cutoff: 4.2", "cutoff: 4.0"))
    assert read_spec(found.save(tmp_path / "model")[0]).bonds == found.spec.bonds
    spec.unlink()
    assert found.model.cutoff == 4.2


def test_a_specification_may_begin_with_a_byte_order_mark(copper: Path) -> None:
    plain = read_spec(copper)
    copper.write_text("\ufeff" + copper.read_text(), encoding="utf-8")
    assert read_spec(copper) == plain
    files = acegen.fit(copper, emt_labelled(1, "Cu4"), active_set=False).save(copper.with_name("model"))
    assert not files[0].read_bytes().startswith(b"\xef\xbb\xbf") and acegen.load(files[0]).cutoff == 4.2


def test_a_model_never_replaces_its_specification(copper: Path, frames: list[ase.Atoms]) -> None:
    """Neither by its name nor through a link."""
    text = copper.read_text()
    fitted = acegen.fit(copper, emt_labelled(1, "Cu4"), active_set=False)
    (copper.parent / "link.yaml").symlink_to(copper)
    for name in ("cu", "link.yaml"):
        with pytest.raises(InputError, match="would be replaced, expected another name to write"):
            fitted.save(copper.parent / name)
    assert copper.read_text() == text


@pytest.mark.parametrize("kind", ["weights", "radial"])
def test_a_model_never_replaces_arrays_of_its_specification(
    copper: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights fitted before, and given radial weights: told before the fit begins."""
    own = "{weights: {kind: file, file: W.npz}}" if kind == "radial" else "{kind: file, file: W.npz}"
    copper.write_text(f"{copper.read_text()}{kind}: {own}\n")
    arrays = copper.with_name("W.npz")
    arrays.write_bytes(b"arrays")
    write(copper.with_name("train.xyz"), emt_labelled(1, "Cu4"))
    assert main(["fit", str(copper), str(copper.with_name("train.xyz")), "-o", str(copper.with_name("W"))]) == 2
    assert "W.npz: is read by this fit and would be replaced" in capsys.readouterr().err
    assert arrays.read_bytes() == b"arrays"


def test_a_model_never_replaces_its_structures(copper: Path) -> None:
    """The name of a set of structures, in a format of ASE whose files end as those of a model do."""
    train = copper.with_name("train.json")
    write(train, [emt_labelled(1, "Cu4")])
    with pytest.raises(InputError, match=r"train.json: is read by this fit and would be replaced"):
        acegen.fit(copper, train, active_set=False).save(copper.with_name("train"))


@pytest.mark.parametrize("path", ["", ".", "..", "/", "models/.."])
def test_a_model_needs_a_name(fitted: Fitted, path: str) -> None:
    with pytest.raises(InputError, match="expected the name of a model to write"):
        fitted.save(path)


def test_a_model_that_cannot_be_replaced_stays(copper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when the arrays are written: the older model is whole."""
    fitted = acegen.fit(copper, emt_labelled(1, "Cu4"), active_set=False)
    files = fitted.save(tmp_path / "model")
    before = [file.read_bytes() for file in files]

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(InputError, match=r"model.npz: cannot be written \(No space left on device\)"):
        fitted.save(tmp_path / "model")
    assert [file.read_bytes() for file in files] == before
    assert not list(tmp_path.glob(".model*"))
