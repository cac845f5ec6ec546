"""A range of the systems of a batch as a batch of its own."""

from __future__ import annotations

import numpy as np

from acegen.runtime.graph import GraphBatch


def systems_of(graph: GraphBatch, start: int, stop: int) -> GraphBatch:
    """Systems start..stop-1 of `graph`, their edges in kernel order; the shifts of the whole batch stay."""
    if (start, stop) == (0, graph.n_systems):
        return graph
    first, last = int(graph.first_atom[start]), int(graph.first_atom[stop])
    atoms, edges = slice(first, last), slice(int(graph.first_edge[first]), int(graph.first_edge[last]))
    return GraphBatch(
        n_systems=stop - start,
        n_atoms=last - first,
        n_edges=edges.stop - edges.start,
        first_atom=graph.first_atom[start : stop + 1] - first,
        species=graph.species[atoms].copy(),
        first_edge=graph.first_edge[first : last + 1] - edges.start,
        edge_to=graph.edge_to[edges] - np.int32(first),
        edge_shift=None if graph.edge_shift is None else graph.edge_shift[edges].copy(),
        shifts=graph.shifts,
        positions=None if graph.positions is None else graph.positions[atoms].copy(),
        edge_vectors=None if graph.edge_vectors is None else graph.edge_vectors[edges].copy(),
        cells=graph.cells[start:stop].copy(),
        pbc=graph.pbc[start:stop].copy(),
        cutoff=graph.cutoff,
        symbols=graph.symbols,
    )
