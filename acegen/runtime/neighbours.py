"""Full neighbour lists: a batch in one call of the compiled search, or structure by structure through vesin.

vesin serves where there is no C compiler and where atoms are more boxes apart than the compiled search can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import vesin

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray, Int32Array, Int64Array
from acegen.runtime.edges import share_multiples
from acegen.runtime.reduced import in_given_cells, shorter_vectors
from acegen.runtime.search import Found, compiled_search

# vesin splits a structure into cells of the cutoff; their number overflows (and the process dies) for atoms
# that are ~1e5 cutoffs apart, so wider open structures are squeezed first (measured with vesin 0.6).
_WIDEST = 1000.0  # cutoffs
_FLATTEST = 0.01  # cutoffs: a thinner periodic cell would give millions of images of every atom
_FEW_ATOMS = 1000  # below, starting vesin's threads costs more than they save


@dataclass(frozen=True, slots=True, eq=False)
class Structures:
    """A batch without edges; positions are finite."""

    first_atom: Int64Array  # [n_systems+1]
    positions: FloatArray  # [n_atoms, 3] angstrom
    cells: FloatArray  # [n_systems, 3, 3] angstrom
    pbc: npt.NDArray[np.bool_]  # [n_systems, 3]


def find_edges(batch: Structures, cutoff: float, names: Sequence[str]) -> Found:
    """All ordered pairs closer than `cutoff` (angstrom), sorted by centre.

    Args:
        batch: the structures.
        cutoff: angstrom.
        names: of the structures, for messages.

    Raises:
        InputError: the periodic cell vectors are zero, dependent, or far thinner than the cutoff.
    """
    turned: dict[int, Int64Array] = {}
    try:
        boxes = closed_boxes(batch, cutoff, names)
    except InputError:
        batch, turned = _less_skewed(batch, cutoff)
        boxes = closed_boxes(batch, cutoff, names)
    search = compiled_search()
    found = None
    if search is not None:
        points = _all_squeezed(batch, boxes, cutoff)
        found = search.edges(batch.first_atom, points, batch.cells, boxes, batch.pbc, cutoff)
    if found is None:
        found = _one_by_one(batch, cutoff, names)
    if turned and found.shifts is not None:
        found = replace(found, shifts=in_given_cells(found.shifts, turned))
    return found


def _less_skewed(batch: Structures, cutoff: float) -> tuple[Structures, dict[int, Int64Array]]:
    """The batch with the shortest cell vectors where the given ones are refused; integers that lead to those."""
    cells, turned = batch.cells.copy(), dict[int, Int64Array]()
    for s in range(len(cells)):
        try:
            closed_box(cells[s], batch.pbc[s], cutoff, "")
        except InputError:
            found = shorter_vectors(cells[s], batch.pbc[s])
            if found is not None:
                cells[s], turned[s] = found
    return replace(batch, cells=cells), turned


def farthest_move(now: FloatArray, then: FloatArray) -> float:
    """Largest |u - mean u| of the displacements u = now - then [n_atoms, 3]; not finite when one of them is not."""
    search = compiled_search()
    if search is not None and now.dtype == np.float64 and now.flags.c_contiguous and then.flags.c_contiguous:
        return search.farthest(now, then)
    moved = now - then
    if len(moved):
        moved -= moved.mean(axis=0)
    return float(np.sqrt(np.einsum("ia,ia->i", moved, moved).max(initial=0.0)))


def _all_squeezed(batch: Structures, boxes: FloatArray, cutoff: float) -> FloatArray:
    """Positions of the batch, a copy where gaps of open structures had to be shortened."""
    points = batch.positions
    if not len(points) or float(np.linalg.norm(np.ptp(points, axis=0))) < _WIDEST * cutoff:
        return points
    for s in np.flatnonzero(~batch.pbc.all(axis=1) & (np.diff(batch.first_atom) > 0)):
        rows = slice(int(batch.first_atom[s]), int(batch.first_atom[s + 1]))
        squeezed = _squeezed(batch.positions[rows], boxes[s], batch.pbc[s], cutoff)
        if squeezed is not None:
            points = points.copy() if points is batch.positions else points
            points[rows] = squeezed
    return points


def _one_by_one(batch: Structures, cutoff: float, names: Sequence[str]) -> Found:
    """`find_edges` through vesin."""
    to, multiples, counts = [np.zeros(0, np.int32)], [np.zeros((0, 3), np.int32)], [np.zeros(1, np.int64)]
    for s, name in enumerate(names):
        start, stop = int(batch.first_atom[s]), int(batch.first_atom[s + 1])
        i, j, shifts = neighbour_list(batch.positions[start:stop], batch.cells[s], batch.pbc[s], cutoff, name)
        to.append(j + np.int32(start))
        multiples.append(shifts)
        counts.append(np.bincount(i, minlength=stop - start).astype(np.int64))
    owners = np.repeat(np.arange(len(names), dtype=np.int32), [len(each) for each in to[1:]])
    shared = share_multiples(np.concatenate(multiples), owners, batch.cells)
    return Found(np.cumsum(np.concatenate(counts), dtype=np.int64), np.concatenate(to), shared)


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
    squeezed = _squeezed(positions, box, pbc, cutoff)
    points = positions if squeezed is None else squeezed
    n_threads = 1 if len(positions) < _FEW_ATOMS else 0
    search = vesin.NeighborList(cutoff=cutoff, full_list=True, sorted=True, n_threads=n_threads)
    i, j, shifts = search.compute(points, box, pbc, "ijS")
    return i.astype(np.int32), j.astype(np.int32), np.ascontiguousarray(shifts, np.int32)


def closed_boxes(batch: Structures, cutoff: float, names: Sequence[str]) -> FloatArray:
    """`closed_box` of every structure [n_systems, 3, 3]; an empty one needs none."""
    boxes = np.zeros_like(batch.cells)
    boxes[:] = np.eye(3)
    filled = np.diff(batch.first_atom) > 0
    whole = np.flatnonzero(filled & batch.pbc.all(axis=1))
    others = np.flatnonzero(filled & ~batch.pbc.all(axis=1) & batch.pbc.any(axis=1))
    if len(whole):
        cells = batch.cells[whole]
        sizes = np.linalg.svd(cells, compute_uv=False)
        # The thinnest direction of a cell is at least as thick as its smallest singular value.
        good = (sizes[:, -1] >= 1e-10 * sizes[:, 0]) & (sizes[:, -1] >= _FLATTEST * cutoff)
        boxes[whole[good]] = cells[good]
        others = np.sort(np.concatenate([others, whole[~good]]))
    for s in others:
        boxes[s] = closed_box(batch.cells[s], batch.pbc[s], cutoff, names[int(s)])
    return boxes


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
        skewed = thinnest < 0.1 * float(np.linalg.norm(periodic, axis=1).min())
        hint = "; ase.geometry.minkowski_reduce finds shorter vectors of the same lattice" if skewed else ""
        raise InputError(
            f"{where}: the periodic cell is {thinnest:g} angstrom thin, expected at least {_FLATTEST:g} of the "
            f"cutoff {cutoff:g}{hint}"
        )
    box = np.zeros((3, 3))
    box[pbc] = periodic
    box[~pbc] = axes[len(periodic) :]
    return box


def _squeezed(positions: FloatArray, box: FloatArray, pbc: npt.NDArray[np.bool_], cutoff: float) -> FloatArray | None:
    """Positions with the widest gaps along open directions shortened; None when there is nothing to shorten."""
    points = positions
    for axis in np.flatnonzero(~pbc):
        points = _squeeze(points, box[axis], cutoff)
    return None if points is positions else points


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
