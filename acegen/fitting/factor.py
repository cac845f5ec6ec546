"""Streaming QR: the design matrix passes by in blocks, the triangular factor [R | Q^T y] stays.

Memory is (p + 1)^2 numbers whatever the number of rows; nothing is squared, so the factor is as well conditioned as
the rows. A block [m, p+1] costs 2 m p^2 operations (LAPACK tpqrt keeps the triangle of what came before).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg.lapack import dtpqrt

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray

_PANEL = 64  # columns factored at a time
_ENOUGH = 2  # rows in sizes of the triangle, from which on they are taken in


@dataclass(slots=True)
class Factor:
    """Triangular factor of all rows [A | y] seen so far: A^T A = R^T R, A^T y = R^T q.

    Few rows wait for others: LAPACK called for each of them would spend its time on starting threads.
    """

    settled: FloatArray  # [p+1, p+1] upper triangular, Fortran order, without the rows that wait
    n_rows: int = 0
    waiting: list[FloatArray] = field(default_factory=list)  # blocks [m, p+1]

    @staticmethod
    def empty(n_parameters: int) -> Factor:
        """No rows yet."""
        return Factor(np.zeros((n_parameters + 1, n_parameters + 1), order="F"))

    @property
    def n_parameters(self) -> int:
        return len(self.settled) - 1

    @property
    def triangle(self) -> FloatArray:
        """[R | q] [p+1, p+1] of all rows; the last diagonal number is the root of the rest."""
        self._settle()
        return self.settled

    @property
    def upper(self) -> FloatArray:
        """R [p, p]."""
        return self.triangle[:-1, :-1]

    @property
    def projected(self) -> FloatArray:
        """q = Q^T y [p]."""
        return self.triangle[:-1, -1]

    @property
    def rest(self) -> float:
        """Square of the part of y that no parameters reach."""
        return float(self.triangle[-1, -1] ** 2)

    def add(self, rows: FloatArray, target: FloatArray, weights: FloatArray | None = None) -> None:
        """Take in rows [m, p] and their target [m], each times its weight [m].

        Raises:
            InputError: not finite.
        """
        if not len(rows):
            return
        scale = np.ones(len(rows)) if weights is None else weights
        block = np.empty((len(rows), self.n_parameters + 1), order="F")
        np.multiply(rows, scale[:, None], out=block[:, :-1])
        np.multiply(target, scale, out=block[:, -1])
        if not np.isfinite(block).all():
            raise InputError("design matrix: expected finite rows, found nan or infinity (are two atoms at one place?)")
        self.waiting.append(block)
        self.n_rows += len(rows)
        if sum(map(len, self.waiting)) >= _ENOUGH * len(self.settled):
            self._settle()

    def join(self, other: Factor) -> None:
        """Take in all the rows that another factor stands for."""
        self._settle()
        self._absorb(np.array(other.triangle, order="F"))
        self.n_rows += other.n_rows

    def _settle(self) -> None:
        """Take the rows that wait into the triangle."""
        if self.waiting:
            block = self.waiting[0] if len(self.waiting) == 1 else np.concatenate(self.waiting)
            self.waiting = []
            self._absorb(np.asfortranarray(block))

    def _absorb(self, block: FloatArray) -> None:
        panel = min(_PANEL, len(self.settled))
        triangle, _, _, _ = dtpqrt(0, panel, self.settled, block, overwrite_a=1, overwrite_b=1)
        self.settled = np.asfortranarray(np.triu(triangle))
