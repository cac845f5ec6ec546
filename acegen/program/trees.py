"""Stage 3: coupling trees of one block expanded over its complex monomials.

The coupled form writes a block of order <= 6 as sum over trees of c <X, Y>, the inner product of two nodes of
the same degree L: X, Y are A itself, pairs (a b)L or triples ((a b)L1 c)L2, coupled with the real tensors of
maths.wigner.  Here each tree becomes a column over the canonical monomials of the block, so that couplings
given any other way (null spaces, files) can be projected on trees.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from acegen.maths.wigner import clebsch_gordan
from acegen.program.monomials import canonical

Tree = tuple[int, ...]  # the intermediate degrees, in the order of the structure below


@dataclass(frozen=True, slots=True, eq=False)
class Expansion:
    """Columns: trees; rows: canonical monomials of the sorted channels."""

    trees: tuple[Tree, ...]
    ms: np.ndarray  # int [n_monomials, order]
    matrix: np.ndarray  # [n_monomials, n_trees]


@cache
def _pair(l1: int, l2: int, degree: int) -> np.ndarray:
    """Coupling tensor on complex amplitudes without its phase: D [2l1+1, 2l2+1, 2L+1], Clebsch-Gordan coefficients.

    The real tensor of maths.wigner is this one between complex and real harmonics, times -i for odd l1 + l2 + L.
    """
    out = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * degree + 1))
    for m1 in range(-l1, l1 + 1):
        for m2 in range(max(-l2, -degree - m1), min(l2, degree - m1) + 1):
            out[m1 + l1, m2 + l2, m1 + m2 + degree] = clebsch_gordan(l1, m1, l2, m2, degree, m1 + m2).value
    return out


@cache
def _half(ls: tuple[int, ...], tree: Tree, degree: int) -> tuple[np.ndarray, int]:
    """Node tensor of one half, [.. one axis per factor .., 2*degree+1], and the power of -i it carries."""
    if len(ls) == 1:
        return np.eye(2 * ls[0] + 1), 0
    if len(ls) == 2:
        return _pair(ls[0], ls[1], degree), (ls[0] + ls[1] + degree) % 2
    first, second = _pair(ls[0], ls[1], tree[0]), _pair(tree[0], ls[2], degree)
    odd = (ls[0] + ls[1] + tree[0]) % 2 + (tree[0] + ls[2] + degree) % 2
    return _contract(first, second), odd


def _contract(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """sum_w x[..., w] y[w, ...] one w after another: the same bits on every processor, which BLAS does not promise."""
    out = np.zeros((*x.shape[:-1], *y.shape[1:]))
    for w in range(len(y)):
        out += np.multiply.outer(x[..., w], y[w])
    return out


def half_degrees(ls: tuple[int, ...], equal: bool) -> list[tuple[Tree, int]]:
    """(tree, degree) of all nodes of one half; a pair of one and the same channel has even L only."""
    if len(ls) == 1:
        return [((), ls[0])]
    pairs = [d for d in range(abs(ls[0] - ls[1]), ls[0] + ls[1] + 1) if not (equal and d % 2)]
    if len(ls) == 2:
        return [((), d) for d in pairs]
    return [((p,), d) for p in pairs for d in range(abs(p - ls[2]), p + ls[2] + 1)]


@cache
def expand(ls: tuple[int, ...], labels: tuple[int, ...], n_first: int) -> Expansion:
    """All trees of the split factors[:n_first] | factors[n_first:], labels mark equal channels."""
    first, second = ls[:n_first], ls[n_first:]
    halves_x = half_degrees(first, n_first > 1 and labels[0] == labels[1])
    halves_y = half_degrees(second, len(second) > 1 and labels[n_first] == labels[n_first + 1])
    trees, columns, rows = [], [], []
    order = sorted(range(len(ls)), key=lambda t: labels[t])
    sorted_labels = tuple(labels[t] for t in order)
    for tree_x, degree in halves_x:
        for tree_y, degree_y in halves_y:
            if degree != degree_y or _natural(first, tree_x, degree) != _natural(second, tree_y, degree):
                continue
            (x, odd_x), (y, odd_y) = _half(first, tree_x, degree), _half(second, tree_y, degree)
            m = np.arange(-degree, degree + 1)
            metric = np.where(m % 2, -1.0, 1.0) * (-1.0) ** ((odd_x + odd_y) // 2)  # <X, Y> = sum (-1)^M X_M Y_-M
            full = _contract(x * metric, np.moveaxis(y, -1, 0)[::-1])
            where = np.nonzero(np.abs(full) > 1e-14)
            ms = np.stack(where, axis=1) - np.array(ls)
            trees.append((*tree_x, degree, *tree_y))
            rows.append(canonical(sorted_labels, ms[:, order]))
            columns.append(full[where])
    if not trees:
        return Expansion((), np.zeros((0, len(ls)), np.int64), np.zeros((0, 0)))
    ms, inverse = np.unique(np.concatenate(rows), axis=0, return_inverse=True)
    matrix = np.zeros((len(ms), len(trees)))
    start = 0
    for t, column in enumerate(columns):
        np.add.at(matrix[:, t], inverse.reshape(-1)[start : start + len(column)], column)
        start += len(column)
    return Expansion(tuple(trees), ms, matrix)


def _natural(ls: tuple[int, ...], tree: Tree, degree: int) -> int:
    """Parity of sum l + L of the half: both halves must agree for a true scalar."""
    return (sum(ls) + degree) % 2


def solve(matrix: np.ndarray, target: np.ndarray, tolerance: float = 1e-10) -> tuple[list[int], np.ndarray]:
    """Least squares on a maximal independent set of columns (pivoted Gram-Schmidt, earliest wins ties).

    Sums run row after row, without BLAS, so that generated text does not depend on the processor.

    Returns:
        The chosen columns, ascending, and their coefficients [n_chosen, n_targets].
    """
    rest = matrix.copy()
    scale = float(np.sqrt((matrix * matrix).sum(axis=0)).max(initial=0.0))
    chosen: list[int] = []
    while len(chosen) < matrix.shape[1]:
        norms = np.sqrt((rest * rest).sum(axis=0))
        best = int(np.argmax(norms > 0.999 * norms.max(initial=0.0)))
        if norms[best] <= tolerance * max(scale, 1e-300):
            break
        q = rest[:, best] / norms[best]
        for _ in range(2):  # twice is enough
            rest -= np.multiply.outer(q, (q[:, None] * rest).sum(axis=0))
        rest[:, best] = 0.0
        chosen.append(best)
    chosen.sort()
    return chosen, _least_squares(matrix[:, chosen], target)


def _least_squares(columns: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Coefficients of target on independent columns by Gram-Schmidt and back substitution."""
    n = columns.shape[1]
    q, right = columns.copy(), target.copy()
    upper = np.zeros((n, n))
    coefficients = np.zeros((n, target.shape[1]))
    for j in range(n):
        for _ in range(2):
            for i in range(j):
                overlap = float((q[:, i] * q[:, j]).sum())
                upper[i, j] += overlap
                q[:, j] -= overlap * q[:, i]
        upper[j, j] = float(np.sqrt((q[:, j] * q[:, j]).sum()))
        q[:, j] /= upper[j, j]
        coefficients[j] = (q[:, j, None] * right).sum(axis=0)
        right -= np.multiply.outer(q[:, j], coefficients[j])
    for j in range(n - 1, -1, -1):
        for i in range(j + 1, n):
            coefficients[j] -= upper[j, i] * coefficients[i]
        coefficients[j] /= upper[j, j]
    return coefficients
