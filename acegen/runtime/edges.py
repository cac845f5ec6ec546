"""Edges of a batch in kernel order: sorted by centre, lattice translations shared between edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray, Int32Array, Int64Array

_FLAT_TABLE = 4  # a lookup table of up to this many entries per edge is faster than sorting (5x at 120k edges)


@dataclass(frozen=True, slots=True, eq=False)
class Shifts:
    """Distinct lattice translations of a batch, row 0 upwards; `rows` says which one each edge takes."""

    rows: Int32Array  # [n_edges]
    vectors: FloatArray  # [n_shifts, 3] angstrom
    multiples: Int32Array | None  # [n_shifts, 3] cell multiples, None when given as Cartesian vectors
    systems: Int32Array  # [n_shifts]


def sort_by_centre(centres: Int32Array, n_atoms: int) -> tuple[Int64Array, Int64Array | None]:
    """CSR offsets [n_atoms+1], and the stable order of the edges (None when they are sorted already)."""
    first_edge = np.zeros(n_atoms + 1, np.int64)
    np.cumsum(np.bincount(centres, minlength=n_atoms), out=first_edge[1:])
    if (centres[1:] >= centres[:-1]).all():
        return first_edge, None
    return first_edge, np.argsort(centres, kind="stable")


def share_multiples(multiples: Int32Array, systems: Int32Array, cells: FloatArray) -> Shifts | None:
    """Shifts from integer cell multiples [n_edges, 3]; None when all are zero."""
    if not multiples.any():
        return None
    low = multiples.min(axis=0).astype(np.int64)
    span = multiples.max(axis=0).astype(np.int64) - low + 1
    size = int(span[0]) * int(span[1]) * int(span[2]) * len(cells)
    if size >= 2**62:
        raise InputError(f"shifts: cell multiples up to {int(np.abs(multiples).max())} are out of any reach")
    codes = systems.astype(np.int64)
    for axis in range(3):
        codes = codes * span[axis] + (multiples[:, axis] - low[axis])
    first, rows = _distinct(codes, size)
    chosen, owners = multiples[first], systems[first]
    return Shifts(rows, translations(chosen, owners, cells), chosen, owners)


def share_vectors(vectors: FloatArray, systems: Int32Array) -> Shifts | None:
    """Shifts from Cartesian translations [n_edges, 3]; None when all are zero."""
    if not vectors.any():
        return None
    keyed = np.column_stack([systems, vectors + 0.0])  # + 0.0: -0.0 and 0.0 are one translation
    _, first, rows = np.unique(keyed, axis=0, return_index=True, return_inverse=True)
    return Shifts(rows.reshape(-1).astype(np.int32), np.ascontiguousarray(vectors[first]), None, systems[first])


def translations(multiples: Int32Array, systems: Int32Array, cells: FloatArray) -> FloatArray:
    """Cartesian vectors [n_shifts, 3] of cell multiples."""
    return np.ascontiguousarray(np.einsum("ka,kac->kc", multiples.astype(np.float64), cells[systems]))


def _distinct(codes: Int64Array, size: int) -> tuple[npt.NDArray[np.intp], Int32Array]:
    """Index of the first edge of every distinct code, in the order of the codes, and the row of every edge."""
    if size > _FLAT_TABLE * len(codes) + 1024:
        _, first, rows = np.unique(codes, return_index=True, return_inverse=True)
        return first, rows.astype(np.int32)
    seen_at = np.full(size, -1, np.intp)
    seen_at[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # the last write wins: the first edge
    present = seen_at >= 0
    row_of = np.cumsum(present, dtype=np.int32) - np.int32(1)
    return seen_at[present], row_of[codes]
