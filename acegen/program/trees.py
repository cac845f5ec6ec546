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

from acegen.maths.wigner import real_coupling
from acegen.program.monomials import canonical

Tree = tuple[int, ...]  # the intermediate degrees, in the order of the structure below


@dataclass(frozen=True, slots=True, eq=False)
class Expansion:
    """Columns: trees; rows: canonical monomials of the sorted channels."""

    trees: tuple[Tree, ...]
    ms: np.ndarray  # int [n_monomials, order]
    matrix: np.ndarray  # [n_monomials, n_trees]


@cache
def _to_real(l: int) -> np.ndarray:
    """V with S = V Y: real harmonics (m = -l..l) from complex ones with Condon-Shortley phase."""
    v = np.zeros((2 * l + 1, 2 * l + 1), complex)
    v[l, l] = 1.0
    for m in range(1, l + 1):
        sign = -1.0 if m % 2 else 1.0
        v[l + m, l + m], v[l + m, l - m] = sign / np.sqrt(2), 1 / np.sqrt(2)
        v[l - m, l + m], v[l - m, l - m] = -1j * sign / np.sqrt(2), 1j / np.sqrt(2)
    return v


@cache
def _pair(l1: int, l2: int, degree: int) -> np.ndarray:
    """Coupling tensor on complex amplitudes, D [2l1+1, 2l2+1, 2L+1]."""
    real = real_coupling(l1, l2, degree)
    out: np.ndarray = np.einsum(
        "uvw,ua,vb,wc->abc", real, _to_real(l1), _to_real(l2), _to_real(degree).conj(), optimize=True
    )
    return out


@cache
def _half(ls: tuple[int, ...], tree: Tree, degree: int) -> np.ndarray:
    """Node tensor of one half: [.. one axis per factor .., 2*degree+1]."""
    if len(ls) == 1:
        return np.eye(2 * ls[0] + 1, dtype=complex)
    if len(ls) == 2:
        return _pair(ls[0], ls[1], degree)
    first = _pair(ls[0], ls[1], tree[0])
    out: np.ndarray = np.einsum("abw,wcd->abcd", first, _pair(tree[0], ls[2], degree))
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
            x, y = _half(first, tree_x, degree), _half(second, tree_y, degree)
            m = np.arange(-degree, degree + 1)
            metric = np.where(m % 2, -1.0, 1.0)
            full = np.tensordot(x * metric, y[..., ::-1], axes=([-1], [-1]))
            where = np.nonzero(np.abs(full) > 1e-14)
            ms = np.stack(where, axis=1) - np.array(ls)
            trees.append((*tree_x, degree, *tree_y))
            rows.append(canonical(sorted_labels, ms[:, order]))
            columns.append(full[where].real)
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


def independent(matrix: np.ndarray, tolerance: float = 1e-10) -> list[int]:
    """Indices of a maximal independent set of columns (pivoted Gram-Schmidt, earliest wins ties)."""
    rest = matrix.copy()
    norms = np.linalg.norm(matrix, axis=0)
    scale = float(norms.max(initial=0.0))
    chosen: list[int] = []
    while len(chosen) < matrix.shape[1]:
        norms = np.linalg.norm(rest, axis=0)
        best = int(np.argmax(norms > 0.999 * norms.max(initial=0.0)))
        if norms[best] <= tolerance * max(scale, 1e-300):
            break
        q = rest[:, best] / norms[best]
        for _ in range(2):  # twice is enough
            rest -= np.outer(q, q @ rest)
        rest[:, best] = 0.0
        chosen.append(best)
    return sorted(chosen)
