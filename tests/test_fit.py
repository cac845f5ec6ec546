"""A fit as a whole: known weights come back, errors are those of the model, mistaken labels and arguments are told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from fits import COPPER, SPEC, emt_labelled, relabelled

import acegen
from acegen.errors import InputError
from acegen.fitting.factor import Factor
from acegen.fitting.fitted import Fitted
from acegen.fitting.keys import label_structures
from acegen.fitting.parameters import as_weights
from acegen.fitting.reference import Reference
from acegen.fitting.rows import Factors, blocks, stream
from acegen.fitting.settings import Keys
from acegen.fitting.structures import Frame
from acegen.fitting.weighting import make_weighting
from acegen.uncertainty import extrapolation_grade


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


def test_errors_are_those_of_the_model_by_type(fitted: Fitted, frames: list[ase.Atoms]) -> None:
    assert [errors.kind for errors in fitted.errors["test"]] == ["even", "rich in copper", "all"]
    out = fitted.model.evaluate(frames[10:])
    labels = np.concatenate([atoms.calc.results["forces"] for atoms in frames[10:]])
    total = fitted.errors["test"][-1]
    assert total.forces_rmse == pytest.approx(np.sqrt(np.mean((out.forces - labels) ** 2)), rel=1e-10)
    energies = np.array([atoms.calc.results["energy"] for atoms in frames[10:]])
    assert total.energy_mae == pytest.approx(1000.0 * np.abs(out.energy - energies).mean() / 4.0, rel=1e-8)
    assert total.virial_rmse is not None and total.forces_rmse < 0.5 * labels.std()


def test_active_set_spans_the_training_environments(fitted: Fitted, frames: list[ase.Atoms]) -> None:
    for a, inverse in enumerate(fitted.active_set):
        graph = acegen.GraphBatch.from_atoms(frames[:10], fitted.model)
        rows = fitted.model.evaluate(graph, ("basis",)).basis[graph.species == a]
        assert extrapolation_grade(rows, inverse).max() <= 1.011


def test_committee_surrounds_the_weights(fitted: Fitted) -> None:
    for members, weights in zip(fitted.committee, fitted.weights, strict=True):
        assert members.shape == (8, len(weights))
        assert (np.abs(members.mean(axis=0) - weights) <= 3.0 * members.std(axis=0, ddof=1)).all()


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


@pytest.mark.parametrize("solver", ["bayesian", "ard"])
def test_labels_that_the_prior_swallows_are_told(copper: Path, solver: str) -> None:
    """Energies of other structures: no weights are better than any."""
    frames = [emt_labelled(k, "Cu4") for k in range(8)]
    for atoms, other in zip(frames, [emt_labelled(k, "Cu4") for k in (1, 2, 3, 4, 5, 6, 7, 0)], strict=True):
        atoms.calc = SinglePointCalculator(atoms, energy=other.calc.results["energy"])
    found = acegen.fit(copper, frames, active_set=False, solver=solver)
    assert re.match(r"the labels decide \S+ of 12 parameters, for no function", found.warnings[-1])


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
