"""Piecewise polynomial tables: the natural splines that define a model, and certified ones that replace a formula."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sympy

Segment = tuple[float, float, int, int]  # start, 1/width of a bin, number of bins, first bin


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Piecewise polynomials of one argument x (angstrom, or the transformed distance).

    Segments follow each other without gaps.  In bin b of a segment, t = (x - start) inverse_width - (b - first_bin)
    in [0, 1) and column k is sum_d coefficients[b, d, k] t^d.  Arguments outside belong to the nearest end bin with
    t clamped to [0, 1].
    """

    segments: tuple[Segment, ...]
    degree: int
    coefficients: np.ndarray  # float64 [n_bins, degree+1, size]
    error: float  # largest deviation of values and slopes (per angstrom) from the formula; 0: the table is the model

    @property
    def size(self) -> int:
        """Number of columns."""
        return int(self.coefficients.shape[2])

    def evaluate(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and d/dx at x [n]: two arrays [n, size]."""
        x = np.asarray(x, dtype=float)
        starts = np.array([segment[0] for segment in self.segments])
        which = np.clip(np.searchsorted(starts, x, side="right") - 1, 0, len(starts) - 1)
        inverse = np.array([segment[1] for segment in self.segments])[which]
        count = np.array([segment[2] for segment in self.segments])[which]
        first = np.array([segment[3] for segment in self.segments])[which]
        position = (x - starts[which]) * inverse
        local = np.clip(np.floor(position), 0, count - 1)
        t = np.clip(position - local, 0.0, 1.0)[:, None]
        rows = self.coefficients[first + local.astype(int)]
        value, slope = rows[:, self.degree], np.zeros_like(rows[:, 0])
        for d in range(self.degree - 1, -1, -1):
            slope = slope * t + value
            value = value * t + rows[:, d]
        return value, slope * inverse[:, None]


def polynomial_values(rows: tuple[tuple[sympy.Expr, sympy.Expr, sympy.Expr], ...], n_nodes: int) -> np.ndarray:
    """P_{k-1} at n_nodes equidistant points of [-1, 1]; [n_nodes, len(rows)]."""
    x = -1.0 + 2.0 * np.arange(n_nodes) / (n_nodes - 1)
    values = np.empty((n_nodes, len(rows)))
    for k, row in enumerate(rows):
        a, b, c = (float(number) for number in row)
        if k == 0:
            values[:, k] = a
        else:
            values[:, k] = (a * x + b) * (values[:, k - 1] if k > 1 else 1.0)
        if k > 1:
            values[:, k] += c * values[:, k - 2]
    return values


def natural_spline_table(values: np.ndarray) -> Table:
    """The cubic spline of ace_model.md S5: nodes x_k = -1 + 2k/(n-1), second derivative zero at both ends.

    Args:
        values: [n_nodes, size], the functions at the nodes.

    Returns:
        Table of n_nodes - 1 bins of degree 3 over [-1, 1]; it is the model, so its error is 0.
    """
    n = len(values)
    system = np.zeros((n + 2, n + 2))
    right = np.zeros((n + 2, values.shape[1]))
    for k in range(n):
        system[k + 1, k : k + 3] = 1 / 6, 4 / 6, 1 / 6
    system[0, :3] = system[-1, -3:] = 1.0, -2.0, 1.0
    right[1:-1] = values
    return spline_table(np.linalg.solve(system, right))


def spline_table(c: np.ndarray) -> Table:
    """The cubic spline over [-1, 1] with uniform B-spline coefficients c [n_nodes + 2, size] (ace_model.md S5)."""
    n = len(c) - 2
    c0, c1, c2, c3 = c[:-3], c[1:-2], c[2:-1], c[3:]
    powers = ((c0 + 4 * c1 + c2) / 6, (c2 - c0) / 2, (c0 - 2 * c1 + c2) / 2, (c3 - c0 + 3 * (c1 - c2)) / 6)
    return Table(((-1.0, (n - 1) / 2, n - 1, 0),), 3, np.stack(powers, axis=1), 0.0)
