"""Graphs: edges equal a brute-force sum over images for every kind of cell; wrong arrays are refused by name."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from pair_kernel import brute_force_edges

from acegen.errors import InputError
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


PAIR = {"species": [0, 1], "positions": [[0, 0, 0], [2.0, 0, 0]], "edge_from": [0, 1], "edge_to": [1, 0]}
WRONG = {
    "species: expected an array of integers, found float64": {"species": [0.0, 1.0]},
    r"species: expected shape \[any\], found \[1, 2\]": {"species": [[0, 1]]},
    r"species: entry 1 is -1, expected 0 to": {"species": [0, -1]},
    r"species: entry 1 is 2, expected 0 to 1 \(species indices\)": {"species": [0, 2], "symbols": SPECIES},
    "species: expected an array of integers, found <U2": {"species": ["Cu", "Au"]},
    r"positions: expected shape \[2, 3\], found \[2, 2\]": {"positions": [[0, 0], [1, 1]]},
    r"positions: expected finite numbers in angstrom, found nan at \(1, 0\)": {
        "positions": [[0, 0, 0], [np.nan, 0, 0]]
    },
    r"positions: expected finite numbers in angstrom, found inf": {"positions": [[0, 0, 0], [np.inf, 0, 0]]},
    "positions: expected an array of real numbers, found complex128": {"positions": np.zeros((2, 3)) * 1j},
    "positions: expected an array, found rows of different lengths": {"positions": [[0, 0, 0], [1]]},
    "positions: expected either positions or edge_vectors, found neither": {"positions": None},
    "positions: expected either positions or edge_vectors, found both": {"edge_vectors": np.zeros((2, 3))},
    r"edge_to: entry 0 is 2, expected 0 to 1 \(atoms of the batch\)": {"edge_to": [2, 0]},
    r"edge_from: entry 1 is -1, expected 0 to 1": {"edge_from": [0, -1]},
    r"edge_from: expected shape \[2\], found \[1\]": {"edge_from": [0]},
    "edge_from: expected either edge_from or first_edge, found neither": {"edge_from": None},
    "edge_from: expected either edge_from or first_edge, found both": {"first_edge": [0, 1, 2]},
    "first_edge: expected offsets from 0 to 2, found from 0 to 3": {"edge_from": None, "first_edge": [0, 1, 3]},
    "first_edge: offsets must not decrease, found 3 then 2 at 2": {"edge_from": None, "first_edge": [0, 3, 2]},
    r"first_edge: expected shape \[3\], found \[2\]": {"edge_from": None, "first_edge": [0, 2]},
    "edge_to: edge 0 joins atom 0 of structure 0 and atom 1 of structure 1": {"first_atom": [0, 1, 2]},
    "first_atom: expected offsets from 0 to 2, found from 0 to 1": {"first_atom": [0, 1]},
    "first_atom: expected either first_atom or n_atoms, found both": {"first_atom": [0, 2], "n_atoms": [2]},
    r"n_atoms: expected counts >= 0 that sum to 2 \(species\), found \[3\]": {"n_atoms": [3]},
    "edge_to: edge 1 joins atom 0 with itself, expected a periodic image": {"edge_from": [0, 0], "edge_to": [1, 0]},
    "shifts: integers are multiples of the cell vectors, expected cells": {"shifts": np.ones((2, 3), int)},
    r"shifts: expected shape \[2, 3\], found \[3, 3\]": {"shifts": np.ones((3, 3), int)},
    "shifts: expected only with positions": {
        "positions": None,
        "edge_vectors": np.ones((2, 3)),
        "shifts": np.ones((2, 3)),
    },
    r"cells: expected shape \[1, 3, 3\], found \[2, 3, 3\]": {"cells": np.zeros((2, 3, 3))},
    r"pbc: expected bool of shape \[\], \[3\] or \[1, 3\], found int64 \[3\]": {"pbc": [1, 1, 0]},
    "edge_to: expected numbers that fit int32": {"edge_to": [2**40, 0]},
}


@pytest.mark.parametrize("message", WRONG, ids=str)
def test_wrong_arrays_are_named(message):
    """Each wrong argument is refused before any kernel, in one sentence that names it."""
    with pytest.raises(InputError, match=message):
        GraphBatch.from_arrays(**{**PAIR, **WRONG[message]})


def test_wrong_structures_are_named():
    """Structures that cannot be used: the message names frame, atom and reason."""
    good, foreign = Atoms("Cu"), Atoms("CuFe", [[0, 0, 0], [1, 1, 1.0]])
    with pytest.raises(InputError, match=r"atoms\[1\]: atom 1 is Fe, expected one of Cu, Au"):
        GraphBatch.from_atoms([good, foreign], 4.0, species=SPECIES)
    with pytest.raises(InputError, match="atoms: atom 1 is Fe"):
        GraphBatch.from_atoms(foreign, 4.0, species=SPECIES)
    with pytest.raises(InputError, match=r"atoms.positions: expected finite numbers"):
        GraphBatch.from_atoms(Atoms("Cu", [[np.nan, 0, 0]]), 4.0, species=SPECIES)
    with pytest.raises(InputError, match=r"atoms: pbc\[1\] is True, but its cell vector is zero"):
        GraphBatch.from_atoms(Atoms("Cu", cell=[3, 0, 3], pbc=True), 4.0, species=SPECIES)
    flat = Atoms("Cu", cell=[[3, 0, 0], [0, 3, 0], [3, 3, 0]], pbc=True)
    with pytest.raises(InputError, match="the periodic cell vectors are linearly dependent"):
        GraphBatch.from_atoms(flat, 4.0, species=SPECIES)
    with pytest.raises(InputError, match=r"the periodic cell is 0.001 angstrom thin"):
        GraphBatch.from_atoms(Atoms("Cu", cell=[3, 3, 0.001], pbc=True), 4.0, species=SPECIES)
    with pytest.raises(InputError, match=r"atoms: expected ase.Atoms or a sequence of them, found str at index 1"):
        GraphBatch.from_atoms([good, "Cu"], 4.0, species=SPECIES)
    with pytest.raises(InputError, match=r"atoms: expected ase\.Atoms or a sequence of them, found int"):
        GraphBatch.from_atoms(3, 4.0, species=SPECIES)


def test_wrong_cutoffs_are_named():
    """Cutoff, skin and species are checked."""
    with pytest.raises(InputError, match="skin: expected a length in angstrom >= 0, found -1"):
        GraphBatch.from_atoms(Atoms("Cu"), 4.0, skin=-1, species=SPECIES)
    with pytest.raises(InputError, match="model: expected a model or a cutoff in angstrom > 0, found nan"):
        GraphBatch.from_atoms(Atoms("Cu"), float("nan"), species=SPECIES)
    with pytest.raises(InputError, match="model: expected a model or a cutoff in angstrom > 0, found str"):
        GraphBatch.from_atoms(Atoms("Cu"), "model")
    with pytest.raises(InputError, match="species: expected the symbols in the order of the species indices"):
        GraphBatch.from_atoms(Atoms("Cu"), 4.0)


def test_wrong_moves_are_named():
    """with_positions checks as from_arrays does, and refuses what it cannot move."""
    graph = GraphBatch.from_arrays(**PAIR)
    with pytest.raises(InputError, match=r"positions: expected shape \[2, 3\], found \[1, 3\]"):
        graph.with_positions(np.zeros((1, 3)))
    cartesian = GraphBatch.from_arrays(**PAIR, shifts=np.ones((2, 3)))
    with pytest.raises(InputError, match="cells: the shifts of this graph are Cartesian"):
        cartesian.with_positions(np.zeros((2, 3)), np.eye(3))
    vectors = GraphBatch.from_arrays(**{**PAIR, "positions": None, "edge_vectors": np.ones((2, 3))})
    with pytest.raises(InputError, match="positions: this graph was made of edge_vectors"):
        vectors.with_positions(np.zeros((2, 3)))


def test_converted_arrays_are_contiguous():
    """Fortran order, strides, float32 and lists are converted, not refused."""
    array = float_array("a", np.asfortranarray(np.arange(12, dtype=np.float32).reshape(4, 3))[::2], (2, 3))
    assert array.flags.c_contiguous and array.dtype == np.float64


def test_counts_that_wrap_are_refused():
    """Counts whose sum overflows to the number of atoms never reach an allocation."""
    with pytest.raises(InputError, match="n_atoms: expected counts >= 0 that sum to 3"):
        GraphBatch.from_arrays(
            species=[0, 0, 0], positions=np.zeros((3, 3)), edge_from=[], edge_to=[], n_atoms=[2**62] * 4 + [3]
        )


@pytest.mark.parametrize("name", ["n_atoms", "shifts", "cells", "pbc", "positions"])
def test_ragged_arrays_are_named(name):
    """Rows of different lengths are one sentence, whichever argument has them."""
    given = {"positions": np.eye(2, 3), name: [[1, 2], [3]]}
    with pytest.raises(InputError, match=f"{name}: expected an array, found rows of different lengths"):
        GraphBatch.from_arrays(species=[0, 0], edge_from=[], edge_to=[], **given)


@pytest.mark.parametrize("cutoff", [float("nan"), -1.0, "5.5", [5], True])
def test_cutoff_is_a_length(cutoff):
    """A cutoff that no model could be compared with is refused."""
    with pytest.raises(InputError, match="cutoff: expected a length in angstrom >= 0 or None, found"):
        GraphBatch.from_arrays(species=[0], positions=[[0.0, 0, 0]], edge_from=[], edge_to=[], cutoff=cutoff)


def test_hidden_entries_and_wrong_symbols_are_refused():
    """Masked arrays would lose their mask; symbols are a sequence of texts."""
    masked = np.ma.masked_equal(np.eye(2, 3), 1.0)
    with pytest.raises(InputError, match="positions: expected all entries, found a masked array with 2 hidden"):
        GraphBatch.from_arrays(species=[0, 0], positions=masked, edge_from=[], edge_to=[])
    for wrong in (5, "Cu", [29]):
        with pytest.raises(InputError, match="symbols: expected a sequence of chemical symbols, found"):
            GraphBatch.from_arrays(species=[0], positions=[[0.0, 0, 0]], edge_from=[], edge_to=[], symbols=wrong)
        with pytest.raises(InputError, match="species: expected a sequence of chemical symbols, found"):
            GraphBatch.from_atoms(Atoms("Cu"), 5.0, species=wrong)
