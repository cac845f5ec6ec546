"""The readers and the interpreter together reproduce every reference value of the PACE zoo.

Tolerances: 1e-12 of each site energy, 1e-10 of the largest force component, 1e-10 of the largest virial entry.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from zoo import KINDS, QUIRKS, Frame, frames, quirk

from acegen.interpreter import Interpreted, interpret
from acegen.pace.read import read_pace
from acegen.potential import Potential


def evaluate(potential: Potential, frame: Frame) -> Interpreted:
    atoms = frame.atoms
    species = [potential.species.index(symbol) for symbol in atoms.symbols]
    return interpret(potential, np.array(species), atoms.positions, atoms.cell.array, atoms.pbc)


def assert_forces(out: Interpreted, frame: Frame) -> None:
    assert np.abs(out.forces - frame.forces).max() <= 1e-10 * np.abs(frame.forces).max()
    assert np.abs(out.virial - frame.virial).max() <= 1e-10 * np.abs(frame.virial).max()
    assert np.abs(out.virials.sum(axis=0) - out.virial).max() <= 1e-12 * max(1.0, np.abs(out.virial).max())


@pytest.mark.parametrize("ending", ["yace", "yaml"])
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_zoo(shared: Path, kind: str, seed: int, ending: str) -> None:
    """All four structures of every kind, from the C-tilde file and (without E0) from the B-basis file."""
    folder = shared / "zoo" / f"{kind}-s{seed}"
    potential = read_pace(folder / f"{folder.name}.{ending}")
    e0 = np.zeros(len(potential.species))
    if ending == "yaml":
        twin = read_pace(folder / f"{folder.name}.yace")
        assert twin.species == potential.species
        e0 = np.array([centre.e0 for centre in twin.centres])
    for frame in frames(folder):
        out = evaluate(potential, frame)
        numbers = [potential.species.index(symbol) for symbol in frame.atoms.symbols]
        assert np.abs(out.energies + e0[numbers] - frame.energies).max() <= 1e-12 * np.abs(frame.energies).max()
        assert_forces(out, frame)


@pytest.mark.parametrize("name", QUIRKS)
def test_quirks(shared: Path, name: str) -> None:
    """Corner cases: every radial basis, inner mode, core repulsion, legacy keys, ACE.jl radial functions."""
    frame = quirk(shared, name)
    out = evaluate(read_pace(shared / "zoo" / "quirks" / f"{name}.yace"), frame)
    assert np.abs(out.energies - frame.energies).max() <= 1e-12 * np.abs(frame.energies).max()
    assert_forces(out, frame)


def test_quirks_are_all_covered(shared: Path) -> None:
    """The list of zoo.py is the folder."""
    assert {path.stem for path in (shared / "zoo" / "quirks").glob("*.yace")} == set(QUIRKS)


def test_published_copper(shared: Path, copper: Path) -> None:
    """The text format; its densities cancel from ~1e5 to ~1, so rounding is measured by the sum of |terms|."""
    potential = read_pace(copper)
    assert sum(len(centre.functions) for centre in potential.centres) >= 742
    weights = np.abs(potential.centres[0].weights)
    for frame in frames(shared / "zoo" / "Cu-PBE-core-rep"):
        out = evaluate(potential, frame)
        terms = (np.abs(out.basis) @ weights)[:, 0]
        allowed = 1e-12 * np.abs(frame.energies) + 4.0 * np.finfo(float).eps * terms
        assert np.all(np.abs(out.energies - frame.energies) <= allowed)
        assert_forces(out, frame)
