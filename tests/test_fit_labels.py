"""Labels are found under the names people use, in the right units and signs; what is wrong with them is told."""

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

from acegen.errors import InputError
from acegen.fitting.checks import check_structures, large_labels, suspicions
from acegen.fitting.keys import NO_KIND, label_structures
from acegen.fitting.settings import Keys
from acegen.fitting.structures import Frame, Structure, read_frames

STRESS = np.array([0.01, 0.02, 0.03, 0.004, 0.005, 0.006])
TENSOR = np.array([[0.01, 0.006, 0.005], [0.006, 0.02, 0.004], [0.005, 0.004, 0.03]])


def crystal() -> ase.Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=1)
    return atoms


def labelled(atoms: ase.Atoms | list[ase.Atoms], **keys: str) -> list[Structure]:
    frames = [Frame("set.xyz", k, one) for k, one in enumerate(atoms if isinstance(atoms, list) else [atoms])]
    return label_structures(frames, Keys(**keys))[0]


@pytest.mark.parametrize("prefix", ["", "REF_", "dft_", "DFT_"])
@pytest.mark.parametrize(
    ("energy", "forces", "tensor"),
    [("energy", "forces", "virial"), ("energy", "force", "stress"), ("free_energy", "forces", "virials")],
)
def test_usual_names_are_found(prefix: str, energy: str, forces: str, tensor: str, tmp_path: Path) -> None:
    """In a file, where ASE moves some of the names into a calculator, and in memory."""
    atoms = crystal()
    own = np.arange(12.0).reshape(4, 3) / 7.0
    volume = atoms.cell.volume
    if prefix or tensor != "stress":
        atoms.info[prefix + tensor] = TENSOR
    else:
        atoms.calc = SinglePointCalculator(atoms, stress=STRESS)
    atoms.info[prefix + energy] = -3.5
    atoms.arrays[prefix + forces] = own
    path = tmp_path / "one.xyz"
    write(path, atoms)
    expected = STRESS if tensor != "stress" else -volume * STRESS
    for frames in (read_frames(path, "train"), [Frame("train", 0, atoms)]):
        (found,), (report,) = label_structures(frames, Keys())
        assert found.energy == -3.5 and found.kind == NO_KIND
        np.testing.assert_allclose(found.forces, own, rtol=0, atol=1e-8)
        np.testing.assert_allclose(found.virial, expected, rtol=1e-12)
        assert {label: key for label, key, _ in report.keys}["energy"] == prefix + energy


def test_labels_of_a_calculator_are_taken_while_they_are_of_these_atoms() -> None:
    atoms = crystal()
    atoms.calc = EMT()
    energy = atoms.get_potential_energy()
    forces, stress = atoms.get_forces(), atoms.get_stress()
    (found,) = labelled(atoms)
    assert found.energy == energy
    np.testing.assert_array_equal(found.forces, forces)
    np.testing.assert_allclose(found.virial, -atoms.cell.volume * stress, rtol=1e-14)
    atoms.positions[0] += 0.1
    with pytest.raises(InputError, match="neither energies nor forces"):
        labelled(atoms)


def test_names_written_for_a_fit_come_before_others_and_given_names_before_all() -> None:
    atoms = crystal()
    atoms.info |= {"energy": 1.0, "REF_energy": 2.0, "E_mine": 3.0}
    assert labelled(atoms)[0].energy == 2.0
    assert labelled(atoms, energy="E_mine")[0].energy == 3.0
    with pytest.raises(InputError, match=r"set.xyz: no frame has the energy key 'nope', the first frame has .*E_mine"):
        labelled(atoms, energy="nope")


def test_missing_labels_are_counted_and_left_out() -> None:
    with_all, bare = crystal(), crystal()
    with_all.info |= {"energy": 1.0, "virial": TENSOR}
    with_all.arrays["forces"] = np.zeros((4, 3))
    bare.info["energy"] = 2.0
    frames = [Frame("set.xyz", 0, with_all), Frame("set.xyz", 1, bare)]
    structures, (report,) = label_structures(frames, Keys())
    assert structures[1].forces is None and structures[1].virial is None
    assert report.sentence() == (
        "set.xyz: 2 structures, energy from 'energy', forces from 'forces' (1 of 2), virial from 'virial' (1 of 2)"
    )


def named(**labels: Any) -> ase.Atoms:
    """A crystal with labels of these names; forces are those of more than one number."""
    atoms = crystal()
    for name, value in labels.items():
        (atoms.arrays if np.ndim(value) == 2 and np.shape(value)[0] == 4 else atoms.info)[name] = value
    return atoms


def test_every_frame_is_read_under_its_own_names() -> None:
    """None is lost where frames of one file name a label differently."""
    own = np.ones((4, 3))
    frames = [named(energy=1.0, force=own, virial=TENSOR)] * 2 + [named(energy=1.0, forces=2 * own, stress=TENSOR)]
    structures, (report,) = label_structures([Frame("set.xyz", k, one) for k, one in enumerate(frames)], Keys())
    assert [one.forces[0, 0] for one in structures] == [1.0, 1.0, 2.0]
    np.testing.assert_allclose(structures[2].virial, -crystal().cell.volume * structures[0].virial, rtol=1e-12)
    assert report.sentence() == (
        "set.xyz: 3 structures, energy from 'energy', forces from 'force' (2 of 3), 'forces' (1 of 3), "
        "virial from 'virial' (2 of 3), stress from 'stress' (1 of 3)"
    )
    assert report.warnings == ()


def test_names_of_two_calculations_are_told() -> None:
    own = np.ones((4, 3))
    frames = [named(REF_energy=1.0, forces=own), named(energy=1.0, forces=own), named(energy=1.0, forces=own)]
    _, (report,) = label_structures([Frame("set.xyz", k, one) for k, one in enumerate(frames)], Keys())
    assert report.warnings == (
        "set.xyz: 1 of 3 structures have energies under 'REF_energy' and forces under 'forces': are they of one "
        "calculation?",
        "set.xyz: energy under 'REF_energy' in 1 and under 'energy' in 2 of 3 structures: are they of one calculation?",
    )


def test_labels_under_another_name_than_the_given_one_are_counted() -> None:
    own = np.ones((4, 3))
    frames = [named(REF_energy=1.0, F_mine=own)] + [named(REF_energy=1.0, forces=own)] * 2
    structures, (report,) = label_structures(
        [Frame("set.xyz", k, one) for k, one in enumerate(frames)], Keys(forces="F_mine")
    )
    assert [one.forces is None for one in structures] == [False, True, True]
    assert report.warnings == (
        "set.xyz: 2 of 3 structures have no 'F_mine', but 'forces': it is not used, for another key was asked for",
    )


@pytest.mark.parametrize(("key", "value"), [("config_type", "liquid"), ("Group", "bulk"), ("type", "md"), ("tag", 3)])
def test_types_are_found(key: str, value: object) -> None:
    atoms = crystal()
    atoms.info |= {"energy": 1.0, key: value}
    assert labelled(atoms)[0].kind == str(value)


def test_frames_of_one_file_are_named_by_it_and_their_number(tmp_path: Path) -> None:
    path = tmp_path / "two.xyz"
    first, second = crystal(), crystal()
    first.info["energy"], second.info["energy"] = 1.0, 2.0
    write(path, [first, second])
    frames = read_frames([path, path], "train")
    assert [frame.place for frame in frames[:2]] == [f"{path}: frame 0", f"{path}: frame 1"]
    text = path.read_text()
    path.write_text(text + "4\nnot a structure\n")
    with pytest.raises(InputError, match=r"two.xyz: frame 2: expected 4 atoms, the file ends after 0"):
        read_frames(path, "train")
    path.write_text(text + "1\n\nCu 0 zero 0\n")
    with pytest.raises(InputError, match=r"two.xyz: frame .*not a structure that ASE reads"):
        read_frames(path, "train")
    path.write_text(text + "\n" + text)
    with pytest.raises(InputError, match=r"two.xyz: line 13 is blank, and line 14 is not"):
        read_frames(path, "train")
    path.write_text("\ufeff" + text, encoding="utf-8")
    with pytest.raises(
        InputError, match=r"two.xyz: begins with a byte order mark, expected extended XYZ as UTF-8 text"
    ):
        read_frames(path, "train")
    path.write_text(text + "\n\n")
    assert len(read_frames(path, "train")) == 2
    with pytest.raises(InputError, match="expected a file of structures"):
        read_frames(tmp_path / "none.xyz", "train")


def spoiled(**changes: Any) -> ase.Atoms:
    """A crystal with labels, some of them wrong."""
    atoms = crystal()
    atoms.info["energy"] = changes.pop("energy", 1.0)
    atoms.arrays["forces"] = np.asarray(changes.pop("forces", np.zeros((4, 3))))
    if "stress" in changes:
        atoms.info["REF_stress"] = changes.pop("stress")
    for name, value in changes.items():
        setattr(atoms, name, value)
    return atoms


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (spoiled(energy=np.nan), r"frame 0: energy: expected finite numbers"),
        (spoiled(energy="low"), r"frame 0: energy: expected numbers, found 'low'"),
        (spoiled(forces=np.full((4, 3), np.inf)), r"frame 0: forces: expected finite numbers.* at \[0, 0\]"),
        (spoiled(forces=np.zeros((4, 2))), r"frame 0: forces: expected shape \[4, 3\], found \[4, 2\]"),
        (spoiled(stress=np.arange(9.0).reshape(3, 3)), r"frame 0: REF_stress: expected a symmetric tensor"),
        (spoiled(stress=np.zeros(5)), r"frame 0: REF_stress: expected shape \[6\] or \[9\] or \[3, 3\]"),
        (spoiled(stress=STRESS, pbc=[True, True, False]), r"frame 0: REF_stress: a stress needs a cell"),
        (crystal(), r"set.xyz: neither energies nor forces found.*no labels at all"),
    ],
)
def test_wrong_labels_are_told_with_file_and_frame(atoms: ase.Atoms, message: str) -> None:
    with pytest.raises(InputError, match=message):
        labelled(atoms)


def on_top() -> ase.Atoms:
    atoms = spoiled()
    atoms.positions[2] = atoms.positions[1] + [0.05, 0.0, 0.0]
    return atoms


def lost() -> ase.Atoms:
    atoms = spoiled()
    atoms.positions[3, 0] = 1e9
    return atoms


def displaced() -> ase.Atoms:
    atoms = spoiled()
    atoms.positions[0, 1] = np.nan
    return atoms


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (on_top(), r"set.xyz: frame 1: atoms 1 and 2 are closer than 0.1 angstrom"),
        (displaced(), r"set.xyz: frame 1: positions: expected finite lengths"),
        (lost(), r"set.xyz: frame 1: atom 3 at \[.*1000000000.0.*\] is 2.77e\+08 periodic boxes away.*wrap it"),
        (spoiled(numbers=[29, 29, 79, 29]), r"set.xyz: frame 1: atom 2 is Au, the specification has Cu"),
    ],
)
def test_unusable_structures_are_told_with_file_and_frame(atoms: ase.Atoms, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_structures(labelled([spoiled(), atoms]), ("Cu",))


def test_good_structures_pass_without_suspicion() -> None:
    structures = labelled([spoiled(energy=1.0), spoiled(energy=1.1)])
    check_structures(structures, ("Cu",))
    assert suspicions(structures, ("Cu",)) == [] == large_labels(structures, ("Cu",))


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (spoiled(forces=np.full((4, 3), 2500.0)), r"set.xyz: frame 1: a force of 4330 eV/angstrom"),
        (spoiled(stress=900.0 * STRESS), r"set.xyz: frame 1: a stress of 27 eV/angstrom\^3, which is 4326 GPa"),
        (spoiled(energy=-3500.0), r"set.xyz: frame 1: its energy is 875.2 eV per atom away"),
    ],
)
def test_labels_of_another_size_are_suspected(atoms: ase.Atoms, message: str) -> None:
    (found,) = large_labels(labelled([spoiled(), atoms, spoiled(energy=1.1)]), ("Cu",))
    assert re.search(message, found), found


def test_the_same_forces_at_other_positions_are_suspected() -> None:
    """Structures written with one calculator of ASE all carry the results of its last evaluation."""
    other = spoiled()
    other.rattle(0.05, seed=2)
    forces = np.arange(12.0).reshape(4, 3)
    for atoms in (same := spoiled(), other):
        atoms.calc = None
        atoms.info["energy"], atoms.arrays["forces"] = 1.0, forces
    (found,) = suspicions(labelled([same, other]), ("Cu",))
    assert found.startswith("set.xyz: frame 1: the forces of frame 0 at other positions: are they labels of")
    assert suspicions(labelled([same, same.copy()]), ("Cu",)) == []


def test_elements_never_seen_are_named() -> None:
    (found,) = suspicions(labelled([spoiled(), spoiled()]), ("Cu", "Au"))
    assert found.startswith("Au: in the specification, but in no training structure")


def test_published_structures_are_read_with_their_labels(shared: Path) -> None:
    """Force and virial under QUIP's names, and types: the sets that examples/fit is about."""
    structures, (report,) = label_structures(read_frames(shared / "data/tial/TiAl_tutorial.xyz", "train"), Keys())
    assert {label: (key, count) for label, key, count in report.keys} == {
        "energy": ("energy", 329),
        "forces": ("force", 329),
        "virial": ("virial", 329),
        "type": ("config_type", 329),
    }
    check_structures(structures, ("Ti", "Al"))
    assert {structure.kind for structure in structures} == {"FLD_TiAl", "TiAl_T5000"}
    # the tutorial file gives frame 318 the labels of frame 317
    (found,) = suspicions(structures, ("Ti", "Al"))
    assert "frame 318: the forces of frame 317 at other positions" in found
    silicon, (report,) = label_structures(read_frames(shared / "data/zuo2020/Si_test.xyz", "test"), Keys())
    assert report.missing == ("stress", "virial") and len(silicon) == 25
