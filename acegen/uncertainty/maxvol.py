"""D-optimal active set: as many rows of B as there are functions, swapped until no swap gains volume.

Maximum-volume algorithm of Goreinov et al. (2010), as active sets of ACE are chosen (Lysogorskiy et al., Phys. Rev.
Materials 7, 043801, 2023).  With A the matrix of active rows, the coefficients C = B A^-1 of all other rows say
it all: putting row i in place of active row j multiplies |det A| by |C_ij|.  So rows are swapped while some
|C_ij| > 1 + tolerance, and in the end the extrapolation grade max_j |C_ij| of every row is at most that.

Training data rarely cover every direction.  Where they do not, an artificial row stands in: one function at UNSEEN
of its typical size.  An atom that reaches there gets a grade of up to 1/UNSEEN, where a pseudo-inverse would
show nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from acegen.errors import InputError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Rows = FloatArray | Callable[[], Iterable[FloatArray]]

UNSEEN = 1e-8  # far above the rounding of B, far below what any atom of the data reaches
_START_ROWS = 4  # times n_functions: rows that the first set is chosen from at once
_CANDIDATES = 1024  # rows that are swapped among themselves before all others follow
_CARRIED = 64  # swaps that inverse and coefficients follow before they are made anew, as rounding errors add up
_NEAR = 0.5  # of the limit: grades of candidates, for a swap moves the others too
_PASSES = 50


@dataclass(frozen=True, slots=True, eq=False)
class ActiveSet:
    """Active rows of one centre species.

    inverse: [n_functions, n_functions], gamma = max_k |sum_b B_b inverse[b, k]|.
    picked: [n_functions] where in the rows each active one is, -1: none, this direction is not covered.
    largest: largest gamma of all rows.
    """

    inverse: FloatArray
    picked: IntArray
    largest: float


def active_set(rows: Rows, tolerance: float = 0.01) -> ActiveSet:
    """Choose the active rows of one centre species.

    Args:
        rows: [n_rows, n_functions] rows of B; or a function that returns blocks of them, called once per pass
            (until a pass changes nothing) and giving the same rows each time. Blocks are not kept.
        tolerance: rows are swapped as long as that gains more than this fraction of volume.

    Raises:
        InputError: no rows, rows of different lengths, or numbers that are not finite.
    """
    if not 0.0 < tolerance < np.inf:
        raise InputError(f"tolerance: expected a positive number, found {tolerance!r}")
    start, scale = _first_rows(_checked(rows))
    search = _Search(start, scale, tolerance)
    for _ in range(_PASSES):
        swaps, n_blocks, first, largest = search.swaps, 0, 0, 0.0
        for block in _checked(rows):
            largest = max(largest, search.add(block, first))
            first, n_blocks = first + len(block), n_blocks + 1
        if search.swaps == swaps or n_blocks == 1:
            break
    return ActiveSet(search.inverse / scale[:, None], search.picked, largest)


def _checked(rows: Rows) -> Iterator[FloatArray]:
    """Blocks of float64 rows, all of the same length and finite."""
    width = None
    for block in rows() if callable(rows) else (rows,):
        found = np.asarray(block)
        if found.ndim != 2 or found.dtype.kind not in "fiu" or (width is not None and found.shape[1] != width):
            expected = "n_functions" if width is None else width
            raise InputError(f"rows: expected numbers [n_rows, {expected}], found {found.dtype} {list(found.shape)}")
        if not np.isfinite(found).all():
            at = int(np.argwhere(~np.isfinite(found))[0][0])
            raise InputError(f"rows: expected finite numbers, found others in row {at} of a block")
        width = found.shape[1]
        yield np.asarray(found, np.float64)


def _first_rows(blocks: Iterator[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Enough rows to start from, and the typical size of each function in them [n_functions]."""
    held: list[FloatArray] = []
    for block in blocks:
        held.append(block.copy())  # the caller may use its memory again
        if sum(map(len, held)) >= _START_ROWS * block.shape[1]:
            break
    if not sum(map(len, held)):
        raise InputError("rows: expected the basis of at least one atom, found none")
    start = np.concatenate(held)
    scale = np.sqrt(np.mean(start * start, axis=0))
    seen = scale > 0.0
    scale[~seen] = float(np.median(scale[seen])) if seen.any() else 1.0
    return start, scale


class _Search:
    """The active rows so far, in units of `scale`."""

    def __init__(self, start: FloatArray, scale: FloatArray, tolerance: float) -> None:
        from scipy.linalg import lu_factor  # loaded when a set is chosen: models are graded without SciPy

        n = len(scale)
        self.scale, self.limit = scale, 1.0 + tolerance
        self.swaps = 0
        pool = np.concatenate([start / scale, UNSEEN * np.eye(n)])
        # Gaussian elimination with row exchanges: greedy, but close to the end
        order = np.arange(len(pool))
        for k, other in enumerate(lu_factor(pool, check_finite=False)[1][:n]):
            order[[k, other]] = order[[other, k]]
        self.active = pool[order[:n]]
        self.picked = np.where(order[:n] < len(start), order[:n], -1).astype(np.int64)
        self.inverse = np.linalg.inv(self.active)

    def add(self, rows: FloatArray, first: int) -> float:
        """Swap rows in; `first` is the number of the first one. Returns their largest grade, at most the limit."""
        scaled = rows / self.scale
        coefficients, carried = scaled @ self.inverse, 0
        while True:
            grades = np.maximum(coefficients.max(axis=1, initial=0.0), -coefficients.min(axis=1, initial=0.0))
            largest = float(grades.max(initial=0.0))
            changed: list[int] = []
            if largest > self.limit and carried < _CARRIED:
                over = np.argsort(-grades, kind="stable")[:_CANDIDATES]
                over = over[grades[over] > _NEAR * self.limit]
                changed = self._swap(scaled[over], coefficients[over], first + over)
            if changed:
                self._follow(changed, coefficients)
                carried += len(changed)
            elif carried:
                self.inverse, carried = np.linalg.inv(self.active), 0
                np.matmul(scaled, self.inverse, out=coefficients)
            else:
                return largest  # within the limit, or a swap that rounding alone asks for

    def _swap(self, rows: FloatArray, coefficients: FloatArray, numbers: IntArray) -> list[int]:
        """Swap while that gains volume, the coefficients [n_rows, n] following by rank-1 changes.

        Returns:
            Places whose active row is another now; the inverse does not know of it yet.
        """
        changed: dict[int, None] = {}
        while True:
            i, j = divmod(int(np.abs(coefficients).argmax()), coefficients.shape[1])
            gain = coefficients[i, j]
            if abs(gain) <= self.limit:
                break
            change = coefficients[i] / gain
            change[j] -= 1.0 / gain
            coefficients -= np.outer(coefficients[:, j].copy(), change)
            self.active[j], self.picked[j] = rows[i], numbers[i]
            changed[j] = None
            self.swaps += 1
        return list(changed)

    def _follow(self, changed: list[int], coefficients: FloatArray) -> None:
        """Inverse, and coefficients of rows, of an active matrix with other rows in k places: changes of rank k.

        With D the coefficients of the new rows less those of the old, X' = X - X[:, places] (1 + D[:, places])^-1 D.
        """
        new = self.active[changed] @ self.inverse
        at_places = new[:, changed]
        new[np.arange(len(changed)), changed] -= 1.0
        step = np.linalg.solve(at_places, new)
        for matrix in (self.inverse, coefficients):
            matrix -= matrix[:, changed] @ step
