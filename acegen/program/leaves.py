"""Stage 3, first part: pooled sums and leaves of one centre species laid out in X."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acegen.potential import Bond, Centre
from acegen.program.types import Combination, Fold, MixBlock, PoolBlock

Spans = list[list[tuple[int, np.ndarray]]]  # per channel: (neighbour, coefficients over that bond's primitives)


@dataclass(frozen=True, slots=True, eq=False)
class Leaves:
    """Layout of the pooled sums and the leaves, and the order-1 (linear) terms."""

    pools: tuple[PoolBlock, ...]
    combinations: tuple[Combination, ...]
    mixes: tuple[MixBlock, ...]
    n_pooled: int
    n_leaves: int
    offset: tuple[int, ...]
    linear: np.ndarray
    linear_fold: Fold
    folded: tuple[tuple[int, int], ...]


def _spans(centre: Centre, bonds: tuple[Bond, ...]) -> Spans:
    """For each channel the (neighbour, coefficients over the primitives of that bond) it is made of."""
    spans = []
    for channel in centre.channels:
        row = np.asarray(channel.coefficients, float)
        if channel.neighbour >= 0:
            parts = {channel.neighbour: row}
        else:
            ends = np.cumsum([bond.n_primitives - bond.folded for bond in bonds])
            parts = dict(enumerate(np.split(row, ends[:-1])))
        # primitives that were folded in later belong to no channel
        spans.append([(b, np.append(part, np.zeros(bonds[b].folded))) for b, part in parts.items()])
    return spans


def lay_out(centre: Centre, bonds: tuple[Bond, ...]) -> Leaves:
    """Decide which primitives are pooled for which l, where they and the leaves lie, and what is linear."""
    spans = _spans(centre, bonds)
    product = sorted({c for f in centre.functions if len(f.channels) > 1 for c in f.channels})
    single = sorted({f.channels[0] for f in centre.functions if len(f.channels) == 1})
    wanted = _wanted(centre, bonds, spans, [*product, *single])
    direct = _direct(centre, spans, product, wanted)
    pools, combinations, leaf_offset = [], [], [-1] * len(centre.channels)
    placed: set[tuple[int, int]] = set()
    offset, derived = 0, [bond.n_primitives for bond in bonds]
    for (b, l), used in sorted(wanted.items()):
        if (b, l) in placed:
            continue
        if (b, l) in direct:
            channels, sources, matrix = direct[b, l]
            combinations.append(Combination(b, derived[b], sources, matrix))
            rows = tuple(range(derived[b], derived[b] + len(channels)))
            pools.append(PoolBlock(b, l, rows, offset, 2 * l + 1))
            for c in channels:
                leaf_offset[c] = offset
                offset += 2 * l + 1
            derived[b] += len(channels)
        elif used:
            # degrees with the same primitives side by side: whole register tiles in the contraction
            same = [
                ll for (bb, ll), other in sorted(wanted.items()) if bb == b and other == used and (b, ll) not in direct
            ]
            stride = sum(2 * ll + 1 for ll in same)
            first = offset
            for ll in same:
                pools.append(PoolBlock(b, ll, tuple(sorted(used)), first, stride))
                placed.add((b, ll))
                first += 2 * ll + 1
            offset += len(used) * stride
    n_pooled = offset
    where = {(p.neighbour, p.l): i for i, p in enumerate(pools)}
    mixed = _alias(centre, spans, [c for c in product if leaf_offset[c] < 0], pools, where, leaf_offset)
    mixes, offset = _mixes(spans, mixed, pools, len(bonds), leaf_offset, offset)
    linear, fold = _linear_terms(centre, spans, pools, where)
    folded = []
    for b, bond in enumerate(bonds):
        for p in range(bond.folded):
            folded.append((pools[where[b, 0]].row(bond.n_primitives - bond.folded + p), p))
    return Leaves(
        tuple(pools),
        tuple(combinations),
        tuple(mixes),
        n_pooled,
        offset,
        tuple(leaf_offset),
        linear,
        fold,
        tuple(folded),
    )


_EDGES_PER_ATOM = 50  # mixing is done once per atom, everything else here once per edge


def _wanted(
    centre: Centre, bonds: tuple[Bond, ...], spans: Spans, channels: list[int]
) -> dict[tuple[int, int], set[int]]:
    """Primitives that some channel of (neighbour, l) is made of."""
    wanted: dict[tuple[int, int], set[int]] = {}
    for c in channels:
        for b, row in spans[c]:
            used = wanted.setdefault((b, centre.channels[c].l), set())
            used.update(np.nonzero(row)[0].tolist())
    for b, bond in enumerate(bonds):
        if bond.folded:
            wanted.setdefault((b, 0), set()).update(range(bond.n_primitives - bond.folded, bond.n_primitives))
    return wanted


def _mixes(
    spans: Spans,
    mixed: dict[tuple[int, int], list[int]],
    pools: list[PoolBlock],
    n_bonds: int,
    leaf_offset: list[int],
    offset: int,
) -> tuple[list[MixBlock], int]:
    """Blocks of leaves mixed from pooled sums; sets their offsets and returns the first free component."""
    where = {(p.neighbour, p.l): i for i, p in enumerate(pools)}
    mixes = []
    for (b, l), channels in sorted(mixed.items()):
        start = offset
        for c in channels:
            leaf_offset[c] = offset
            offset += 2 * l + 1
        add = False
        for bb in range(n_bonds) if b < 0 else (b,):
            if (bb, l) not in where:
                continue
            pool = pools[where[bb, l]]
            matrix = np.array([dict(spans[c])[bb][list(pool.primitives)] for c in channels])
            if np.any(matrix):
                mixes.append(MixBlock(l, where[bb, l], start, matrix, add))
                add = True
    return mixes, offset


def _direct(
    centre: Centre, spans: Spans, product: list[int], wanted: dict[tuple[int, int], set[int]]
) -> dict[tuple[int, int], tuple[list[int], tuple[int, ...], np.ndarray]]:
    """(neighbour, l) whose R_nl are formed on every edge: (channels, sources, matrix [n_channels, n_sources]).

    Per edge, with K primitives and n channels: pooling costs 3 K (2l+1) multiply-adds, forward and twice backward;
    forming R_nl and its slope 2 n K, 4 n loads and stores, and then only 3 n (2l+1).
    """
    groups: dict[tuple[int, int], list[int]] = {}
    shared = set()
    for c in product:
        channel = centre.channels[c]
        groups.setdefault((channel.neighbour, channel.l), []).append(c)
        if channel.neighbour < 0:
            shared.add(channel.l)
    out = {}
    for (b, l), channels in groups.items():
        sources = tuple(sorted(wanted.get((b, l), ())))
        if b < 0 or l == 0 or l in shared or not sources or sources[-1] - sources[0] + 1 != len(sources):
            continue
        n, k, width = len(channels), len(sources), 2 * l + 1
        pooled = 3 * k * width + 2 * n * k * width / _EDGES_PER_ATOM
        formed = 2 * n * k + 4 * n + 3 * n * width
        if 1.05 * formed < pooled:
            out[b, l] = (channels, sources, np.array([dict(spans[c])[b][list(sources)] for c in channels]))
    return out


def _alias(
    centre: Centre,
    spans: Spans,
    channels: list[int],
    pools: list[PoolBlock],
    where: dict[tuple[int, int], int],
    leaf_offset: list[int],
) -> dict[tuple[int, int], list[int]]:
    """One-hot channels are the pooled sum itself: set their offset; return the others by (neighbour, l)."""
    mixed: dict[tuple[int, int], list[int]] = {}
    for c in channels:
        channel = centre.channels[c]
        live = [(b, row) for b, row in spans[c] if np.any(row)]
        if len(live) == 1 and np.count_nonzero(live[0][1]) == 1 and live[0][1].max() == 1.0:
            pool = pools[where[live[0][0], channel.l]]
            leaf_offset[c] = pool.row(int(np.argmax(live[0][1])))
        else:
            mixed.setdefault((channel.neighbour, channel.l), []).append(c)
    return mixed


def _linear_terms(
    centre: Centre,
    spans: Spans,
    pools: list[PoolBlock],
    where: dict[tuple[int, int], int],
) -> tuple[np.ndarray, Fold]:
    """Order-1 functions act on the pooled l = 0 sums directly."""
    rows: dict[int, dict[int, float]] = {}
    for f, function in enumerate(centre.functions):
        if len(function.channels) != 1:
            continue
        factor = float(np.sum(function.coefficients))
        for b, coefficients in spans[function.channels[0]]:
            for k in np.nonzero(coefficients)[0]:
                o = pools[where[b, 0]].row(int(k))
                row = rows.setdefault(o, {})
                row[f] = row.get(f, 0.0) + factor * float(coefficients[k])
    offsets = sorted(rows)
    return np.array(offsets, np.int64), Fold.from_rows([rows[o] for o in offsets])
