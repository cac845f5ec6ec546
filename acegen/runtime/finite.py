"""Refuses results that are not finite, naming the atoms that are closest: two at one place is the usual reason."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray
from acegen.runtime.graph import GraphBatch

_WATCHED = ("energy", "forces")  # a distance of zero always shows in one of them


def check_finite(graph: GraphBatch, results: Mapping[str, FloatArray]) -> None:
    """Refuse energies or forces (when neither was asked for: the first result) that are not finite.

    Raises:
        InputError: names the structure and its closest pair of atoms, numbered within the structure.
    """
    for name in [name for name in _WATCHED if name in results] or list(results)[:1]:
        values = results[name]
        # one number is far cheaper to look at as a Python number: calls on a few atoms take microseconds
        good = math.isfinite(values.item()) if values.size == 1 else np.logical_and.reduce(np.isfinite(values), None)
        if not good:
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            raise InputError(_sentence(graph, name, row))


def _sentence(graph: GraphBatch, name: str, row: int) -> str:
    """Which structure owns `row` of output `name`, and the atoms that are closest in it."""
    if graph.n_systems == 1:
        system = 0
    elif name in ("energy", "virial"):
        system = row
    else:
        if name == "edge_gradients":
            place = row if graph.edge_order is None else int(np.flatnonzero(graph.edge_order == row)[0])
            row = int(np.searchsorted(graph.first_edge, place, side="right")) - 1
        system = int(np.searchsorted(graph.first_atom, row, side="right")) - 1
    start, stop = int(graph.first_atom[system]), int(graph.first_atom[system + 1])
    edges = slice(int(graph.first_edge[start]), int(graph.first_edge[stop]))
    lengths = np.sqrt((_vectors(graph)[edges] ** 2).sum(axis=1))
    if not len(lengths):
        return f"structure {system}: {name} not finite"
    edge = int(lengths.argmin()) + edges.start
    centre = int(np.searchsorted(graph.first_edge, edge, side="right")) - 1
    found = f"its atoms {centre - start} and {int(graph.edge_to[edge]) - start} are {lengths.min():g} angstrom apart"
    return f"structure {system}: {name} not finite; {found}"


def _vectors(graph: GraphBatch) -> FloatArray:
    """r_ij [n_edges, 3] in angstrom."""
    if graph.edge_vectors is not None:
        return graph.edge_vectors
    positions = np.zeros((graph.n_atoms, 3)) if graph.positions is None else graph.positions
    centres = np.repeat(np.arange(graph.n_atoms), np.diff(graph.first_edge))
    vectors: FloatArray = positions[graph.edge_to] - positions[centres]
    if graph.shifts is not None and graph.edge_shift is not None:
        vectors += graph.shifts[graph.edge_shift]
    return vectors
