"""Stage 6, run: extrapolation grades of the atoms of a batch, from rows of B a block of atoms at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from acegen.runtime.arrays import FloatArray, Int64Array
from acegen.runtime.finite import edge_vectors
from acegen.runtime.graph import GraphBatch
from acegen.uncertainty.sets import ModelActiveSets

BLOCK_BYTES = 64 * 2**20  # of basis rows held at once

BasisOf = Callable[[GraphBatch], FloatArray]


def fits_one_block(graph: GraphBatch, n_basis: int) -> bool:
    """Whether the basis of all atoms is small enough to be held at once."""
    return 8 * graph.n_atoms * n_basis <= BLOCK_BYTES


def graded_in_blocks(
    graph: GraphBatch, sets: ModelActiveSets, n_basis: int, n_species: int, basis: BasisOf
) -> FloatArray:
    """gamma [n_atoms]; `basis` gives the rows [n_atoms, n_basis] of the atoms of a graph."""
    gamma = np.empty(graph.n_atoms)
    step = max(1, BLOCK_BYTES // (8 * n_basis))
    for start in range(0, graph.n_atoms, step):
        stop = min(start + step, graph.n_atoms)
        rows = basis(centres_of(graph, start, stop, n_species))
        gamma[start:stop] = sets.grades(rows[: stop - start], graph.species[start:stop])
    return gamma


def centres_of(graph: GraphBatch, start: int, stop: int, n_species: int) -> GraphBatch:
    """Atoms start..stop-1 with all their edges, which end at n_species more atoms: one of each, without edges."""
    first, last = int(graph.first_edge[start]), int(graph.first_edge[stop])
    n = stop - start
    ends: Int64Array = graph.first_edge[start : stop + 1] - first
    return GraphBatch(
        n_systems=1,
        n_atoms=n + n_species,
        n_edges=last - first,
        first_atom=np.array([0, n + n_species]),
        species=np.concatenate([graph.species[start:stop], np.arange(n_species, dtype=np.int32)]),
        first_edge=np.concatenate([ends, np.full(n_species, last - first)]),
        edge_to=(n + graph.species[graph.edge_to[first:last]]).astype(np.int32),
        edge_shift=None,
        shifts=None,
        positions=None,
        edge_vectors=np.ascontiguousarray(edge_vectors(graph, start, stop)),
        cells=np.zeros((1, 3, 3)),
        pbc=np.zeros((1, 3), np.bool_),
    )
