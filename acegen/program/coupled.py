"""Stage 3: the coupled form, one coefficient per block and tree, used for all 2L+1 components."""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np

from acegen.program.monomials import Block
from acegen.program.trees import Expansion, Tree, expand, solve
from acegen.program.types import Entries, Fold, StepGroup

Half = tuple[int, ...]  # channels of one half; a triple is (a, b, c) with the pair (a, b) coupled first
Projection = tuple[tuple[Tree, tuple[tuple[int, float], ...]], ...]  # per tree: (function of the block, coefficient)
_RESIDUAL = 1e-12  # relative: couplings read from 17-digit files reproduce to a few 1e-16


class NotInvariant(Exception):
    """A block is not in the span of its coupling trees, so only the pair-split form applies."""


class _Nodes:
    def __init__(self, degrees: dict[int, int], leaf_offset: tuple[int, ...]) -> None:
        self.degrees = degrees
        self.leaf_offset = leaf_offset
        self.wanted: dict[tuple[Half, Tree], set[int]] = {}
        self.halves: set[Half] = set()  # of `wanted`

    def request(self, half: Half, tree: Tree, degree: int) -> None:
        if len(half) == 1:
            return
        if len(half) == 3:
            self.request(half[:2], (), tree[0])
        self.wanted.setdefault((half, tree), set()).add(degree)
        self.halves.add(half)

    def known(self, half: Half) -> bool:
        return len(half) == 1 or half in self.halves

    def place(self, start: int) -> tuple[int, dict[tuple[Half, Tree, int], int], tuple[StepGroup, ...]]:
        """Give every requested node its offset; group the products by kernel."""
        where: dict[tuple[Half, Tree, int], int] = {}
        groups: dict[tuple[int, tuple[object, ...]], list[tuple[int, int, int]]] = {}
        end = start
        for half, tree in sorted(self.wanted, key=lambda key: (len(key[0]), key)):
            degrees = tuple(sorted(self.wanted[half, tree]))
            x = self.leaf_offset[half[0]] if len(half) == 2 else where[half[:2], (), tree[0]]
            lx = self.degrees[half[0]] if len(half) == 2 else tree[0]
            y, ly = self.leaf_offset[half[-1]], self.degrees[half[-1]]
            groups.setdefault((len(half), ("couple", lx, ly, degrees)), []).append((x, y, end))
            for degree in degrees:
                where[half, tree, degree] = end
                end += 2 * degree + 1
        steps = tuple(
            StepGroup(kernel, level, np.array(rows, np.int64))
            for (level, kernel), rows in sorted(groups.items(), key=lambda item: (item[0][0], item[0][1][1:]))
        )
        return end, where, steps


@cache
def _patterns(labels: tuple[int, ...]) -> tuple[tuple[Half, Half], ...]:
    """All ways to halve sorted factors, the larger half first; labels number the distinct channels in order."""
    n = len(labels)
    size = (n + 1) // 2
    out: dict[tuple[Half, Half], None] = {}
    for chosen in combinations(range(n), size):
        first = [labels[t] for t in chosen]
        second = [labels[t] for t in range(n) if t not in chosen]
        for x in _orders(first):
            for y in _orders(second):
                out.setdefault((x, y) if len(x) != len(y) else (min(x, y), max(x, y)))
    return tuple(out)


def _halves(channels: tuple[int, ...]) -> list[tuple[Half, Half]]:
    distinct = sorted(set(channels))
    found = _patterns(tuple(distinct.index(c) for c in channels))
    return [(tuple([distinct[t] for t in x]), tuple([distinct[t] for t in y])) for x, y in found]


def _orders(half: list[int]) -> list[Half]:
    if len(half) < 3:
        return [tuple(sorted(half))]
    return sorted({(*sorted(half[:t] + half[t + 1 :]), half[t]) for t in range(3)})


def coupled(
    blocks: list[Block], degrees: dict[int, int], leaf_offset: tuple[int, ...], start: int
) -> tuple[int, tuple[StepGroup, ...], Entries]:
    """Nodes, products and bilinear entries of the coupled form; NotInvariant if a block has no such form.

    Args:
        blocks: product basis; degrees: l of each channel; leaf_offset: offsets of the leaves in X;
        start: first free component of X.
    """
    nodes = _Nodes(degrees, leaf_offset)
    terms: list[tuple[Half, Half, Tree, int, Tree, dict[int, float]]] = []
    projected: dict[tuple[object, ...], Projection] = {}
    for block in sorted(blocks, key=lambda b: (len(b.channels), b.channels)):
        x, y = min(_halves(block.channels), key=lambda s: (not nodes.known(s[0]), not nodes.known(s[1]), s))
        sequence = (*x, *y)
        local = {c: t for t, c in enumerate(sorted(set(sequence)))}
        labels = tuple(local[c] for c in sequence)
        ls = tuple(degrees[c] for c in sequence)
        # specifications repeat few patterns: the couplings depend on the l and on which channels are equal, not on n
        pattern = (ls, labels, len(x), block.ms.shape, block.ms.tobytes(), block.couplings.tobytes())
        if pattern not in projected:
            projected[pattern] = _project(block, expand(ls, labels, len(x)))
        n_x = max(len(x) - 2, 0)
        for tree, values in projected[pattern]:
            weights = {block.functions[q]: value for q, value in values}
            tree_x, degree, tree_y = tree[:n_x], tree[n_x], tree[n_x + 1 :]
            nodes.request(x, tree_x, degree)
            nodes.request(y, tree_y, degree)
            terms.append((x, y, tree_x, degree, tree_y, weights))
    end, where, steps = nodes.place(start)
    rows: dict[tuple[int, int, int], dict[int, float]] = {}
    for x, y, tree_x, degree, tree_y, weights in terms:
        ox = leaf_offset[x[0]] if len(x) == 1 else where[x, tree_x, degree]
        oy = leaf_offset[y[0]] if len(y) == 1 else where[y, tree_y, degree]
        row = rows.setdefault((2 * degree + 1, min(ox, oy), max(ox, oy)), {})
        for f, value in weights.items():
            row[f] = row.get(f, 0.0) + value
    keys = sorted(rows)
    table = np.array(keys, np.int64).reshape(-1, 3)
    return end, steps, Entries(table[:, 0], table[:, 1], table[:, 2], Fold.from_rows([rows[k] for k in keys]))


def _project(block: Block, expansion: Expansion) -> Projection:
    """Coefficients of the block's functions on an independent set of its trees."""
    index = {tuple(row): q for q, row in enumerate(expansion.ms.tolist())}
    target = np.zeros((len(expansion.ms), len(block.functions)))
    for row, found in zip(block.ms.tolist(), block.couplings, strict=True):
        q = index.get(tuple(row))
        if q is None:
            if np.max(np.abs(found)) > _RESIDUAL * np.max(np.abs(block.couplings)):
                raise NotInvariant
            continue
        target[q] = found
    chosen, solution = solve(expansion.matrix, target)
    residual = expansion.matrix[:, chosen] @ solution - target
    scale = np.max(np.abs(target), axis=0, initial=0.0)
    if np.any(np.max(np.abs(residual), axis=0, initial=0.0) > _RESIDUAL * scale):
        raise NotInvariant
    limit = 1e-14 * np.max(np.abs(solution), axis=0, initial=0.0)
    out = []
    for t, row in zip(chosen, solution.tolist(), strict=True):
        values = tuple((f, v) for f, (v, low) in enumerate(zip(row, limit.tolist(), strict=True)) if abs(v) > low)
        if values:
            out.append((expansion.trees[t], values))
    return tuple(out)
