"""Stage 4: register tiles of the edge stage: combinations, pooled sums and their contraction."""

from __future__ import annotations

from itertools import pairwise
from typing import TypedDict

import numpy as np

from acegen.plan.types import CombinationPlan, Contraction, PoolTile
from acegen.program.types import Combination, PoolBlock


class Pooling(TypedDict):
    """The part of an EdgePlan that says what is pooled and contracted."""

    l_max: int
    degrees: tuple[int, ...]
    skipped: tuple[int, ...]
    tiles: tuple[PoolTile, ...]
    contractions: tuple[Contraction, ...]


def pooling(pools: list[PoolBlock], base: int, accumulators: int, summed: frozenset[int] = frozenset()) -> Pooling:
    """All pools, without the primitives that are summed instead."""
    degrees = {pool.l for pool in pools if set(pool.primitives) - summed}
    l_max = max(degrees, default=-1)
    return Pooling(
        l_max=l_max,
        degrees=tuple(sorted(degrees)),
        skipped=tuple(l for l in range(l_max) if l not in degrees),
        tiles=_tiles(pools, base, accumulators, summed),
        contractions=_contractions(pools, base, accumulators, summed),
    )


def _spread(total: int, largest: int) -> list[tuple[int, int]]:
    """Cut `total` into the fewest nearly equal parts of at most `largest`: (start, length)."""
    parts = -(-total // largest)
    cuts = [(total * p) // parts for p in range(parts + 1)]
    return [(a, b - a) for a, b in pairwise(cuts)]


def _joined(combinations: list[Combination]) -> list[tuple[tuple[int, ...], int, np.ndarray]]:
    """Combinations of the same primitives as one: (sources, first, matrix); fewer, fuller register tiles."""
    out: list[tuple[tuple[int, ...], int, np.ndarray]] = []
    for c in combinations:
        if out and out[-1][0] == c.sources and out[-1][1] + len(out[-1][2]) == c.first:
            sources, first, matrix = out[-1]
            out[-1] = (sources, first, np.vstack([matrix, c.matrix]))
        else:
            out.append((c.sources, c.first, c.matrix))
    return out


def combination_tiles(
    combinations: list[Combination], accumulators: int
) -> tuple[tuple[CombinationPlan, ...], np.ndarray]:
    """Register tiles of the combinations (two accumulators a row, value and slope) and their numbers [k][row]."""
    plans: list[CombinationPlan] = []
    numbers: list[np.ndarray] = []
    constant = 0
    for sources, first, matrix in _joined(combinations):
        for start, rows in _spread(len(matrix), max(1, accumulators // 2)):
            part = matrix[start : start + rows].T.ravel()
            plans.append(CombinationPlan(rows, len(sources), sources[0], first + start, constant))
            numbers.append(part)
            constant += part.size
    return tuple(plans), np.concatenate(numbers) if numbers else np.zeros(0)


def _runs(primitives: tuple[int, ...], summed: frozenset[int]) -> list[tuple[int, int, int]]:
    """Runs of consecutive primitives, but for those summed: (first primitive, position in the pool block, length)."""
    out: list[tuple[int, int, int]] = []
    for position, k in enumerate(primitives):
        if k in summed:
            continue
        if out and k == out[-1][0] + out[-1][2]:
            first, start, length = out[-1]
            out[-1] = (first, start, length + 1)
        else:
            out.append((k, position, 1))
    return out


def _tiles(pools: list[PoolBlock], base: int, accumulators: int, summed: frozenset[int]) -> tuple[PoolTile, ...]:
    """Register tiles rows x columns <= accumulators, columns <= 5 harmonics of one l."""
    tiles = []
    for pool in pools:
        width = 2 * pool.l + 1
        for column, columns in _spread(width, 5 if width > 4 else width):
            for k, position, length in _runs(pool.primitives, summed):
                for start, rows in _spread(length, max(1, accumulators // columns)):
                    out = pool.offset - base + (position + start) * pool.stride + column
                    tiles.append(PoolTile(pool.l, rows, columns, k + start, pool.l**2 + column, out, pool.stride))
    return tuple(tiles)


def _contractions(
    pools: list[PoolBlock], base: int, accumulators: int, summed: frozenset[int]
) -> tuple[Contraction, ...]:
    """Backward: two accumulators per component, value and slope; consecutive degrees of the same rows together."""
    groups: list[list[PoolBlock]] = []
    for pool in pools:
        last = groups[-1][-1] if groups else None
        if last and last.primitives == pool.primitives and last.l + 1 == pool.l and last.stride == pool.stride:
            groups[-1].append(pool)
        else:
            groups.append([pool])
    out = []
    for group in groups:
        width = sum(2 * pool.l + 1 for pool in group)
        for column, columns in _spread(width, max(1, accumulators // 2)):
            for run, (k, position, length) in enumerate(_runs(group[0].primitives, summed)):
                pooled = group[0].offset - base + position * group[0].stride + column
                harmonic = group[0].l ** 2 + column
                out.append(Contraction(length, columns, k, harmonic, pooled, group[0].stride, run > 0))
    return tuple(out)
