"""Stage 3: the product basis of one centre as canonical complex monomials.

A monomial is a sorted tuple of factors (channel, m) with sum m = 0; Re of a product equals Re of the
product with all m negated, so of each such pair the lexicographically larger tuple is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acegen.potential import BasisFunction, Centre

Factor = tuple[int, int]
Key = tuple[Factor, ...]


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


def _sorted_function(function: BasisFunction) -> tuple[tuple[int, ...], np.ndarray]:
    order = sorted(range(len(function.channels)), key=lambda t: function.channels[t])
    return tuple(function.channels[t] for t in order), np.asarray(function.ms, np.int64)[:, order]


def blocks(centre: Centre) -> list[Block]:
    """Functions of order >= 2 gathered by channels, in order of first appearance."""
    grouped: dict[tuple[int, ...], list[int]] = {}
    parts: dict[int, np.ndarray] = {}
    for f, function in enumerate(centre.functions):
        if len(function.channels) < 2:
            continue
        channels, ms = _sorted_function(function)
        grouped.setdefault(channels, []).append(f)
        parts[f] = canonical(channels, ms)
    out = []
    for channels, members in grouped.items():
        stacked = np.concatenate([parts[f] for f in members])
        ms, inverse = np.unique(stacked, axis=0, return_inverse=True)
        couplings = np.zeros((len(ms), len(members)))
        start = 0
        for column, f in enumerate(members):
            stop = start + len(parts[f])
            np.add.at(couplings[:, column], inverse.reshape(-1)[start:stop], centre.functions[f].coefficients)
            start = stop
        keep = np.any(couplings != 0.0, axis=1)
        out.append(Block(channels, ms[keep], couplings[keep], tuple(members)))
    return out


def phase(ms: np.ndarray) -> np.ndarray:
    """Factor between prod A_m and prod z_m: A_m = (-1)^m z_m/sqrt2, A_-m = conj(z_m)/sqrt2, A_0 = z_0."""
    sign = np.where((ms > 0) & (ms % 2 == 1), -1.0, 1.0).prod(axis=1)
    return np.asarray(sign * 0.5 ** (0.5 * np.count_nonzero(ms, axis=1)))
