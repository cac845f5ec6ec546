"""Refuses results that are not finite, naming the atoms that are closest: two at one place is the usual reason."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray
from acegen.runtime.graph import GraphBatch

TOO_CLOSE = 0.1  # angstrom: nearer than any two atoms of a structure that means something
_WATCHED = ("energy", "forces")  # a distance of zero always shows in one of them
_DIRECTION = np.array([0.8415, 0.4321, 0.3247])
_NEAR = 1e-6  # angstrom along it; longer edges are not looked at again


def check_finite(graph: GraphBatch, results: Mapping[str, FloatArray]) -> None:
    """Refuse energies or forces (when neither was asked for: the first result) that are not finite.

    Raises:
        InputError: names the structure and its closest pair of atoms, numbered within the structure.
    """
    watched = False
    for name in _WATCHED:
        values = results.get(name)
        if values is not None:
            watched = True
            if not _finite(values):
                raise InputError(_sentence(graph, name, values))
    if not watched:
        for name, values in results.items():
            if not _finite(values):
                raise InputError(_sentence(graph, name, values))
            break


def _finite(values: FloatArray) -> bool:
    # `.all()` and one-element arrays are slow in NumPy: calls on a few atoms take microseconds
    if values.size == 1:
        return math.isfinite(values.item())
    return int(np.count_nonzero(np.isfinite(values))) == values.size


def _sentence(graph: GraphBatch, name: str, values: FloatArray) -> str:
    """Which structure owns the first row of output `name` that is not finite, and the atoms that are closest in it."""
    row = int(np.argwhere(~np.isfinite(values))[0][0])
    if graph.n_systems == 1:
        system = 0
    elif name in ("energy", "virial", "energy_std"):
        system = row
    else:
        if name in ("edge_gradients", "basis_gradients"):  # rows are edges, in the caller's order
            place = row if graph.edge_order is None else int(np.flatnonzero(graph.edge_order == row)[0])
            row = int(np.searchsorted(graph.first_edge, place, side="right")) - 1
        system = int(np.searchsorted(graph.first_atom, row, side="right")) - 1
    return _closest(graph, system, name)


def check_apart(graph: GraphBatch, name: str) -> None:
    """Refuse two atoms at one place, where output `name` is too large to be looked through.

    Raises:
        InputError: names the structure and the atoms.
    """
    for edge in np.flatnonzero(np.abs(_lengths_along(graph)) < _NEAR).tolist():  # hardly any
        centre = int(np.searchsorted(graph.first_edge, edge, side="right")) - 1
        if not edge_vectors(graph, centre, centre + 1)[edge - int(graph.first_edge[centre])].any():
            system = int(np.searchsorted(graph.first_atom, centre, side="right")) - 1
            raise InputError(_closest(graph, system, name))


def _lengths_along(graph: GraphBatch) -> FloatArray:
    """Lengths [n_edges] along a direction that no crystal plane is normal to: a third of the work of all vectors."""
    if graph.edge_vectors is not None or graph.positions is None:
        lengths: FloatArray = edge_vectors(graph, 0, graph.n_atoms) @ _DIRECTION
        return lengths
    along = graph.positions @ _DIRECTION
    lengths = along[graph.edge_to] - np.repeat(along, np.diff(graph.first_edge))
    if graph.shifts is not None and graph.edge_shift is not None:
        lengths += (graph.shifts @ _DIRECTION)[graph.edge_shift]
    return lengths


def _closest(graph: GraphBatch, system: int, name: str) -> str:
    """The sentence about a structure, with the atoms that are closest in it."""
    start, stop = int(graph.first_atom[system]), int(graph.first_atom[system + 1])
    edges = slice(int(graph.first_edge[start]), int(graph.first_edge[stop]))
    lengths = np.sqrt((edge_vectors(graph, start, stop) ** 2).sum(axis=1))
    if not len(lengths):
        return f"structure {system}: {name} not finite"
    edge = int(lengths.argmin()) + edges.start
    centre = int(np.searchsorted(graph.first_edge, edge, side="right")) - 1
    found = f"its atoms {centre - start} and {int(graph.edge_to[edge]) - start} are {lengths.min():g} angstrom apart"
    return f"structure {system}: {name} not finite; {found}"


def edge_vectors(graph: GraphBatch, start: int, stop: int) -> FloatArray:
    """r_ij [edges of centres start..stop-1, 3] in angstrom."""
    edges = slice(int(graph.first_edge[start]), int(graph.first_edge[stop]))
    if graph.edge_vectors is not None:
        return graph.edge_vectors[edges]
    positions = np.zeros((graph.n_atoms, 3)) if graph.positions is None else graph.positions
    centres = np.repeat(np.arange(start, stop), np.diff(graph.first_edge[start : stop + 1]))
    vectors: FloatArray = positions[graph.edge_to[edges]] - positions[centres]
    if graph.shifts is not None and graph.edge_shift is not None:
        vectors += graph.shifts[graph.edge_shift[edges]]
    return vectors
