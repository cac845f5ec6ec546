"""Invariants of a product of angular momenta: coupling coefficients over m-classes, and their counting.

A body's factors, sorted by (l, n), form groups (l, k): k equal channels of degree l.  Equal factors commute, so a
monomial is a class: one nondecreasing m-tuple per group.  The invariants are the null space of the raising
operator J+ on the classes with sum m = 0 (J+ A_lm = sqrt((l-m)(l+m+1)) A_l,m+1 as a derivation).

Gauge.  Rows are orthonormal in these plain class coordinates (no multiplicities).  Their sign, and the rotation
inside a degenerate block, come from a row-pivoted LU factorisation of the equilibrated transpose of J+ followed by
Gram-Schmidt orthonormalisation; it coincides entry by entry with EquivariantTensors >= 0.5 and ace-jax 0.4.
Complex harmonics with Condon-Shortley phase throughout.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement

import numpy as np

from acegen.errors import AcegenError

Groups = tuple[tuple[int, int], ...]  # (l, multiplicity) of every distinct channel, sorted by (l, n)

NEGLIGIBLE = 1e-12  # coefficients below this are cancellation noise: exact entries exceed it by far
LARGEST = 16_000  # classes with sum m = 0 of one body: elimination keeps the square of this number of doubles
RESIDUAL = 1e-11  # largest |J+ c| accepted for a row of norm 1


@dataclass(frozen=True, slots=True, eq=False)
class Invariants:
    """classes [n_classes, order] with m nondecreasing inside each group; rows [r, n_classes], orthonormal."""

    classes: np.ndarray
    rows: np.ndarray
    residual: float  # max |J+ rows|


def n_classes(groups: Groups) -> np.ndarray:
    """Number of classes by total M: integer array over M = -sum(l k) .. sum(l k) (exact)."""
    counts = np.ones(1, dtype=object)
    for l, k in groups:
        # Multisets of size k from {-l..l}, by sum: the Gaussian binomial [2l+k choose k].
        table = np.zeros((k + 1, 2 * l * k + 1), dtype=object)
        table[0, 0] = 1
        for value in range(2 * l + 1):
            for size in range(1, k + 1):
                shifted = table[size - 1, : table.shape[1] - value]
                table[size, value:] = table[size, value:] + shifted
        counts = np.convolve(counts, table[k])
    return counts


@cache
def n_invariants(groups: Groups) -> int:
    """Number of rotation invariants: classes with sum m = 0 minus classes with sum m = 1 (0 for odd sum of l)."""
    total = sum(l * k for l, k in groups)
    if total % 2:
        return 0
    counts = n_classes(groups)
    return int(counts[total] - (counts[total + 1] if total else 0))


def classes(groups: Groups, total: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Classes with sum m = total, one nondecreasing tuple per group, lexicographic with the first group slowest."""
    if not groups:
        if total == 0:
            yield ()
        return
    (l, k), rest = groups[0], groups[1:]
    reach = sum(l2 * k2 for l2, k2 in rest)
    for head in combinations_with_replacement(range(-l, l + 1), k):
        if abs(total - sum(head)) <= reach:
            for tail in classes(rest, total - sum(head)):
                yield (head, *tail)


def raising_matrix(groups: Groups) -> np.ndarray:
    """J+ from the classes with M = 0 (columns) to those with M = 1 (rows)."""
    rows = {c: i for i, c in enumerate(classes(groups, 1))}
    columns = list(classes(groups, 0))
    matrix = np.zeros((len(rows), len(columns)))
    for j, column in enumerate(columns):
        for g, (l, _) in enumerate(groups):
            members = column[g]
            for m in sorted(set(members) - {l}):
                position = len(members) - members[::-1].index(m)  # after the last m: raising it keeps the order
                raised = (*members[: position - 1], m + 1, *members[position:])
                target = rows[(*column[:g], raised, *column[g + 1 :])]
                matrix[target, j] += members.count(m) * math.sqrt((l - m) * (l + m + 1))
    return matrix


def _eliminate(work: np.ndarray) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Row-pivoted LU of work [n0, n1], which is overwritten: row order and, per column, (rows below, multipliers).

    The matrix is sparse and fills in little: only rows and columns that are not zero are touched.
    """
    n0, n1 = work.shape
    order = np.arange(n0)
    lower = []
    for k in range(n1):
        column = work[order[k:], k]
        pivot = k + int(np.argmax(np.abs(column)))
        order[[k, pivot]] = order[[pivot, k]]
        column[[0, pivot - k]] = column[[pivot - k, 0]]
        there = 1 + np.flatnonzero(column[1:])
        below, top = order[k + there], work[order[k]]
        right = k + 1 + np.flatnonzero(top[k + 1 :])
        multipliers = column[there] / top[k]
        work[np.ix_(below, right)] -= multipliers[:, None] * top[right]
        lower.append((below, multipliers))
    return order, lower


def _null_rows(matrix: np.ndarray) -> np.ndarray:
    """Rows spanning the null space of a full-rank matrix [n1, n0], in the gauge of the module docstring.

    Sums run one term after another, without BLAS, so that the numbers do not depend on the processor.
    """
    n1, n0 = matrix.shape
    if n1 == 0:
        return np.eye(n0)
    scale = 1.0 / np.abs(matrix).sum(axis=0)
    order, lower = _eliminate(np.asfortranarray(matrix.T * scale[:, None]))
    free = order[n1:]
    columns = np.zeros((n0, n0 - n1))
    columns[free, np.arange(n0 - n1)] = 1.0
    for k in range(n1 - 1, -1, -1):
        below, multipliers = lower[k]
        columns[order[k]] = -(multipliers[:, None] * columns[below]).sum(axis=0)
    return _orthonormal((columns * scale[:, None]).T)


def _orthonormal(rows: np.ndarray) -> np.ndarray:
    """Gram-Schmidt, one row after another; twice is enough."""
    out = np.ascontiguousarray(rows.T)
    for j in range(out.shape[1]):
        for _ in range(2 if j else 0):
            overlap = (out[:, j, None] * out[:, :j]).sum(axis=0)
            for i in range(j):
                out[:, j] -= overlap[i] * out[:, i]
        out[:, j] /= math.sqrt(math.fsum((out[:, j] * out[:, j]).tolist()))
    return np.ascontiguousarray(out.T)


@cache
def invariants(groups: Groups) -> Invariants:
    """All rotation invariants of the body with these groups; r = 0 rows where there is none.

    Raises AcegenError when there are too many classes, or when rounding spoils the null space (the residual |J+ c|
    exceeds 1e-11).
    """
    total = sum(l * k for l, k in groups)
    size = int(n_classes(groups)[total])
    ls = " ".join(str(l) for l, k in groups for _ in range(k))
    if size > LARGEST:
        raise AcegenError(f"coupling of l = {ls}: {size} products exceed {LARGEST}; lower order, l_max or degree")
    flat = np.array([[m for part in c for m in part] for c in classes(groups, 0)], dtype=np.int16)
    if n_invariants(groups) == 0:
        return Invariants(flat, np.zeros((0, len(flat))), 0.0)
    matrix = raising_matrix(groups)
    rows = _null_rows(matrix)
    residual = float(np.abs(matrix @ rows.T).max(initial=0.0))
    if residual > RESIDUAL:
        raise AcegenError(f"coupling of l = {ls}: residual {residual:.1e} exceeds {RESIDUAL:.0e}; lower order or l_max")
    return Invariants(flat, np.where(np.abs(rows) < NEGLIGIBLE, 0.0, rows), residual)


@cache
def half_terms(groups: Groups) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Per invariant: (ms [n_terms, order], coefficients [n_terms]) so that B = sum coefficients Re prod A.

    The class -m is the complex conjugate of m (sum m = 0), and c(-m) = c(m) for even sum of l: only the
    lexicographically larger of the two is kept, with twice the coefficient.
    """
    table = invariants(groups)
    splits = np.cumsum([k for _, k in groups])[:-1]
    mirrored = np.concatenate([-part[:, ::-1] for part in np.split(table.classes, splits, axis=1)], axis=1)
    keys = [tuple(row) for row in table.classes.tolist()]
    partners = [tuple(row) for row in mirrored.tolist()]
    keep = np.array([key >= partner for key, partner in zip(keys, partners, strict=True)])
    factor = np.array([1.0 if key == partner else 2.0 for key, partner in zip(keys, partners, strict=True)])
    result = []
    for row in table.rows:
        chosen = keep & (row != 0.0)
        ms, coefficients = table.classes[chosen], (row * factor)[chosen]
        ms.setflags(write=False)
        coefficients.setflags(write=False)
        result.append((ms, coefficients))
    return tuple(result)
