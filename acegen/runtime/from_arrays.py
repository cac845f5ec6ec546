"""Graphs of plain arrays: everything is checked here, before any kernel sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acegen.errors import InputError
from acegen.runtime.arrays import (
    FloatArray,
    Int32Array,
    Int64Array,
    any_array,
    check_range,
    float_array,
    int32_array,
    int64_array,
    offsets,
    symbol_names,
)
from acegen.runtime.edges import Shifts, share_multiples, share_vectors, sort_by_centre
from acegen.runtime.from_atoms import shift_fields
from acegen.runtime.graph import GraphBatch


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArraysIn:
    """The arguments of `GraphBatch.from_arrays`, as they came."""

    species: npt.ArrayLike
    edge_to: npt.ArrayLike
    edge_from: npt.ArrayLike | None
    first_edge: npt.ArrayLike | None
    positions: npt.ArrayLike | None
    edge_vectors: npt.ArrayLike | None
    shifts: npt.ArrayLike | None
    cells: npt.ArrayLike | None
    pbc: npt.ArrayLike | None
    first_atom: npt.ArrayLike | None
    n_atoms: npt.ArrayLike | None
    cutoff: float | None
    symbols: Sequence[str] | None


def graph_from_arrays(given: ArraysIn) -> GraphBatch:
    """See `GraphBatch.from_arrays`."""
    species = _int32("species", given.species, None)
    symbols = None if given.symbols is None else symbol_names("symbols", given.symbols)
    check_range("species", species, 2**31 - 1 if symbols is None else len(symbols), "species indices")
    n_atoms = len(species)
    _check_one_per_atom(n_atoms, given.positions)
    first_atom = _systems(given, n_atoms)
    n_systems = len(first_atom) - 1
    owners = np.repeat(np.arange(n_systems, dtype=np.int32), np.diff(first_atom))
    edge_to = _int32("edge_to", given.edge_to, None)
    check_range("edge_to", edge_to, n_atoms, "atoms of the batch")
    centres = _centres(given, n_atoms, len(edge_to))
    first_edge, order = sort_by_centre(centres, n_atoms)
    _check_within_systems(centres, edge_to, owners)
    cells = _cells(given, n_systems)
    positions, edge_vectors = _geometry(given, n_atoms, len(edge_to))
    shifts = _shifts(given, owners[centres], cells, len(edge_to))
    if positions is not None:
        _check_no_self_edge(centres, edge_to, shifts)
    fields = shift_fields(shifts)
    if order is not None:
        edge_to = edge_to[order]
        edge_vectors = None if edge_vectors is None else edge_vectors[order]
        fields["edge_shift"] = None if shifts is None else shifts.rows[order]
    return GraphBatch(
        n_systems=n_systems,
        n_atoms=n_atoms,
        n_edges=len(edge_to),
        first_atom=first_atom,
        species=species,
        first_edge=first_edge,
        edge_to=edge_to,
        positions=positions,
        edge_vectors=edge_vectors,
        cells=cells,
        pbc=_pbc(given, cells),
        edge_order=order,
        cutoff=None if given.cutoff is None else _cutoff(given.cutoff),
        symbols=symbols,
        **fields,
    )


def _int32(name: str, value: object, length: int | None) -> Int32Array:
    return int32_array(name, value, (length,))


def _cutoff(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, float | int | np.floating | np.integer) or not value >= 0.0:
        raise InputError(f"cutoff: expected a length in angstrom >= 0 or None, found {value!r}")
    return float(value)


def _systems(given: ArraysIn, n_atoms: int) -> Int64Array:
    """first_atom, from itself, from the atoms of each structure, or for one structure."""
    if given.first_atom is not None and given.n_atoms is not None:
        raise InputError("first_atom: expected either first_atom or n_atoms, found both")
    if given.first_atom is not None:
        return offsets("first_atom", given.first_atom, None, n_atoms)
    if given.n_atoms is None:
        return np.array([0, n_atoms], np.int64)
    counts = int64_array("n_atoms", np.atleast_1d(any_array("n_atoms", given.n_atoms)), (None,))
    if (counts < 0).any() or (counts > n_atoms).any() or int(counts.sum()) != n_atoms:  # else the sum may wrap
        raise InputError(f"n_atoms: expected counts >= 0 that sum to {n_atoms} (species), found {counts.tolist()[:8]}")
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def _centres(given: ArraysIn, n_atoms: int, n_edges: int) -> Int32Array:
    """Centre of each edge, from edge_from or first_edge."""
    if (given.edge_from is None) == (given.first_edge is None):
        found = "neither" if given.edge_from is None else "both"
        raise InputError(f"edge_from: expected either edge_from or first_edge, found {found}")
    if given.first_edge is not None:
        first_edge = offsets("first_edge", given.first_edge, n_atoms, n_edges)
        return np.repeat(np.arange(n_atoms, dtype=np.int32), np.diff(first_edge))
    centres = _int32("edge_from", given.edge_from, n_edges)
    check_range("edge_from", centres, n_atoms, "atoms of the batch")
    return centres


def _check_within_systems(centres: Int32Array, edge_to: Int32Array, owners: Int32Array) -> None:
    crossing = owners[centres] != owners[edge_to]
    if crossing.any():
        e = int(np.flatnonzero(crossing)[0])
        i, j = int(centres[e]), int(edge_to[e])
        raise InputError(
            f"edge_to: edge {e} joins atom {i} of structure {owners[i]} and atom {j} of structure {owners[j]}, "
            "expected both in one structure"
        )


def _geometry(given: ArraysIn, n_atoms: int, n_edges: int) -> tuple[FloatArray | None, FloatArray | None]:
    """Positions or edge vectors, exactly one of them."""
    if (given.positions is None) == (given.edge_vectors is None):
        found = "neither" if given.positions is None else "both"
        raise InputError(f"positions: expected either positions or edge_vectors, found {found}")
    if given.positions is not None:
        return float_array("positions", given.positions, (n_atoms, 3), "angstrom"), None
    if given.shifts is not None:
        raise InputError("shifts: expected only with positions, edge_vectors contain the periodic images already")
    return None, float_array("edge_vectors", given.edge_vectors, (n_edges, 3), "angstrom")


def _cells(given: ArraysIn, n_systems: int) -> FloatArray:
    if given.cells is None:
        return np.zeros((n_systems, 3, 3))
    cells = any_array("cells", given.cells)
    if cells.shape == (3, 3):
        cells = cells[None]
    return float_array("cells", cells, (n_systems, 3, 3), "angstrom")


def _pbc(given: ArraysIn, cells: FloatArray) -> npt.NDArray[np.bool_]:
    if given.pbc is None:
        return np.asarray(cells.any(axis=2), np.bool_)
    found = any_array("pbc", given.pbc)
    shapes = ((), (3,), (len(cells), 3))
    if found.dtype != np.bool_ or found.shape not in shapes:
        raise InputError(
            f"pbc: expected bool of shape [], [3] or [{len(cells)}, 3], found {found.dtype} {list(found.shape)}"
        )
    return np.array(np.broadcast_to(found, (len(cells), 3)))


def _shifts(given: ArraysIn, systems: Int32Array, cells: FloatArray, n_edges: int) -> Shifts | None:
    """Distinct shifts of the edges: integers are cell multiples, floats Cartesian."""
    if given.shifts is None:
        return None
    kind = any_array("shifts", given.shifts).dtype.kind
    if kind == "f":
        vectors = float_array("shifts", given.shifts, (n_edges, 3), "angstrom")
        if given.cells is not None:
            _check_cartesian(vectors, systems, cells)
        return share_vectors(vectors, systems)
    multiples = int32_array("shifts", given.shifts, (n_edges, 3))
    if given.cells is None and multiples.any():
        raise InputError("shifts: integers are multiples of the cell vectors, expected cells with them")
    return share_multiples(multiples, systems, cells)


def _check_cartesian(vectors: FloatArray, systems: Int32Array, cells: FloatArray) -> None:
    """Refuse floats that are all whole numbers but no lattice vectors: cell multiples of the wrong dtype."""
    if (vectors != np.rint(vectors)).any():
        return
    multiples = np.rint(np.einsum("ea,eab->eb", vectors, np.linalg.pinv(cells)[systems]))
    apart = np.abs(np.einsum("ea,eab->eb", multiples, cells[systems]) - vectors).max(axis=1, initial=0.0)
    if (apart > 1e-3).any():
        e = int(np.flatnonzero(apart > 1e-3)[0])
        raise InputError(
            f"shifts: floats are Cartesian (angstrom) and integers multiples of the cell vectors; found whole numbers "
            f"as floats, {vectors[e].tolist()} of edge {e}, which is no lattice vector; expected integers for multiples"
        )


def _check_one_per_atom(n_species: int, positions: Any) -> None:
    """Before the edges are blamed for atoms that have no species."""
    try:
        n_rows = len(positions)
    except TypeError:  # none, or no array at all: told where positions are read
        return
    if n_rows != n_species:
        raise InputError(f"species: expected one index per atom, found {n_species} for {n_rows} rows of positions")


def _check_no_self_edge(centres: Int32Array, edge_to: Int32Array, shifts: Shifts | None) -> None:
    own = centres == edge_to
    if shifts is not None:
        own &= ~shifts.vectors[shifts.rows].any(axis=1)
    if own.any():
        e = int(np.flatnonzero(own)[0])
        raise InputError(f"edge_to: edge {e} joins atom {int(centres[e])} with itself, expected a periodic image")
