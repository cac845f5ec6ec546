"""Full neighbour lists of one structure through vesin, made safe for open and mixed boundary conditions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import vesin

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray, Int32Array

# vesin splits a structure into cells of the cutoff; their number overflows (and the process dies) for atoms
# that are ~1e5 cutoffs apart, so wider open structures are squeezed first (measured with vesin 0.6).
_WIDEST = 1000.0  # cutoffs
_FLATTEST = 0.01  # cutoffs: a thinner periodic cell would give millions of images of every atom
_FEW_ATOMS = 1000  # below, starting vesin's threads costs more than they save


def neighbour_list(
    positions: FloatArray, cell: FloatArray, pbc: npt.NDArray[np.bool_], cutoff: float, where: str
) -> tuple[Int32Array, Int32Array, Int32Array]:
    """All ordered pairs closer than `cutoff`, sorted by centre.

    Args:
        positions: [n_atoms, 3] angstrom, finite, inside the cell or not.
        cell: [3, 3] rows are the cell vectors; those of open directions do not matter and may be zero.
        pbc: [3] periodic directions.
        cutoff: angstrom.
        where: name of the structure for messages.

    Returns:
        centres [n_edges], neighbours [n_edges], shifts [n_edges, 3]: r_ij = r_j + shift · cell − r_i.

    Raises:
        InputError: the periodic cell vectors are zero, dependent, or far thinner than the cutoff.
    """
    if len(positions) == 0:
        none = np.zeros(0, np.int32)
        return none, none, np.zeros((0, 3), np.int32)
    box = closed_box(cell, pbc, cutoff, where)
    points = positions
    for axis in np.flatnonzero(~pbc):
        points = _squeeze(points, box[axis], cutoff)
    n_threads = 1 if len(positions) < _FEW_ATOMS else 0
    search = vesin.NeighborList(cutoff=cutoff, full_list=True, sorted=True, n_threads=n_threads)
    i, j, shifts = search.compute(points, box, pbc, "ijS")
    return i.astype(np.int32), j.astype(np.int32), np.ascontiguousarray(shifts, np.int32)


def closed_box(cell: FloatArray, pbc: npt.NDArray[np.bool_], cutoff: float, where: str) -> FloatArray:
    """The cell with every open direction replaced by a unit vector normal to all others: always invertible."""
    periodic = cell[pbc]
    if not len(periodic):
        return np.eye(3)
    if not periodic.any(axis=1).all():
        direction = int(np.flatnonzero(pbc)[~periodic.any(axis=1)][0])
        raise InputError(f"{where}: pbc[{direction}] is True, but its cell vector is zero")
    left, sizes, axes = np.linalg.svd(periodic)
    if sizes[-1] < 1e-10 * sizes[0]:
        raise InputError(f"{where}: the periodic cell vectors are linearly dependent: {periodic.tolist()}")
    # Heights of the cell over its faces are 1 / |columns of the pseudo-inverse V diag(1/sizes) left^T|.
    thinnest = float(1.0 / np.sqrt(((left / sizes) ** 2).sum(axis=1).max()))
    if thinnest < _FLATTEST * cutoff:
        raise InputError(
            f"{where}: the periodic cell is {thinnest:g} angstrom thin, expected at least {_FLATTEST:g} of the "
            f"cutoff {cutoff:g}"
        )
    box = np.zeros((3, 3))
    box[pbc] = periodic
    box[~pbc] = axes[len(periodic) :]
    return box


def _squeeze(points: FloatArray, axis: FloatArray, cutoff: float) -> FloatArray:
    """Shorten gaps wider than the cutoff along an open `axis`: no pair within the cutoff changes its vector."""
    height = points @ axis
    if float(np.ptp(height)) < _WIDEST * cutoff:
        return points
    order = np.argsort(height, kind="stable")
    gaps = np.diff(height[order], prepend=height[order[0]])
    surplus = np.cumsum(np.maximum(gaps - 2.0 * cutoff, 0.0))
    moved = np.empty_like(height)
    moved[order] = surplus
    return np.ascontiguousarray(points - moved[:, None] * axis)
