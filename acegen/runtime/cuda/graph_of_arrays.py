"""Device graphs of plain arrays of any library: checked, sorted by centre, completed with reverse edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from acegen.errors import InputError
from acegen.runtime.cuda.backend import Backend
from acegen.runtime.cuda.graph import DeviceGraph, as_device, device_graph
from acegen.runtime.cuda.pairing import centres_of


@dataclass(slots=True)
class _Edges:
    """Edges in some order; vectors are shifts, or edge vectors."""

    centres: Any  # int64 [n_edges]
    to: Any  # int32 [n_edges]
    vectors: Any | None  # double [n_edges, 3] angstrom


def graph_of_arrays(
    backend: Backend, n_species: int, given: Mapping[str, Any], half: bool, cutoff: float | None
) -> DeviceGraph:
    """See `CudaModel.graph`; `given` holds its arrays by name, None where there is none."""
    xp = backend.xp
    _check_choices(given)
    species = as_device(backend, "species", given["species"], np.int32, (None,))
    n_atoms = len(species)
    _check_range(xp, "species", species, n_species, "species of the model")
    first_atom = _first_atom(backend, given, n_atoms)
    to = as_device(backend, "edge_to", given["edge_to"], np.int32, (None,))
    _check_range(xp, "edge_to", to, n_atoms, "atoms of the batch")
    centres = _centres(backend, given, n_atoms, len(to))
    owners = centres_of(xp, first_atom, n_atoms)
    if bool((owners[centres] != owners[to]).any()):
        raise InputError("edge_to: an edge joins atoms of two structures, expected both in one")
    positions = given["positions"]
    if positions is not None:
        positions = as_device(backend, "positions", positions, np.float64, (n_atoms, 3))
        vectors = _shifts(backend, given, owners[centres], len(first_atom) - 1, len(to))
    else:
        vectors = as_device(backend, "edge_vectors", given["edge_vectors"], np.float64, (len(to), 3))
    edges = _Edges(centres, to, vectors)
    if half:
        edges = _both_ways(xp, edges)
    order = None
    if len(edges.to) and bool((edges.centres[1:] < edges.centres[:-1]).any()):
        order = xp.argsort(edges.centres, kind="stable")
        edges = _Edges(edges.centres[order], edges.to[order], None if edges.vectors is None else edges.vectors[order])
    return _assembled(backend, n_species, species, first_atom, positions, edges, order, cutoff)


def _assembled(
    backend: Backend,
    n_species: int,
    species: Any,
    first_atom: Any,
    positions: Any | None,
    edges: _Edges,
    order: Any | None,
    cutoff: float | None,
) -> DeviceGraph:
    """The graph of sorted edges; each edge has a shift of its own."""
    xp, n_edges = backend.xp, len(edges.to)
    first_edge = xp.searchsorted(edges.centres, xp.arange(len(species) + 1, dtype=np.int64)).astype(np.int64)
    shifted = positions is not None and edges.vectors is not None
    return device_graph(
        backend,
        n_species,
        first_atom=first_atom,
        species=species,
        first_edge=first_edge,
        edge_to=xp.ascontiguousarray(edges.to),
        edge_shift=xp.arange(n_edges, dtype=np.int32) if shifted else None,
        shifts=xp.ascontiguousarray(edges.vectors) if shifted else None,
        positions=positions,
        edge_vectors=None if positions is not None else xp.ascontiguousarray(edges.vectors),
        edge_order=order,
        cutoff=cutoff,
    )


def _check_choices(given: Mapping[str, Any]) -> None:
    for one, other in (("edge_from", "first_edge"), ("positions", "edge_vectors")):
        if (given[one] is None) == (given[other] is None):
            found = "neither" if given[one] is None else "both"
            raise InputError(f"{one}: expected either {one} or {other}, found {found}")
    if given["first_atom"] is not None and given["n_atoms"] is not None:
        raise InputError("first_atom: expected either first_atom or n_atoms, found both")
    if given["edge_vectors"] is not None and given["shifts"] is not None:
        raise InputError("shifts: expected only with positions, edge_vectors contain the periodic images already")


def _check_range(xp: Any, name: str, array: Any, stop: int, of: str) -> None:
    if array.size == 0:
        return
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= stop:
        wrong = int(xp.argmax((array < 0) | (array >= stop)))
        allowed = f"0 to {stop - 1}" if stop > 0 else "none, there are no"
        raise InputError(f"{name}: entry {wrong} is {int(array[wrong])}, expected {allowed} ({of})")


def _first_atom(backend: Backend, given: Mapping[str, Any], n_atoms: int) -> Any:
    if given["first_atom"] is not None:
        return _offsets(backend, "first_atom", given["first_atom"], None, n_atoms)
    if given["n_atoms"] is None:
        return backend.to_device(np.array([0, n_atoms], np.int64))
    counts = as_device(backend, "n_atoms", given["n_atoms"], np.int64, (None,))
    first_atom = backend.xp.zeros(len(counts) + 1, np.int64)
    if len(counts):
        first_atom[1:] = backend.xp.cumsum(counts)
    return _offsets(backend, "n_atoms", first_atom, None, n_atoms)


def _offsets(backend: Backend, name: str, value: object, n_rows: int | None, total: int) -> Any:
    array = as_device(backend, name, value, np.int64, (None if n_rows is None else n_rows + 1,))
    if array.size == 0 or int(array[0]) != 0 or int(array[-1]) != total or bool((array[1:] < array[:-1]).any()):
        raise InputError(f"{name}: expected offsets from 0 to {total} that never decrease")
    return array


def _centres(backend: Backend, given: Mapping[str, Any], n_atoms: int, n_edges: int) -> Any:
    if given["first_edge"] is not None:
        first_edge = _offsets(backend, "first_edge", given["first_edge"], n_atoms, n_edges)
        return centres_of(backend.xp, first_edge, n_edges)
    centres = as_device(backend, "edge_from", given["edge_from"], np.int64, (n_edges,))
    _check_range(backend.xp, "edge_from", centres, n_atoms, "atoms of the batch")
    return centres


def _shifts(backend: Backend, given: Mapping[str, Any], systems: Any, n_systems: int, n_edges: int) -> Any | None:
    """Cartesian shift of each edge: integers are cell multiples, floats angstrom."""
    if given["shifts"] is None:
        return None
    found = backend.adopt(given["shifts"])
    if found.dtype.kind == "f":
        return as_device(backend, "shifts", found, np.float64, (n_edges, 3))
    multiples = as_device(backend, "shifts", found, np.int32, (n_edges, 3)).astype(np.float64)
    if given["cells"] is None:
        raise InputError("shifts: integers are multiples of the cell vectors, expected cells with them")
    cells = backend.adopt(given["cells"])
    cells = as_device(backend, "cells", cells[None] if cells.ndim == 2 else cells, np.float64, (n_systems, 3, 3))
    # Written out: a matrix product would want cuBLAS, and opposite multiples must give opposite vectors.
    around = cells[systems]
    return sum(multiples[:, k, None] * around[:, k] for k in range(3))


def _both_ways(xp: Any, edges: _Edges) -> _Edges:
    """Every edge and, after them all, every reverse."""
    return _Edges(
        xp.concatenate([edges.centres, edges.to.astype(np.int64)]),
        xp.concatenate([edges.to, edges.centres.astype(np.int32)]),
        None if edges.vectors is None else xp.concatenate([edges.vectors, -edges.vectors]),
    )
