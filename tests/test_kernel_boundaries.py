"""Kernels where structures end: at the cutoff, without neighbours, without atoms, in cells smaller than the cutoff."""

from __future__ import annotations

from pathlib import Path

import ase
import numpy as np
import pytest
from cases import CASES, Case, make_case
from kernels import Kernels
from structures import lattice, worst

from acegen import GraphBatch

ALL = ("energy", "energies", "forces", "virial", "virials", "basis")
LIMIT = 1e-12


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, kernels: Kernels, spec_folder: Path) -> Case:
    return make_case(request.param, request, kernels, spec_folder)


def assert_interpreted(case: Case, atoms: ase.Atoms) -> None:
    """The kernel agrees with the reference interpreter."""
    found, expected = case.model.evaluate(atoms, ALL), case.interpret(atoms)
    assert worst(found.energies, expected.energies) <= LIMIT
    # forces may vanish by symmetry: measured by what they are summed from
    scale = max(np.abs(expected.forces).max(), np.abs(expected.virials).max() / case.model.cutoff)
    assert np.abs(found.forces - expected.forces).max() <= LIMIT * scale
    assert worst(found.virial[0], expected.virial) <= LIMIT
    assert worst(found.virials, expected.virials) <= LIMIT
    assert worst(found.basis, expected.basis) <= LIMIT


def approaching(case: Case, a: int, b: int, distance: float) -> GraphBatch:
    """A centre of species a with three neighbours, the last one, of species b, at `distance`."""
    near = 0.55 * float(case.model.cutoffs.min())
    tilt = np.array([0.36, 0.48, 0.8])
    vectors = np.array([[near, 0.0, 0.1], [-0.3, near, 0.2], distance * tilt])
    around = [k % len(case.model.species) for k in (a, b + 1)]
    return GraphBatch.from_arrays(
        species=np.array([a, *around, b], np.int32),
        edge_from=np.zeros(3, np.int32),
        edge_to=np.array([1, 2, 3], np.int32),
        edge_vectors=vectors,
    )


def test_smooth_at_the_cutoff(case: Case) -> None:
    """As a neighbour leaves, what it adds vanishes like the square of the distance to the cutoff, or faster, and
    its gradient linearly; exactly at the cutoff it is gone."""
    if case.name == "splined":
        pytest.skip("ACE1's natural splines leave a small slope at the cutoff: that jump belongs to the model")
    n = len(case.model.species)
    for a, b in sorted({(0, 0), (0, n - 1), (n - 1, 0)}):
        cutoff = float(case.model.cutoffs[a, b])
        out = case.model.evaluate(approaching(case, a, b, cutoff + 1e-9), ("energies", "edge_gradients"))
        assert not out.edge_gradients[2].any()
        added, slopes = [], []
        for distance in (1e-4, 1e-6):
            now = case.model.evaluate(approaching(case, a, b, cutoff - distance), ("energies", "edge_gradients"))
            added.append(abs(now.energies[0] - out.energies[0]))
            slopes.append(np.abs(now.edge_gradients[2]).max())
        scale = np.abs(out.edge_gradients).max()
        assert slopes[0] <= 1e-2 * scale
        assert slopes[1] <= 0.011 * slopes[0] + 1e-12 * scale
        assert added[1] <= 1.1e-4 * added[0] + 1e-13 * max(1.0, abs(out.energies[0]))


def test_strictly_below_the_cutoff(case: Case) -> None:
    """A neighbour exactly at the cutoff of its pair does not count."""
    cutoff = float(case.model.cutoffs[0, 0])
    rows = []
    for distance in (cutoff, 1.5 * cutoff):
        graph = GraphBatch.from_arrays(
            species=np.zeros(2, np.int32),
            edge_from=np.zeros(1, np.int32),
            edge_to=np.ones(1, np.int32),
            edge_vectors=np.array([[0.0, 0.0, distance]]),
        )
        rows.append(case.model.evaluate(graph, (*ALL, "edge_gradients")))
    for name in (*ALL, "edge_gradients"):
        assert np.array_equal(getattr(rows[0], name), getattr(rows[1], name)), name


def test_isolated_atoms(case: Case) -> None:
    """Every species alone: the reference energy, no forces; the same in a large structure without neighbours."""
    alone = [ase.Atoms([symbol], positions=[[0.3, -0.2, 5.0]]) for symbol in case.model.species]
    out = case.model.evaluate(alone, ALL)
    for k, atoms in enumerate(alone):
        assert out.energy[k] == pytest.approx(case.interpret(atoms).energy, rel=1e-14, abs=1e-14)
    assert not out.forces.any()
    assert not out.virial.any()
    assert not out.virials.any()
    assert not out.basis.any()
    spread = lattice(case.model, (3, 2, 2), spacing=1.5)
    apart = case.model.evaluate(spread, ALL)
    expected = np.array([out.energy[case.model.species.index(symbol)] for symbol in spread.symbols])
    assert np.array_equal(apart.energies, expected)
    assert not apart.forces.any()


def test_empty_systems(case: Case) -> None:
    """No atoms at all, and structures without atoms between others."""
    nothing = case.model.evaluate(ase.Atoms(), ALL)
    assert nothing.energy.tolist() == [0.0]
    assert nothing.forces.shape == (0, 3)
    assert not nothing.virial.any()
    assert nothing.basis.shape == (0, case.model.n_basis)
    assert case.model.evaluate([], ALL).energy.shape == (0,)
    some = case.structures[0]
    out, alone = case.model.evaluate([ase.Atoms(), some, ase.Atoms()], ALL), case.model.evaluate(some, ALL)
    assert np.array_equal(out.energy, [0.0, alone.energy[0], 0.0])
    assert np.array_equal(out.forces, alone.forces)
    assert np.array_equal(out.virial[1], alone.virial[0])
    assert not out.virial[[0, 2]].any()


def test_absent_species(case: Case) -> None:
    """Structures of one species of a model of several, and of the others without it."""
    if len(case.model.species) == 1:
        pytest.skip("a model of one species")
    for k, symbol in enumerate(case.model.species[:3]):
        assert_interpreted(case, lattice(case.model, (2, 2, 1), k, species=[symbol]))
        others = [other for other in case.model.species if other != symbol]
        assert_interpreted(case, lattice(case.model, (2, 2, 1), k, species=others))


def test_small_cell_equals_its_supercell(case: Case) -> None:
    """Cells far below twice the cutoff hold several images of the same atom, itself among them."""
    for repeats in ((1, 1, 1), (2, 1, 1)):
        small = lattice(case.model, repeats, 5)
        large = small.repeat((3, 2, 4))
        found, expected = case.model.evaluate(large, ALL), case.model.evaluate(small, ALL)
        copies = len(large) // len(small)
        assert worst(found.energies.reshape(copies, -1), np.tile(expected.energies, (copies, 1))) <= LIMIT
        forces = np.tile(expected.forces, (copies, 1))
        assert np.abs(found.forces - forces).max() <= LIMIT * np.abs(expected.virials).max() / case.model.cutoff
        assert worst(found.virial[0], copies * expected.virial[0]) <= LIMIT
        graph = GraphBatch.from_atoms(small, case.model)
        assert (graph.edge_to == 0).sum() > 1
        assert_interpreted(case, small)


@pytest.mark.parametrize("pbc", [(True, True, False), (False, False, True), (True, False, True), (False, False, False)])
def test_mixed_boundary_conditions(case: Case, pbc: tuple[bool, bool, bool]) -> None:
    """Slabs, wires and clusters in a skewed cell, against the interpreter's brute-force images."""
    assert_interpreted(case, lattice(case.model, (2, 1, 2), 6, pbc=pbc))


def test_dense_structures(case: Case) -> None:
    """Where core repulsion and inner cutoffs act."""
    assert_interpreted(case, case.structures[-1])
    if case.potential.switching != "none":
        core = [bond.core for row in case.potential.bonds for bond in row]
        assert any(core)
