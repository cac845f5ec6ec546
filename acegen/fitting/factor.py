"""Streaming QR: the design matrix passes by in blocks, the triangular factor [R | Q^T y] stays.

Memory is (p + 1)^2 numbers whatever the number of rows; nothing is squared, so the factor is as well conditioned as
the rows. A block [m, p+1] costs 2 m p^2 operations (LAPACK tpqrt keeps the triangle of what came before).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dtpqrt

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray

_PANEL = 64  # columns factored at a time


@dataclass(slots=True)
class Factor:
    """Triangular factor of all rows [A | y] seen so far: A^T A = R^T R, A^T y = R^T q."""

    triangle: FloatArray  # [p+1, p+1] upper triangular, Fortran order
    n_rows: int = 0

    @staticmethod
    def empty(n_parameters: int) -> Factor:
        """No rows yet."""
        return Factor(np.zeros((n_parameters + 1, n_parameters + 1), order="F"))

    @property
    def n_parameters(self) -> int:
        return len(self.triangle) - 1

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
        self._absorb(block)
        self.n_rows += len(rows)

    def join(self, other: Factor) -> None:
        """Take in all the rows that another factor stands for."""
        self._absorb(np.array(other.triangle, order="F"))
        self.n_rows += other.n_rows

    def _absorb(self, block: FloatArray) -> None:
        if not np.isfinite(block).all():
            raise InputError("design matrix: expected finite rows, found nan or infinity (are two atoms at one place?)")
        panel = min(_PANEL, len(self.triangle))
        triangle, _, _, _ = dtpqrt(0, panel, self.triangle, block, overwrite_a=1, overwrite_b=1)
        self.triangle = np.asfortranarray(np.triu(triangle))
