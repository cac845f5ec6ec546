"""Invariants of a product of angular momenta: coupling coefficients over m-classes, and their counting.

A body's factors, sorted by (l, n), form groups (l, k): k equal channels of degree l.  Equal factors commute, so a
monomial is a class: one nondecreasing m-tuple per group.  The invariants are the null space of the raising
operator J+ on the classes with sum m = 0 (J+ A_lm = sqrt((l-m)(l+m+1)) A_l,m+1 as a derivation).

Gauge.  Rows are orthonormal in these plain class coordinates (no multiplicities).  Their sign, and the rotation
inside a degenerate block, come from a row-pivoted LU factorisation of the equilibrated transpose of J+ followed by
Cholesky orthonormalisation; it coincides entry by entry with EquivariantTensors >= 0.5 and ace-jax 0.4.
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


def _null_rows(matrix: np.ndarray) -> np.ndarray:
    """Rows spanning the null space of a full-rank matrix [n1, n0], in the gauge of the module docstring."""
    n1, n0 = matrix.shape
    if n1 == 0:
        return np.eye(n0)
    scale = 1.0 / np.abs(matrix).sum(axis=0)
    work = matrix.T * scale[:, None]
    order = np.arange(n0)
    for k in range(n1):  # row-pivoted elimination; the multipliers replace the eliminated entries
        pivot = k + int(np.argmax(np.abs(work[k:, k])))
        work[[k, pivot]] = work[[pivot, k]]
        order[[k, pivot]] = order[[pivot, k]]
        below = k + 1 + np.flatnonzero(work[k + 1 :, k])  # the matrix is sparse: few rows need the update
        work[below, k] /= work[k, k]
        work[below, k + 1 :] -= work[below, k, None] * work[k, k + 1 :]
    lower = np.tril(work[:n1], -1) + np.eye(n1)
    rows = np.empty((n0 - n1, n0))
    rows[:, order[:n1]] = -np.linalg.solve(lower.T, work[n1:].T).T
    rows[:, order[n1:]] = np.eye(n0 - n1)
    rows *= scale
    return np.asarray(np.linalg.solve(np.linalg.cholesky(rows @ rows.T), rows))


@cache
def invariants(groups: Groups) -> Invariants:
    """All rotation invariants of the body with these groups; r = 0 rows where there is none.

    Raises AcegenError when rounding spoils the null space (the residual |J+ c| exceeds 1e-11).
    """
    flat = np.array([[m for part in c for m in part] for c in classes(groups, 0)], dtype=np.int16)
    if n_invariants(groups) == 0:
        return Invariants(flat, np.zeros((0, len(flat))), 0.0)
    matrix = raising_matrix(groups)
    rows = _null_rows(matrix)
    residual = float(np.abs(matrix @ rows.T).max(initial=0.0))
    if residual > RESIDUAL:
        ls = " ".join(str(l) for l, k in groups for _ in range(k))
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
