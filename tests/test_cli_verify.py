"""`acegen verify` passes good kernels, fails wrong ones, and its finite differences know how good they are."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

import acegen
from acegen.cli.main import main
from acegen.cli.verify_checks import Check, Subject, worst_of
from acegen.cli.verify_derivatives import _extrapolated, _halved
from acegen.cli.verify_invariance import invariance
from acegen.cli.verify_structures import at_cutoff, made_structures, rotation
from acegen.runtime.evaluation import Evaluation


@pytest.fixture(scope="module")
def spec(specs: Path) -> Path:
    return specs / "si_pair.yaml"


def _verify(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    code = main(["verify", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_input_passes(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A specification passes every check: reference, derivatives, symmetries, forms, float32, selftest."""
    code, found = _verify(capsys, spec)
    assert code == 0 and found["passed"] and found["name"] == "si_pair"
    names = [check["check"] for check in found["checks"]]
    for start in ("reference: ", "finite differences: ", "rotation", "reflection", "translation", "permutation"):
        assert any(name.startswith(start) for name in names)
    for start in ("batch = one by one", "smooth at the cutoff: forces", "form flat", "float32: forces", "selftest.c"):
        assert any(name.startswith(start) for name in names)
    for check in found["checks"]:
        assert check["verdict"] == "good" and check["measured"] <= check["limit"]


def test_bundle_passes(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bundle passes by itself, and is left as it was; what needs its input is said to be unchecked."""
    folder = tmp_path / "bundle"
    assert main(["compile", str(spec), "-o", str(folder), "--source-only"]) == 0
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    capsys.readouterr()
    assert main(["verify", str(folder)]) == 0
    text = capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert "other forms" in text and "not checked" in text and "si_pair: all good" in text
    assert main(["verify", str(folder), "--form", "flat"]) == 2
    assert "--form and --products need its input" in capsys.readouterr().err


def test_wrong_forces_fail(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A kernel whose forces are wrong in the ninth digit fails, in the reference and the differences: exit code 1."""
    from acegen.runtime.model import Model

    right = Model.evaluate

    def wrong(self: Model, *arguments: Any) -> Any:
        out = right(self, *arguments)
        if "forces" in out.__dict__:
            out.__dict__["forces"] = out.forces * (1.0 + 5e-8)
        return out

    monkeypatch.setattr(Model, "evaluate", wrong)
    path = tmp_path / "in.xyz"
    crystal = bulk("Si", cubic=True)
    crystal.rattle(0.1, seed=1)
    write(path, [crystal], format="extxyz")
    code, found = _verify(capsys, spec, "--structures", path)
    failed = {check["check"] for check in found["checks"] if check["verdict"] == "failed"}
    assert code == 1 and not found["passed"]
    assert failed == {"reference: forces", "finite differences: forces"}
    assert main(["verify", str(spec), "--structures", str(path)]) == 1
    assert "FAILED" in capsys.readouterr().out


def test_single_precision(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--precision float32 holds the kernel in float32 to the limits of single precision."""
    code, found = _verify(capsys, spec, "--precision", "float32")
    assert code == 0 and found["precision"] == "float32"
    limits = {check["check"]: check["limit"] for check in found["checks"]}
    for start in ("reference", "rotation", "reflection", "translation", "permutation", "float64"):
        assert limits[f"{start}: energy per atom"] == 1e-6 and limits[f"{start}: forces"] == 1e-5
    measured = {check["check"]: check["measured"] for check in found["checks"]}
    assert measured["finite differences: forces, virial"] is None
    assert measured["reference: forces"] > 1e-9  # it was float32


def test_wrong_single_precision_fails(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bundle whose kernel in float32 has forces off in the fourth digit."""
    from acegen.runtime.model import Model

    assert main(["compile", str(spec), "-o", str(tmp_path / "bundle"), "--source-only"]) == 0
    capsys.readouterr()
    right = Model.evaluate

    def wrong(self: Model, *arguments: Any) -> Any:
        out = right(self, *arguments)
        if "forces" in out.__dict__ and self.precision == "float32":
            out.__dict__["forces"] = out.forces * (1.0 + 1e-4)
        return out

    monkeypatch.setattr(Model, "evaluate", wrong)
    code, found = _verify(capsys, tmp_path / "bundle", "--precision", "float32")
    failed = {check["check"] for check in found["checks"] if check["verdict"] == "failed"}
    assert code == 1 and failed == {"float64: forces"}


def test_wrong_reference_fails(spec: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The comparison with the interpreter is made: a reference that differs fails."""
    from acegen.interpreter import evaluate

    right = evaluate.interpret

    def wrong(*arguments: Any) -> Any:
        found = right(*arguments)
        return dataclasses.replace(found, energies=found.energies + 1e-9, basis=found.basis * np.nan)

    monkeypatch.setattr(evaluate, "interpret", wrong)
    code, found = _verify(capsys, spec)
    failed = {check["check"] for check in found["checks"] if check["verdict"] == "failed"}
    assert code == 1 and failed == {"reference: site energies", "reference: basis"}


def test_structures_are_checked(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A given structure of another element is refused with its file and frame."""
    path = tmp_path / "in.xyz"
    write(path, [bulk("Si"), bulk("Ge")], format="extxyz")
    assert main(["verify", str(spec), "--structures", str(path)]) == 2
    assert f"acegen: {path}: frame 1: atom 0 is Ge, expected one of Si" in capsys.readouterr().err


def test_potential_passes(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fitted potential with an embedding and mixed elements."""
    code, found = _verify(capsys, shared / "zoo" / "quirks" / "zbl_wide.yace")
    assert code == 0 and found["passed"]


def test_jump_of_the_potential_is_no_fault(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A potential that is itself not smooth at its cutoff is said to be so, and the kernel passes."""
    code, found = _verify(capsys, shared / "zoo" / "quirks" / "cheb_linear.yace")
    rough = [check for check in found["checks"] if check["check"].startswith("smooth")]
    assert code == 0 and all(check["verdict"] == "not checked" for check in rough)
    assert all(check["note"].startswith("the potential itself jumps by ") for check in rough)
    assert main(["verify", str(shared / "zoo" / "quirks" / "cheb_linear.yace")]) == 0
    text = capsys.readouterr().out
    assert "all good" not in text and "cheb_linear: good, but the potential itself jumps at the cutoff" in text


def test_verdicts() -> None:
    """nan fails; what was not measured does not; what is only told does not."""
    assert Check("a", float("nan"), 1.0).failed
    assert not Check("a", None, 1.0).failed
    told = Check("a", 2.0, 1.0, required=False)
    assert (told.failed, told.verdict) == (False, "beyond")
    assert [Check("a", x, 1.0).verdict for x in (1.0, 2.0, None)] == ["good", "FAILED", "not checked"]


@pytest.mark.parametrize("broken", range(3))
def test_one_error_that_is_no_number_fails(broken: int) -> None:
    """Wherever among the others it stands."""
    errors = [1e-15, 1e-14, 1e-13]
    assert worst_of(errors) == 1e-13 and worst_of([]) == 0.0
    errors[broken] = float("nan")
    assert Check("a", worst_of(errors), 1e-12).failed


def test_extrapolation() -> None:
    """Smooth functions are differentiated to 1e-11; next to a jump of the curvature the uncertainty tells."""
    steps = _halved(0.006)[::2]
    x = np.linspace(0.3, 2.0, 7)[:, None]
    slopes = (np.exp(np.sin(5.0 * (x + steps))) - np.exp(np.sin(5.0 * (x - steps)))) / (2.0 * steps)
    found, doubt = _extrapolated(slopes)
    exact = (5.0 * np.cos(5.0 * x) * np.exp(np.sin(5.0 * x)))[:, 0]
    np.testing.assert_allclose(found, exact, rtol=0, atol=2e-11)
    assert (doubt < 1e-9).all()

    def rough(y: np.ndarray) -> np.ndarray:
        return np.maximum(y, 0.0) ** 2  # the second derivative jumps at 0

    near = np.array([[-1e-5], [1e-5], [2e-4]])
    _, doubt = _extrapolated((rough(near + steps) - rough(near - steps)) / (2.0 * steps))
    assert (doubt > 1e-7).all()


def test_structures_are_reproducible_and_apart_from_cutoffs() -> None:
    """The same structures every time; no distance of a made structure is at a cutoff."""
    cutoffs = np.array([[5.0, 5.5], [5.5, 6.0]])
    first, second = made_structures(cutoffs), made_structures(cutoffs)
    assert [one.name for one in first] == ["crystal", "slab", "cluster", "lone atom", "lone atom"]
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.positions, two.positions)
        np.testing.assert_array_equal(one.species, two.species)
    cluster = first[2]
    distances = np.linalg.norm(cluster.positions[:, None] - cluster.positions, axis=2)
    own = cutoffs[cluster.species[:, None], cluster.species[None, :]]
    assert np.abs(distances - own).min() > 1e-3
    trio = at_cutoff(cutoffs, 0, 1, 1e-3)
    np.testing.assert_allclose(np.linalg.norm(trio.positions[1] - trio.positions[0]), 5.5 * (1 - 1e-3), rtol=1e-14)
    np.testing.assert_allclose(rotation(3) @ rotation(3).T, np.eye(3), atol=1e-15)
    np.testing.assert_allclose(np.linalg.det(rotation(4)), 1.0, rtol=1e-14)


def _subject(spec: Path, text: str, folder: Path) -> Subject:
    path = folder / "own.yaml"
    wider = spec.read_text(encoding="utf-8").replace("degree: 6", "degree: 12").replace("Si: -158.5", text)
    path.write_text(wider + "weights_replaceable: true\n", encoding="utf-8")
    model = acegen.load(path)
    return Subject(model, folder, made_structures(model.cutoffs), folder)


def test_rounding_of_terms_that_cancel_is_no_fault(spec: Path, tmp_path: Path) -> None:
    """Terms of 1e5 eV that leave 1 eV, as fits give: their rounding passes, 1e-12 of them is still an error."""
    subject = _subject(spec, "Si: 0.0", tmp_path)
    model = subject.model
    idle = np.linalg.svd(subject.base.basis)[2][-1]  # weights that add nothing to any energy of these structures
    model.weights = [model.weights[0] + 3e4 * idle[:, None]]
    subject = dataclasses.replace(subject, model=model)
    sums = np.abs(subject.base.basis) @ np.abs(model.weights[0][:, 0])
    np.testing.assert_allclose(subject.cancelling_energy, sums.max(), rtol=1e-14)
    binding = np.abs(subject.base.energies).max()
    assert subject.cancelling_energy > 1e4 * max(1.0, binding)
    checks = invariance(subject)
    assert not any(check.failed for check in checks)
    energies = [check.measured for check in checks if check.name.endswith("site energies")]
    assert max(energies) * subject.largest_energy > 1e-12 * max(1.0, binding)  # which is what the limit was
    off = subject.base.energies + 1e-12 * subject.cancelling_energy
    assert subject.energy_error(off, subject.base.energies) > 1e-12


def test_reference_energies_hide_no_error_of_single_precision(spec: Path, tmp_path: Path) -> None:
    """An error of 1e-4 of the energies without E0 shows, however large E0 is."""
    subject = _subject(spec, "Si: -7874.9", tmp_path)
    base = subject.base
    first, energies = subject.base_graph.first_atom, base.energies + 7874.9
    np.testing.assert_allclose(base.energies - subject.lone_energies[0], energies, rtol=0, atol=1e-11)
    off = np.array([1e-4 * energies[a:b].sum() for a, b in itertools.pairwise(first)])
    energy, forces = subject.single_precision(
        "float32", Evaluation({"energy": base.energy + off, "forces": base.forces}), base
    )
    per_atom = np.abs(np.array([energies[a:b].mean() for a, b in itertools.pairwise(first)]))
    expected = (1e-4 * per_atom / np.maximum(1.0, per_atom)).max()
    np.testing.assert_allclose(energy.measured, expected, rtol=1e-6)
    assert energy.verdict == "beyond" and forces.measured == 0.0
