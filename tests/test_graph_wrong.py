"""Arrays and structures that make no graph are refused, naming the argument."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from acegen.errors import InputError
from acegen.runtime import GraphBatch
from acegen.runtime.finite import check_finite

SPECIES = ("Cu", "Au")
PAIR = {"species": [0, 1], "positions": [[0, 0, 0], [2.0, 0, 0]], "edge_from": [0, 1], "edge_to": [1, 0]}


WRONG = {
    "species: expected an array of integers, found float64": {"species": [0.0, 1.0]},
    r"species: expected shape \[any\], found \[1, 2\]": {"species": [[0, 1]]},
    r"species: entry 1 is -1, expected 0 to": {"species": [0, -1]},
    r"species: entry 1 is 2, expected 0 to 1 \(species indices\)": {"species": [0, 2], "symbols": SPECIES},
    "species: expected an array of integers, found <U2": {"species": ["Cu", "Au"]},
    "species: expected one index per atom, found 1 for 2 rows of positions": {"species": [0]},
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


def test_a_symbol_stands_once():
    """Else two indices would mean the same element."""
    with pytest.raises(InputError, match="species: expected each chemical symbol once, found 'Cu' 2 times"):
        GraphBatch.from_atoms(Atoms("Cu"), 4.0, species=("Cu", "Cu", "Au"))
    with pytest.raises(InputError, match="symbols: expected each chemical symbol once, found 'Au' 2 times"):
        GraphBatch.from_arrays(**PAIR, symbols=("Au", "Au"))


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


@pytest.mark.parametrize("name", ["edge_gradients", "basis_gradients"])
def test_edges_that_are_not_finite_are_told_with_their_structure(name):
    """Rows of results are edges in the caller's order: of a triangle, then of a pair at one place."""
    graph = GraphBatch.from_arrays(
        species=np.zeros(5, int),
        positions=[[0, 0, 0], [2, 0, 0], [0, 2, 0], [5, 5, 5], [5, 5, 5]],
        edge_from=[4, 0, 0, 1, 1, 2, 2, 3],
        edge_to=[3, 1, 2, 0, 2, 0, 1, 4],
        n_atoms=[3, 2],
    )
    for row in (0, 7):
        values = np.zeros((8, 3, 2))
        values[row, 1] = np.nan
        with pytest.raises(InputError, match=f"structure 1: {name} not finite; its atoms 0 and 1 are 0 angstrom apart"):
            check_finite(graph, {name: values})


def test_moves_beyond_the_skin_are_refused():
    """Half the skin may be used up, counted from where the neighbours were searched and without common motion."""
    atoms = [Atoms("Cu2", [[0, 0, 0], [2.5, 0, 0]]), Atoms("Cu", cell=[3, 3, 3], pbc=True)]
    graph = GraphBatch.from_atoms(atoms, 4.0, skin=0.4, species=SPECIES)
    step = np.array([[0.15, 0, 0], [-0.15, 0, 0], [0, 0, 0]])
    moved = graph.with_positions(graph.positions + step)
    apart = np.array([[5.0, 0, 0], [5.0, 0, 0], [-7.0, 0, 0]])  # structures do not see each other
    np.testing.assert_array_equal(graph.with_positions(graph.positions + apart).edge_to, graph.edge_to)
    with pytest.raises(
        InputError, match=r"atoms of structure 0 moved up to 0\.3 angstrom since .* skin of 0\.4 .* 0\.2;"
    ):
        moved.with_positions(moved.positions + step)
    moved.with_positions(graph.positions - step)
    assert moved.moved(moved.positions + step).n_edges == graph.n_edges
    graph.with_positions(graph.positions, 1.05 * graph.cells)
    with pytest.raises(InputError, match=r"atoms of structure 1 moved up to 0 angstrom and its cell shrank to 0\.9 "):
        graph.with_positions(graph.positions, 0.9 * graph.cells)
    bare = GraphBatch.from_atoms(atoms, 4.0, species=SPECIES)
    assert bare.with_positions(bare.positions + 9.0 * step).n_edges == bare.n_edges  # no skin: the caller knows


def test_a_slab_may_be_strained_within_its_skin():
    """Cell vectors that are not periodic move nothing; those that are carry the atoms along."""
    slab = Atoms("Cu", cell=[3, 3, 10], pbc=[True, True, False])
    graph = GraphBatch.from_atoms(slab, 4.0, skin=0.2, species=SPECIES)
    graph.with_positions(graph.positions, np.diag([3.0, 3.0, 1.0]))
    graph.with_positions(graph.positions, np.diag([3.0, 2.9, 10.0]))
    with pytest.raises(InputError, match=r"atoms moved up to 0 angstrom and its cell shrank to 0\.9333"):
        graph.with_positions(graph.positions, np.diag([3.0, 2.8, 10.0]))


def test_cell_multiples_as_floats_are_refused():
    """ASE's S in floats would be read as angstrom; lattice vectors in floats are what they say."""
    pair = {"species": [0], "positions": [[0, 0, 0]], "edge_from": [0, 0], "edge_to": [0, 0], "cells": np.eye(3) * 4}
    multiples = np.array([[1, 0, 0], [-1, 0, 0]])
    right = GraphBatch.from_arrays(**pair, shifts=multiples)
    for same in (4.0 * multiples, np.float32(4.0) * multiples.astype(np.float32)):
        np.testing.assert_array_equal(GraphBatch.from_arrays(**pair, shifts=same).shifts, right.shifts)
    with pytest.raises(
        InputError, match=r"shifts: floats are Cartesian .* \[1\.0, 0\.0, 0\.0\] of edge 0, which is no"
    ):
        GraphBatch.from_arrays(**pair, shifts=multiples.astype(float))
