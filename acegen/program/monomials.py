"""Stage 3: the product basis of one centre as canonical complex monomials.

A monomial is a sorted tuple of factors (channel, m) with sum m = 0; Re of a product equals Re of the
product with all m negated, so of each such pair the lexicographically larger tuple is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acegen.potential import BasisFunction, Centre


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """All functions with the same channels: monomials (rows of m, factors sorted) and their couplings."""

    channels: tuple[int, ...]  # sorted
    ms: np.ndarray  # int [n_monomials, order]
    couplings: np.ndarray  # [n_monomials, n_rows]
    functions: tuple[int, ...]  # [n_rows] basis function of each column


def canonical(channels: tuple[int, ...], ms: np.ndarray) -> np.ndarray:
    """Sort m inside runs of equal channels, then choose between the tuple and its negative."""
    runs = _runs(channels)

    def ordered(values: np.ndarray) -> np.ndarray:
        out = values.copy()
        for start, stop in runs:
            if stop - start > 1:
                out[:, start:stop] = np.sort(out[:, start:stop], axis=1)
        return out

    plus, minus = ordered(ms), ordered(-ms)
    different = plus != minus
    first = np.argmax(different, axis=1)
    rows = np.arange(len(ms))
    swap = different.any(axis=1) & (minus[rows, first] > plus[rows, first])
    return np.where(swap[:, None], minus, plus)


def _runs(channels: tuple[int, ...]) -> list[tuple[int, int]]:
    runs, start = [], 0
    for t in range(1, len(channels) + 1):
        if t == len(channels) or channels[t] != channels[start]:
            runs.append((start, t))
            start = t
    return runs


def blocks(centre: Centre) -> list[Block]:
    """Functions of order >= 2 gathered by channels, in order of first appearance."""
    grouped: dict[tuple[int, ...], list[int]] = {}
    orders: dict[int, list[int]] = {}
    for f, function in enumerate(centre.functions):
        if len(function.channels) < 2:
            continue
        order = sorted(range(len(function.channels)), key=lambda t: function.channels[t])
        grouped.setdefault(tuple(function.channels[t] for t in order), []).append(f)
        orders[f] = order
    known: dict[tuple[object, ...], tuple[np.ndarray, np.ndarray]] = {}
    out = []
    for channels, members in grouped.items():
        # bodies that differ only in n have the same monomials and couplings
        functions = [centre.functions[f] for f in members]
        key: tuple[object, ...] = (
            tuple(_runs(channels)),
            tuple((*orders[f], -1) for f in members),
            tuple((f.ms.dtype.str, f.ms.tobytes(), f.coefficients.tobytes()) for f in functions),
        )
        if key not in known:
            parts = [canonical(channels, np.asarray(centre.functions[f].ms, np.int64)[:, orders[f]]) for f in members]
            known[key] = _collect(parts, functions)
        out.append(Block(channels, *known[key], tuple(members)))
    return out


def _collect(parts: list[np.ndarray], functions: list[BasisFunction]) -> tuple[np.ndarray, np.ndarray]:
    """Distinct monomials [n_monomials, order] of some functions and their couplings [n_monomials, n_functions]."""
    ms, inverse = np.unique(np.concatenate(parts), axis=0, return_inverse=True)
    couplings = np.zeros((len(ms), len(parts)))
    start = 0
    for column, (part, function) in enumerate(zip(parts, functions, strict=True)):
        stop = start + len(part)
        np.add.at(couplings[:, column], inverse.reshape(-1)[start:stop], function.coefficients)
        start = stop
    keep = np.any(couplings != 0.0, axis=1)
    return ms[keep], couplings[keep]


def phase(ms: np.ndarray) -> np.ndarray:
    """Factor between prod A_m and prod z_m: A_m = (-1)^m z_m/sqrt2, A_-m = conj(z_m)/sqrt2, A_0 = z_0."""
    sign = np.where((ms > 0) & (ms % 2 == 1), -1.0, 1.0).prod(axis=1)
    return np.asarray(sign * 0.5 ** (0.5 * np.count_nonzero(ms, axis=1)))
