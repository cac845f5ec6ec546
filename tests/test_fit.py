"""A fit as a whole: known weights come back, interrupted fits go on to the last bit, saved models are the fitted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

import acegen
from acegen.errors import InputError, SpecError
from acegen.fitting.factor import Factor
from acegen.fitting.fitted import Fitted, partial_of
from acegen.fitting.keys import label_structures
from acegen.fitting.parameters import as_weights
from acegen.fitting.reference import Reference
from acegen.fitting.rows import Factors, blocks, stream
from acegen.fitting.settings import Keys
from acegen.fitting.structures import Frame
from acegen.fitting.weighting import make_weighting
from acegen.inputs import read_input
from acegen.uncertainty import extrapolation_grade

SPEC = """# copper and gold, the smallest that is not trivial
name: cuau
elements: [Cu, Au]
order: 2
degree: 5
cutoff: 4.2
pair: {degree: 4}
reference_energies: {Cu: 0.5, Au: -0.25}
"""


def emt_labelled(seed: int, formula: str = "Cu3Au") -> ase.Atoms:
    """A strained, rattled cell with the energy, forces and stress of effective medium theory."""
    atoms = bulk("Cu", cubic=True, a=3.9)
    atoms.symbols[:] = list(ase.Atoms(formula).symbols)
    stream = np.random.default_rng(seed)
    atoms.set_cell(atoms.cell @ (np.eye(3) + 0.04 * stream.uniform(-1, 1, (3, 3))), scale_atoms=True)
    atoms.positions += 0.12 * stream.standard_normal((4, 3))
    atoms.calc = EMT()
    results = (atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress())
    atoms.calc = SinglePointCalculator(atoms, energy=results[0], forces=results[1], stress=results[2])
    atoms.info["config_type"] = "rich in copper" if formula == "Cu3Au" else "even"
    return atoms


@pytest.fixture(scope="module")
def spec_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fit") / "cuau.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def copper(tmp_path: Path) -> Path:
    """A specification of few functions, well determined by a dozen structures."""
    path = tmp_path / "cu.yaml"
    path.write_text("name: cu\nelements: [Cu]\norder: 2\ndegree: 5\ncutoff: 4.2\nweights_replaceable: true\n")
    return path


@pytest.fixture(scope="module")
def frames() -> list[ase.Atoms]:
    return [emt_labelled(k, "Cu3Au" if k % 2 else "Cu2Au2") for k in range(14)]


@pytest.fixture(scope="module")
def fitted(spec_file: Path, frames: list[ase.Atoms]) -> Fitted:
    return acegen.fit(spec_file, frames[:10], frames[10:])


def relabelled(frames: list[ase.Atoms], **factors: float) -> list[ase.Atoms]:
    """The same structures with labels in other units."""
    found = []
    for atoms in frames:
        copy = atoms.copy()
        results = {name: value * factors.get(name, 1.0) for name, value in atoms.calc.results.items()}
        copy.calc = SinglePointCalculator(copy, **results)
        found.append(copy)
    return found


@pytest.mark.parametrize("solver", ["bayesian", "ridge", "tsvd", "ard"])
def test_known_weights_come_back_from_their_own_labels(solver: str, copper: Path) -> None:
    """Energies, forces and virials of given weights, without noise: the fit finds these weights."""
    model = acegen.load(copper)
    known = np.random.default_rng(2).standard_normal(model.n_parameters)
    model.weights = as_weights(model, known)
    frames = []
    for k in range(14):
        atoms = emt_labelled(k, "Cu4")
        atoms.calc = None
        out = model.evaluate(atoms)
        atoms.info |= {"REF_energy": float(out.energy[0]), "REF_virial": out.virial[0]}
        atoms.arrays["REF_forces"] = out.forces
        frames.append(atoms)
    found = acegen.fit(copper, frames, solver=solver, prior=2.0, e0={"Cu": 0.0}, active_set=False)
    np.testing.assert_allclose(found.weights[0], known, rtol=0, atol=1e-8)
    assert found.errors["train"][-1].forces_rmse < 1e-8


def test_streamed_rows_are_the_design_matrix_whatever_the_blocks(frames: list[ase.Atoms], fitted: Fitted) -> None:
    """The factor of weighted rows, by structures one at a time and all at once, against the rows themselves."""
    model, reference = fitted.model, Reference((0.5, -0.25), ("", ""))
    structures, _ = label_structures([Frame("train", k, one) for k, one in enumerate(frames)], Keys())
    weighting = make_weighting({"default": {"E": 3.0, "V": 0.5}, "even": {"F": 0.25}})
    design = model.design(frames)
    rows, target = [], []
    for k, one in enumerate(structures):
        root = np.sqrt(one.n_atoms)
        counts = [one.atoms.get_chemical_symbols().count(symbol) for symbol in ("Cu", "Au")]
        rows += [design.energy[k : k + 1] * 3.0 / root, design.virial[k] * 0.5 / root]
        target += [np.array([(one.energy - counts @ np.array([0.5, -0.25])) * 3.0 / root]), one.virial * 0.5 / root]
        forces = 0.25 if one.kind == "even" else 1.0
        rows.append(design.forces[4 * k : 4 * k + 4].reshape(12, -1) * forces)
        target.append(one.forces.reshape(-1) * forces)
    dense = np.column_stack([np.concatenate(rows), np.concatenate(target)])
    for most_bytes in (1, 10**9):
        factors = Factors.empty(model.n_parameters)
        parts = blocks(structures, model.n_parameters, most_bytes)
        assert list(stream(model, structures, parts, reference, weighting, factors))[-1] == len(structures)
        total = factors.joined()
        assert total.n_rows == len(dense)
        np.testing.assert_allclose(
            total.triangle.T @ total.triangle, dense.T @ dense, rtol=1e-10, atol=1e-10 * np.abs(dense).max() ** 2
        )


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


def test_errors_are_those_of_the_model_by_type(fitted: Fitted, frames: list[ase.Atoms]) -> None:
    assert [errors.kind for errors in fitted.errors["test"]] == ["even", "rich in copper", "all"]
    out = fitted.model.evaluate(frames[10:])
    labels = np.concatenate([atoms.calc.results["forces"] for atoms in frames[10:]])
    total = fitted.errors["test"][-1]
    assert total.forces_rmse == pytest.approx(np.sqrt(np.mean((out.forces - labels) ** 2)), rel=1e-10)
    energies = np.array([atoms.calc.results["energy"] for atoms in frames[10:]])
    assert total.energy_mae == pytest.approx(1000.0 * np.abs(out.energy - energies).mean() / 4.0, rel=1e-8)
    assert total.virial_rmse is not None and total.forces_rmse < 0.5 * labels.std()


def test_the_same_fit_writes_the_same_bytes(spec_file: Path, frames: list[ase.Atoms], tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        found = acegen.fit(spec_file, frames, holdout=0.2, seed=3)
        written.append([file.read_bytes() for file in found.save(tmp_path / name / "model.yaml")])
    assert written[0] == written[1]


def test_active_set_spans_the_training_environments(fitted: Fitted, frames: list[ase.Atoms]) -> None:
    for a, inverse in enumerate(fitted.active_set):
        graph = acegen.GraphBatch.from_atoms(frames[:10], fitted.model)
        rows = fitted.model.evaluate(graph, ("basis",)).basis[graph.species == a]
        assert extrapolation_grade(rows, inverse).max() <= 1.011


def test_committee_surrounds_the_weights(fitted: Fitted) -> None:
    for members, weights in zip(fitted.committee, fitted.weights, strict=True):
        assert members.shape == (8, len(weights))
        assert (np.abs(members.mean(axis=0) - weights) <= 3.0 * members.std(axis=0, ddof=1)).all()


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
    partial.write_bytes(b"PK not really")
    acegen.fit(spec_file, frames[:6], **choices)


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
    alone = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    killed = subprocess.run(
        [sys.executable, "-c", _FIT, moment, str(spec_file)], cwd=tmp_path, capture_output=True, check=False, env=alone
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


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        ({"energy": 1.0 / 27.211386}, "the energies vary 0.0"),
        ({"forces": 1000.0, "stress": 1000.0}, "the energies vary 0.000"),
        ({"stress": -1.0}, "with the wrong sign"),
        ({"stress": 160.21766}, "1 eV/angstrom^3 is 160 GPa"),
        ({"stress": -1602.1766}, "1 eV/angstrom^3 is 1602 kB"),
    ],
)
def test_units_that_disagree_are_told(copper: Path, factors: dict[str, float], words: str) -> None:
    frames = [emt_labelled(k, "Cu4") for k in range(24)]
    found = acegen.fit(copper, relabelled(frames, **factors), active_set=False)
    assert any(words in text for text in found.warnings), found.warnings


def test_units_that_agree_raise_no_suspicion(copper: Path, fitted: Fitted) -> None:
    frames = [emt_labelled(k, "Cu4") for k in range(24)]
    assert acegen.fit(copper, frames, active_set=False).warnings == ()
    assert fitted.warnings == ()


def test_forces_alone_and_energies_alone_can_be_fitted(spec_file: Path, frames: list[ase.Atoms]) -> None:
    for kept, missing in (("forces", "energy"), ("energy", "forces")):
        own = []
        for atoms in frames:
            copy = atoms.copy()
            copy.calc = SinglePointCalculator(copy, **{kept: atoms.calc.results[kept]})
            own.append(copy)
        found = acegen.fit(spec_file, own, active_set=False)
        assert missing in found.found[0].missing and np.isfinite(found.weights[0]).all()
        assert getattr(found.errors["train"][-1], f"{missing}_rmse") is None


def test_holdout_is_not_fitted(spec_file: Path, frames: list[ase.Atoms]) -> None:
    found = acegen.fit(spec_file, frames, holdout=0.25, active_set=False)
    assert (found.errors["train"][-1].n_structures, found.errors["holdout"][-1].n_structures) == (10, 4)
    assert found.solution["n_energy_rows"] == 10


def test_radial_weights_travel_with_the_model(frames: list[ase.Atoms], tmp_path: Path) -> None:
    """A specification that reads an array file can be saved in another folder."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    spec = tmp_path / "in" / "spec.yaml"
    text = "name: given\nelements: [Cu, Au]\norder: 2\ndegree: 3\ncutoff: 4.2\n"
    spec.write_text(text + "radial: {weights: {kind: glorot}}\n")
    from acegen.basis.radial import radial_matrix
    from acegen.spec.read import read_spec

    np.savez(tmp_path / "in" / "w.npz", W=radial_matrix(read_spec(spec)))
    spec.write_text(text + "radial: {weights: {kind: file, file: w.npz}}\n")
    files = acegen.fit(spec, frames[:4], active_set=False).save(tmp_path / "out" / "model")
    assert (tmp_path / "out" / "w.npz").exists()
    acegen.load(files[0])
    (tmp_path / "out" / "w.npz").write_bytes(b"another")
    with pytest.raises(SpecError, match="another file than the radial weights"):
        acegen.fit(spec, frames[:4], active_set=False).save(tmp_path / "out" / "model")


def test_wrong_arguments_are_told(spec_file: Path, frames: list[ase.Atoms], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holdout: expected either test structures or a holdout"):
        acegen.fit(spec_file, frames, frames, holdout=0.5)
    with pytest.raises(InputError, match="train: no rows to fit"):
        acegen.fit(spec_file, frames, weights={"default": {"E": 0, "F": 0, "V": 0}})
    with pytest.raises(InputError, match="train: expected a path, structures, or a list of them, found int"):
        acegen.fit(spec_file, 3)
    with pytest.raises(InputError, match="no structure is of type 'evn', did you mean 'even'"):
        acegen.fit(spec_file, frames, weights={"evn": {"E": 1.0}})
    with pytest.raises(InputError, match="there is no folder"):
        from acegen.fitting.fitted import check_writable

        check_writable(tmp_path / "none" / "model")


def test_parameters_and_weights_are_the_same_numbers(fitted: Fitted) -> None:
    """Parameter order [B of species 0 | B of 1 | pair of 0 | pair of 1] against the rows of each species."""
    n_body, n_pair = fitted.model.manifest.n_basis_per_species[0]
    numbers = np.arange(2.0 * (n_body + n_pair))
    first, second = as_weights(fitted.model, numbers)
    np.testing.assert_array_equal(first, [*range(n_body), *range(2 * n_body, 2 * n_body + n_pair)])
    np.testing.assert_array_equal(second[-1], numbers[-1])
    assert Factor.empty(3).n_parameters == 3


def test_a_model_never_replaces_its_specification(copper: Path, frames: list[ase.Atoms]) -> None:
    """Neither by its name nor through a link."""
    text = copper.read_text()
    fitted = acegen.fit(copper, emt_labelled(1, "Cu4"), active_set=False)
    (copper.parent / "link.yaml").symlink_to(copper)
    for name in ("cu", "link.yaml"):
        with pytest.raises(InputError, match="would be replaced, expected another name to write"):
            fitted.save(copper.parent / name)
    assert copper.read_text() == text


def test_a_model_that_cannot_be_replaced_stays(copper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when the arrays are written: the older model is whole."""
    fitted = acegen.fit(copper, emt_labelled(1, "Cu4"), active_set=False)
    files = fitted.save(tmp_path / "model")
    before = [file.read_bytes() for file in files]

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        fitted.save(tmp_path / "model")
    assert [file.read_bytes() for file in files] == before
    assert not list(tmp_path.glob(".model*"))


@pytest.mark.parametrize("weights", [{"E": -1}, [30, 1], {"default": 3.0}])
def test_weights_of_another_form_are_refused(copper: Path, weights: Any) -> None:
    with pytest.raises(InputError, match=r"weights: .*such as|weights: \w+: expected a mapping as in"):
        acegen.fit(copper, emt_labelled(1, "Cu4"), weights=weights)


def test_isolated_atoms_that_contradict_e0_are_named(tmp_path: Path) -> None:
    """E0 of the specification counts; an atom alone has no neighbours that weights could act on."""
    path = tmp_path / "cu.yaml"
    path.write_text("name: cu\nelements: [Cu]\norder: 2\ndegree: 5\ncutoff: 4.2\nreference_energies: {Cu: 0.5}\n")
    alone = ase.Atoms("Cu", cell=[20.0] * 3)
    alone.calc = SinglePointCalculator(alone, energy=-3.25)
    fitted = acegen.fit(path, [emt_labelled(1, "Cu4"), alone], active_set=False)
    expected = "E0 of Cu: 0.5 eV from the specification, but an isolated atom in the structures has -3.25 eV"
    assert expected in fitted.warnings
    assert not any("E0" in text for text in acegen.fit(path, emt_labelled(1, "Cu4"), active_set=False).warnings)
