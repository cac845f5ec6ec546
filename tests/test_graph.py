"""Graphs: edges equal a brute-force sum over images for every kind of cell; wrong arrays are refused by name."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from pair_kernel import brute_force_edges

from acegen.runtime import GraphBatch
from acegen.runtime.arrays import float_array

SPECIES = ("Cu", "Au")
SKEWED = np.array([[3.0, 0.0, 0.0], [1.0, 3.2, 0.0], [0.5, -0.7, 2.9]])
CELLS = {
    "skewed, smaller than the cutoff": SKEWED,
    "left-handed": SKEWED[[1, 0, 2]],
    "large": 3.7 * SKEWED,
    "flat": np.diag([9.0, 9.0, 2.1]),
}


def edges_of(graph: GraphBatch) -> list[tuple[int, int, tuple[int, ...]]]:
    """(i, j, multiples) of a graph of one structure, sorted."""
    centres = np.repeat(np.arange(graph.n_atoms), np.diff(graph.first_edge))
    multiples = np.zeros((graph.n_edges, 3), int)
    if graph.edge_shift is not None:
        multiples = graph.shift_multiples[graph.edge_shift]
    rows = zip(centres.tolist(), graph.edge_to.tolist(), map(tuple, multiples.tolist()), strict=True)
    return sorted(rows)


def vectors_of(graph: GraphBatch) -> np.ndarray:
    """r_ij of every edge."""
    if graph.edge_vectors is not None:
        return graph.edge_vectors
    centres = np.repeat(np.arange(graph.n_atoms), np.diff(graph.first_edge))
    vectors = graph.positions[graph.edge_to] - graph.positions[centres]
    return vectors if graph.edge_shift is None else vectors + graph.shifts[graph.edge_shift]


@pytest.mark.parametrize("pbc", list(itertools.product([False, True], repeat=3)), ids=str)
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
@pytest.mark.parametrize("scatter", [0.0, 9.0], ids=["inside", "far outside"])
def test_edges_match_brute_force(pbc, cell, scatter):
    """Every boundary condition, with atoms inside the cell and many cells away, open directions with a zero vector."""
    rng = np.random.default_rng(7)
    positions = rng.random((5, 3)) @ cell + scatter * rng.standard_normal((5, 3))
    expected = brute_force_edges(positions, cell, pbc, 4.1)
    for given in (cell, cell * np.array(pbc)[:, None]):
        graph = GraphBatch.from_atoms(Atoms("Cu5", positions, cell=given, pbc=pbc), 4.1, species=SPECIES)
        assert edges_of(graph) == expected
        assert (np.linalg.norm(vectors_of(graph), axis=1) < 4.1).all()


def test_skin_reaches_further():
    """The list holds all pairs closer than cutoff + skin, and says so."""
    atoms = bulk("Cu", cubic=True)
    graph = GraphBatch.from_atoms(atoms, 4.0, skin=0.7, species=SPECIES)
    assert edges_of(graph) == brute_force_edges(atoms.positions, atoms.cell.array, [True] * 3, 4.7)
    assert graph.cutoff == pytest.approx(4.7, rel=1e-15)


def test_cutoff_is_strict():
    """A pair exactly at the cutoff is no edge."""
    atoms = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.0]])
    assert GraphBatch.from_atoms(atoms, 2.0, species=SPECIES).n_edges == 0
    assert GraphBatch.from_atoms(atoms, 2.0000001, species=SPECIES).n_edges == 2


@pytest.mark.parametrize("distance", [1e4, 1e7, 1e12])
@pytest.mark.parametrize("pbc", [[False] * 3, [True, False, False]], ids=["open", "wire"])
def test_fragments_far_apart(distance, pbc):
    """Fragments any distance apart neither crash the neighbour search nor see each other."""
    pair = np.array([[0, 0, 0], [0.5, 1.0, 0.25]])
    positions = np.concatenate([pair, pair + distance * np.array([0.0, 1.0, 1.0]), pair - [0.0, 0.0, distance]])
    graph = GraphBatch.from_atoms(Atoms("Cu6", positions, cell=np.diag([9.0, 0, 0]), pbc=pbc), 2.0, species=SPECIES)
    assert sorted(graph.edge_to.tolist()) == [0, 1, 2, 3, 4, 5]
    assert graph.edge_shift is None


def test_batch_is_the_concatenation():
    """A batch holds the edges of its structures, shifted by the first atom of each."""
    slab = Atoms("CuAu", [[0, 0, 0], [1.0, 1.0, 1.0]], cell=[3, 3, 0], pbc=[True, True, False])
    frames = [bulk("Cu", cubic=True), Atoms(), slab, Atoms("Au"), Atoms("Cu2", [[0, 0, 0], [0, 0, 2.0]]), Atoms()]
    batch = GraphBatch.from_atoms(frames, 4.0, species=SPECIES)
    assert batch.first_atom.tolist() == [0, 4, 4, 6, 7, 9, 9]
    assert batch.species.tolist() == [0, 0, 0, 0, 0, 1, 1, 0, 0]
    assert batch.pbc.tolist() == [frame.pbc.tolist() for frame in frames]
    vectors = vectors_of(batch)
    for k, frame in enumerate(frames):
        alone = GraphBatch.from_atoms(frame, 4.0, species=SPECIES)
        atoms = slice(batch.first_atom[k], batch.first_atom[k + 1] + 1)
        edges = slice(batch.first_edge[atoms.start], batch.first_edge[atoms.stop - 1])
        assert (batch.first_edge[atoms] - batch.first_edge[atoms.start]).tolist() == alone.first_edge.tolist()
        assert (batch.edge_to[edges] - batch.first_atom[k]).tolist() == alone.edge_to.tolist()
        np.testing.assert_array_equal(vectors[edges], vectors_of(alone))


def test_shifts_are_shared():
    """Equal translations of one structure are stored once."""
    frames = [bulk("Cu", cubic=True) * (2, 2, 2), bulk("Au", cubic=True) * (2, 2, 2)]
    batch = GraphBatch.from_atoms(frames, 4.0, species=SPECIES)
    distinct = set(zip(batch.shift_system.tolist(), map(tuple, batch.shift_multiples.tolist()), strict=True))
    assert len(distinct) == len(batch.shifts) <= 2 * 27
    np.testing.assert_array_equal(
        batch.shifts, np.einsum("ka,kac->kc", batch.shift_multiples, batch.cells[batch.shift_system])
    )


def test_empty_batches():
    """No structure, an empty structure and a lone atom are graphs without edges."""
    assert GraphBatch.from_atoms([], 4.0, species=SPECIES).n_systems == 0
    assert GraphBatch.from_atoms(Atoms(), 4.0, species=SPECIES).n_atoms == 0
    lone = GraphBatch.from_atoms(Atoms("Cu"), 4.0, species=SPECIES)
    assert (lone.n_atoms, lone.n_edges, lone.max_neighbours, lone.edge_shift) == (1, 0, 0, None)


@pytest.fixture
def random_arrays():
    """A periodic structure as shuffled edge arrays, and the graph made of the structure itself."""
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.rattle(0.1, seed=3)
    graph = GraphBatch.from_atoms(atoms, 4.0, species=SPECIES)
    centres = np.repeat(np.arange(8), np.diff(graph.first_edge))
    order = np.random.default_rng(5).permutation(graph.n_edges)
    multiples = graph.shift_multiples[graph.edge_shift]
    return atoms, graph, {"from": centres[order], "to": graph.edge_to[order], "shift": multiples[order]}, order


@pytest.mark.parametrize("kind", ["multiples", "cartesian", "vectors"])
def test_arrays_in_any_order(random_arrays, kind):
    """Shuffled edges give the same edges per atom, and in_caller_order undoes the sorting."""
    atoms, graph, edges, order = random_arrays
    given = {"species": np.zeros(8, np.int64), "edge_from": edges["from"], "edge_to": edges["to"]}
    if kind == "multiples":
        given |= {"positions": atoms.positions, "shifts": edges["shift"], "cells": atoms.cell.array}
    elif kind == "cartesian":
        given |= {"positions": atoms.positions, "shifts": edges["shift"] @ atoms.cell.array}
    else:
        given["edge_vectors"] = vectors_of(graph)[order]
    again = GraphBatch.from_arrays(**given)
    np.testing.assert_array_equal(again.first_edge, graph.first_edge)
    expected = vectors_of(graph)[order]
    np.testing.assert_allclose(again.in_caller_order(vectors_of(again)), expected, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(again.in_caller_order(again.edge_to.astype(float)), edges["to"])


def test_sorted_arrays_with_offsets(random_arrays):
    """first_edge instead of edge_from: the order is kept and no permutation stored."""
    atoms, graph, _, _ = random_arrays
    again = GraphBatch.from_arrays(
        species=graph.species,
        positions=atoms.positions,
        first_edge=graph.first_edge,
        edge_to=graph.edge_to,
        shifts=graph.shift_multiples[graph.edge_shift],
        cells=atoms.cell.array,
    )
    assert again.edge_order is None
    np.testing.assert_array_equal(vectors_of(again), vectors_of(graph))
    assert again.pbc.all()


def test_with_positions_moves_atoms_and_cell():
    """New positions keep the edges; a new cell moves the shifts along."""
    atoms = bulk("Cu", cubic=True)
    graph = GraphBatch.from_atoms(atoms, 4.0, species=SPECIES)
    strained = atoms.copy()
    strained.set_cell(atoms.cell.array @ (np.eye(3) + 0.01 * np.arange(9).reshape(3, 3)), scale_atoms=True)
    moved = graph.with_positions(strained.positions, strained.cell.array)
    expected = vectors_of(graph) @ (np.eye(3) + 0.01 * np.arange(9).reshape(3, 3))
    np.testing.assert_allclose(vectors_of(moved), expected, rtol=0, atol=1e-14)
    same = graph.with_positions(atoms.positions + 1.0)
    np.testing.assert_allclose(vectors_of(same), vectors_of(graph), rtol=0, atol=1e-14)


def test_graph_is_private_and_read_only():
    """The caller's arrays are copied, those of the graph cannot be edited behind its checks."""
    positions = np.array([[0, 0, 0], [2.0, 0, 0]])
    graph = GraphBatch.from_arrays(species=[0, 0], positions=positions, edge_from=[0, 1], edge_to=[1, 0])
    positions[0, 0] = np.nan
    assert np.isfinite(graph.positions).all()
    with pytest.raises(ValueError, match="read-only"):
        graph.positions[0, 0] = np.nan


def test_converted_arrays_are_contiguous():
    """Fortran order, strides, float32 and lists are converted, not refused."""
    array = float_array("a", np.asfortranarray(np.arange(12, dtype=np.float32).reshape(4, 3))[::2], (2, 3))
    assert array.flags.c_contiguous and array.dtype == np.float64
