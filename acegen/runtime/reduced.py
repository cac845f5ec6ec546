"""Cells too skewed to be searched: shorter vectors of the same lattice in place of the given ones, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray, Int64Array
from acegen.runtime.edges import Shifts

_DEPENDENT = 1e-12  # volume of the periodic vectors over the product of their lengths: rounding
_LONGEST = 10**7  # multiples of cell vectors that an integer of 32 bits holds a hundred of


def shorter_vectors(cell: FloatArray, pbc: npt.NDArray[np.bool_]) -> tuple[FloatArray, Int64Array] | None:
    """The shortest vectors of the same lattice and the integers m with m · cell = them; None where they do not help.

    Args:
        cell: [3, 3] rows are the cell vectors.
        pbc: [3] periodic directions.
    """
    from ase.geometry import minkowski_reduce

    periodic = cell[pbc]
    lengths = np.linalg.norm(periodic, axis=1)
    if not lengths.all() or not np.isfinite(lengths).all():
        return None
    directions = periodic / lengths[:, None]
    if np.linalg.det(directions @ directions.T) < _DEPENDENT**2:
        return None
    # the open directions do not matter
    found, multiples = minkowski_reduce(np.where(pbc[:, None], cell, 0.0), pbc)  # type: ignore[no-untyped-call]
    shorter, turned = np.asarray(found, np.float64), np.asarray(multiples, np.int64)
    if np.abs(turned).max() > _LONGEST or np.allclose(np.sort(np.linalg.norm(shorter[pbc], axis=1)), np.sort(lengths)):
        return None
    return np.where(pbc[:, None], shorter, cell), turned


def in_given_cells(shifts: Shifts, cells: dict[int, Int64Array]) -> Shifts:
    """Translations with multiples of the given cell vectors; `cells` has the integers of the structures reduced.

    Raises:
        InputError: multiples beyond 32 bits.
    """
    assert shifts.multiples is not None  # searched, not given
    multiples = shifts.multiples.astype(np.int64)
    for system, turned in cells.items():
        of_it = shifts.systems == system
        multiples[of_it] = multiples[of_it] @ turned
    if multiples.size and int(np.abs(multiples).max()) >= 2**31:
        raise InputError(f"atoms: cell multiples up to {int(np.abs(multiples).max())} are out of any reach")
    return replace(shifts, multiples=multiples.astype(np.int32))
