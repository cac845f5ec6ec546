"""Slips in single structures are told with file and frame, and good structures are not accused of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from fits import COPPER, emt_labelled, relabelled

import acegen
from acegen.errors import InputError
from acegen.fitting.checks import disagreeing, suspicions
from acegen.fitting.keys import label_structures
from acegen.fitting.repeated import repeated
from acegen.fitting.settings import Keys, make_settings
from acegen.fitting.structures import Frame, Structure, read_frames
from acegen.fitting.weighting import make_weighting
from acegen.spec.read import read_spec


def changed(atoms: ase.Atoms, **results: object) -> ase.Atoms:
    """The structure with some labels replaced."""
    copy = atoms.copy()
    copy.calc = SinglePointCalculator(copy, **{**atoms.calc.results, **results})
    return copy


def structures(frames: list[ase.Atoms], name: str = "train") -> list[Structure]:
    return label_structures(read_frames(frames, name), Keys())[0]


@pytest.fixture(scope="module")
def copper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slips") / "cu.yaml"
    path.write_text(COPPER)
    return path


@pytest.fixture(scope="module")
def frames() -> list[ase.Atoms]:
    return [emt_labelled(k, "Cu4") for k in range(24)]


def test_a_file_given_twice_and_tested_on_is_told(frames: list[ase.Atoms], tmp_path: Path) -> None:
    path = tmp_path / "t.xyz"
    write(path, frames[:4])
    train = label_structures(read_frames([path, path], "train"), Keys())[0]
    test = label_structures(read_frames(path, "test"), Keys())[0]
    first, second = repeated(train, test)
    assert (
        first == f"{path}: frame 0: the structure of {path}: frame 0: 4 of 8 training structures repeat an earlier one"
    )
    assert second.startswith(f"{path}: frame 0: the structure of {path}: frame 0: 4 of 4 test structures are among")
    assert repeated(train[:4], []) == []


def test_a_structure_with_two_labels_is_told_and_boxes_of_molecules_mean_nothing(frames: list[ase.Atoms]) -> None:
    (text,) = repeated(structures([*frames[:4], frames[1], changed(frames[2], energy=7.0)]), structures(frames[4:]))
    assert text == (
        "train: frame 5: the structure of train: frame 2, with other labels: 2 of 6 training structures repeat an "
        "earlier one"
    )
    pair = ase.Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 2.5]], info={"energy": 1.0})
    boxed = ase.Atoms("Cu2", positions=pair.positions, cell=[9.0] * 3, info={"energy": 1.0})
    assert repeated(structures([pair]), structures([boxed]))
    boxed.pbc = True
    assert not repeated(structures([pair]), structures([boxed]))


def test_isolated_atoms_that_disagree_are_both_named(copper: Path) -> None:
    alone = [ase.Atoms("Cu", cell=[20.0] * 3, info={"energy": energy}) for energy in (-0.8, -0.8, -3.0)]
    (text,) = disagreeing(structures(alone), read_spec(copper))
    assert text == (
        "train: frame 2: an isolated atom of Cu with -3 eV, but train: frame 0 has one with -0.8 eV: "
        "the first one counts"
    )
    assert disagreeing(structures(alone[:2]), read_spec(copper)) == []


@pytest.mark.parametrize("shift", [0.0, -3.0, 200.0])
def test_energies_per_atom_are_told(frames: list[ase.Atoms], shift: float) -> None:
    whole, shares = [], []
    for k, atoms in enumerate(frames[:8]):
        cell = atoms.copy() * (1, 1, 1 + k % 3)
        energy = (atoms.calc.results["energy"] / 4 + shift) * len(cell)
        for out, value in ((whole, energy), (shares, energy / len(cell))):
            out.append(cell.copy())
            out[-1].info["energy"] = value
    assert suspicions(structures(whole), ("Cu",)) == []
    if shift:
        (text,) = suspicions(structures(shares), ("Cu",))
        assert text.startswith("train: the energies do not grow with the number of atoms, 4 to 12: are they per atom")


@pytest.mark.parametrize(
    ("slip", "words"),
    [
        (lambda forces: -forces, "are they of the wrong sign?"),
        (lambda forces: np.roll(forces, 1, axis=0), "of another structure, sign or order of the atoms?"),
    ],
)
@pytest.mark.parametrize("tested", [False, True])
def test_forces_of_one_structure_that_are_wrong_are_told(
    copper: Path, frames: list[ase.Atoms], slip: object, words: str, tested: bool
) -> None:
    own = list(frames)
    own[17] = changed(own[17], forces=slip(own[17].calc.results["forces"]))  # type: ignore[operator]
    if tested:
        found, place = acegen.fit(copper, own[:12], own[12:], active_set=False, committee=0), "test: frame 5: "
    else:
        found, place = acegen.fit(copper, own, active_set=False, committee=0), "train: frame 17: "
    (text,) = [text for text in found.warnings if "forces" in text]
    assert text.startswith(f"{place}its forces are ") and text.endswith(words)


@pytest.mark.parametrize(
    ("slip", "words"),
    [
        (lambda energy: energy / 13.6057, "below what the others say"),
        (lambda energy: energy / 4.0, "below what the others say"),
        (lambda energy: -energy, "below what the others say"),
        (lambda energy: 0.0 * energy, "below what the others say"),
        (lambda energy: 23.06 * energy, "above what the others say"),
        (lambda energy: energy + 20.0, "above what the others say"),
    ],
)
@pytest.mark.parametrize("with_forces", [False, True])
def test_energies_of_two_structures_that_are_wrong_are_told(
    copper: Path, frames: list[ase.Atoms], slip: Any, words: str, with_forces: bool
) -> None:
    """Whether or not there are forces that contradict them; the fit may have given in to them."""
    own = [changed(atoms, energy=atoms.calc.results["energy"] + 3.5 * len(atoms)) for atoms in frames]
    for k in (9, 17):
        own[k] = changed(own[k], energy=slip(own[k].calc.results["energy"]))
    if not with_forces:
        for atoms in own:
            atoms.info["energy"] = atoms.calc.results["energy"]
            atoms.calc = None
    found = acegen.fit(copper, own, active_set=False, committee=0, e0="lsq")
    (text,) = [text for text in found.warnings if "its energy is" in text]
    assert re.match(rf"train: frame (9|17): its energy is [\d.]+ eV per atom {words} \(likewise frame (9|17)\): ", text)


def test_forces_of_one_structure_in_another_unit_are_told(copper: Path, frames: list[ase.Atoms]) -> None:
    for factor, k in ((25.711, 3), (1.0 / 51.42, 5)):
        own = list(frames)
        own[k] = changed(own[k], forces=factor * own[k].calc.results["forces"])
        (text,) = acegen.fit(copper, own, active_set=False, committee=0).warnings
        assert text.startswith(f"train: frame {k}: its forces are ") and "times as large as the model's" in text


def test_forces_left_at_zero_are_told_and_those_of_crystals_are_not(copper: Path, frames: list[ase.Atoms]) -> None:
    crystal = bulk("Cu", cubic=True, a=3.65)
    crystal.info["energy"], crystal.arrays["forces"] = -0.02, np.zeros((4, 3))
    zero = [changed(atoms, forces=np.zeros((4, 3))) for atoms in frames[:4]]
    (text,) = acegen.fit(copper, [crystal, *zero, *frames[4:]], active_set=False, committee=0).warnings
    assert text == (
        "train: frame 1: 'forces': all forces are zero (likewise frame 2, frame 3 and 1 more), but its atoms lie where "
        "forces act: leave out forces that were not calculated"
    )


def test_energies_per_atom_of_cells_of_one_size_are_told(copper: Path, frames: list[ase.Atoms]) -> None:
    own = [changed(atoms, energy=atoms.calc.results["energy"] / 4 - 3.0) for atoms in frames]
    (text,) = [text for text in acegen.fit(copper, own, active_set=False, committee=0).warnings if "per atom" in text]
    assert text == (
        "train: the energies vary as the forces say of one of 4 atoms: are they per atom, where those of whole "
        "structures are expected?"
    )


def test_forces_are_not_blamed_for_stresses_in_another_unit(copper: Path, frames: list[ase.Atoms]) -> None:
    own = relabelled(frames, stress=1602.2)
    warnings = acegen.fit(copper, own, active_set=False, committee=0).warnings
    assert any("stress" in text for text in warnings) and not any("its forces" in text for text in warnings)


def test_good_forces_are_not_accused(copper: Path, frames: list[ase.Atoms]) -> None:
    assert acegen.fit(copper, frames[:16], frames[16:], active_set=False, committee=0).warnings == ()


def test_the_largest_errors_are_those_of_the_tables_and_name_their_frames(
    copper: Path, frames: list[ase.Atoms]
) -> None:
    found = acegen.fit(copper, frames[:16], frames[16:], active_set=False, committee=0)
    for name, told in found.report()["largest_errors"].items():
        compared = {one.structure.frame.place: one for one in found.comparisons[name]}
        assert set(told) == {"energy", "forces", "virial"}
        for label, unit in (("energy", 1000.0), ("forces", 1.0), ("virial", 1000.0)):
            errors = {place: unit * np.abs(np.diff(getattr(one, label))).max() for place, one in compared.items()}
            np.testing.assert_allclose(told[label]["error"], max(errors.values()), rtol=1e-12)
            assert errors[told[label]["of"]] == max(errors.values())


@pytest.mark.parametrize("with_forces", [False, True])
def test_energies_of_molecules_beside_a_crystal_are_not_accused(
    copper: Path, frames: list[ase.Atoms], with_forces: bool
) -> None:
    """Forces of dimers near their minimum say little of their energy, compositions nothing."""
    copper = copper.with_name("more.yaml")
    copper.write_text(COPPER.replace("order: 2\ndegree: 5", "order: 2\ndegree: 8"))
    pairs = [ase.Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 2.0 + 0.2 * k]]) for k in range(6)]
    own = list(frames)
    for atoms in (*pairs, ase.Atoms("Cu3", positions=[[0, 0, 0], [0, 0, 2.3], [0, 2.2, 0]]), ase.Atoms("Cu")):
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        own.append(atoms)
    if not with_forces:
        energies = [atoms.calc.results["energy"] for atoms in own]
        own = [atoms.copy() for atoms in own]
        for atoms, energy in zip(own, energies, strict=True):
            atoms.info["energy"] = energy
    warnings = acegen.fit(copper, own, active_set=False, committee=0).warnings
    assert not [text for text in warnings if "energ" in text]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"energy": 1e300}, r"energy: expected numbers within \+-1e\+12 eV, found 1e\+300"),
        ({"energy": -2e12}, r"energy: .* found -2e\+12"),
        ({"energy": True}, "energy: expected numbers, found True"),
        ({"energy": 1.0, "virial": [1e200, 1, 1, 0, 0, 0]}, r"virial: .* eV, found 1e\+200"),
        ({"energy": 1.0, "stress": [1e200, 1, 1, 0, 0, 0]}, r"stress: .* eV/angstrom\^3, found 1e\+200"),
    ],
)
def test_labels_beyond_any_meaning_are_refused(labels: dict[str, Any], said: str) -> None:
    """Their squares overflow, or they were no numbers to begin with."""
    atoms = bulk("Cu", cubic=True)
    atoms.info |= labels
    with pytest.raises(InputError, match=r"set\.xyz: frame 0: " + said):
        label_structures([Frame("set.xyz", 0, atoms)], Keys())


def test_a_force_beyond_any_meaning_is_refused() -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.arrays["forces"] = np.full((4, 3), 1e200)
    with pytest.raises(InputError, match=r"set\.xyz: frame 0: forces: .* eV/angstrom, found 1e\+200 at \[0, 0\]"):
        label_structures([Frame("set.xyz", 0, atoms)], Keys())


@pytest.mark.parametrize("weight", [1e100, 1e300, 1e-300, 2e12])
def test_weights_beyond_any_meaning_are_refused(weight: float) -> None:
    with pytest.raises(InputError, match=r"weights: default: E: expected 0 or a number in 1e-12..1e12, found"):
        make_weighting({"default": {"E": weight}})


@pytest.mark.parametrize("lam", [1e308, 1e-300])
def test_lambda_beyond_any_meaning_is_refused(lam: float) -> None:
    with pytest.raises(InputError, match=r"lambda: expected 0 or a number in 1e-30..1e30 with solver 'ridge'"):
        make_settings({"solver": "ridge", "regularisation": lam})
