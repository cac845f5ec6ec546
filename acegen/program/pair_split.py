"""Stage 3: the pair-split form. Needs only the monomial list.

Every monomial Re(prod z) is split into two nodes X, Y of order <= 3, products of complex numbers of
definite M.  For M > 0 both nodes are stored with positive M and Re(X conj Y) = Re X Re Y + Im X Im Y
shares one coefficient; for M = 0 the real and imaginary parts are separate single components.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import combinations
from operator import itemgetter

import numpy as np

from acegen.program.cost import kernel_operations
from acegen.program.monomials import Block, phase
from acegen.program.types import Entries, Fold, StepGroup, component

Key = tuple[int, ...]  # factors (channel, m) coded as whole numbers in the same order: tuples of them compare fast
Selector = Callable[[Key], Key]
_RANGE = 256  # codes per channel


def _code(channel: int, m: int) -> int:
    return channel * _RANGE + _RANGE // 2 + m


def _m(code: int) -> int:
    return code % _RANGE - _RANGE // 2


class _Nodes:
    """Nodes created so far: key -> (component offset, number of components, conjugated)."""

    def __init__(self, leaf_offset: tuple[int, ...], start: int) -> None:
        self.leaf_offset = leaf_offset
        self.end = start
        self.operations = 0
        self.table: dict[Key, tuple[int, int, bool]] = {}
        self.steps: dict[tuple[int, tuple[object, ...]], list[tuple[int, int, int]]] = {}

    def missing(self, key: Key) -> int:
        """How many nodes would have to be created for this key."""
        if len(key) == 1 or key in self.table:
            return 0
        if len(key) == 2:
            return 1
        return 1 + min(self.missing(rest) for _, rest in _one_out(key))

    def get(self, key: Key) -> tuple[int, int, bool]:
        """Offset, components and whether the key is the conjugate of what is stored."""
        if len(key) == 1:
            m = _m(key[0])
            return self.leaf_offset[key[0] // _RANGE] + component(abs(m)), 1 if m == 0 else 2, m < 0
        if key not in self.table:
            self._create(key)
        return self.table[key]

    def _create(self, key: Key) -> None:
        leaf, rest = min(_one_out(key), key=lambda split: (self.missing(split[1]), split[1]))
        ox, nx, cx = self.get(rest)
        oy, ny, cy = self.get((leaf,))
        sum_x, sum_y = sum(map(_m, rest)), _m(leaf)
        if (cx and nx == 2) == (cy and ny == 2) or nx == 1 or ny == 1:
            conjugated = (cx and nx == 2) or (cy and ny == 2)
            kernel: tuple[object, ...] = ("multiply", min(nx, ny), max(nx, ny), False)
            row = (ox, oy) if nx <= ny else (oy, ox)
        else:
            # one factor conjugated: store the orientation with M >= 0
            keep_x = abs(sum_x) >= abs(sum_y)
            row = (ox, oy) if keep_x else (oy, ox)
            conjugated = cx if keep_x else cy
            kernel = ("multiply", 2, 2, True)
        n = max(nx, ny)
        offset = self.end
        self.end += n
        self.operations += 3 * kernel_operations(kernel)
        self.steps.setdefault((len(key), kernel), []).append((*row, offset))
        self.table[key] = (offset, n, conjugated and n == 2)
        negative = tuple(sorted(code - 2 * _m(code) for code in key))
        if negative != key:
            self.table[negative] = (offset, n, not conjugated and n == 2)


def _one_out(key: Key) -> list[tuple[int, Key]]:
    seen: dict[int, Key] = {}
    for t, factor in enumerate(key):
        seen.setdefault(factor, key[:t] + key[t + 1 :])
    return list(seen.items())


@cache
def _halvings(n: int) -> tuple[tuple[Selector, Selector], ...]:
    """Selectors (larger half, smaller half) of all ways to halve n factors."""

    def selector(places: tuple[int, ...]) -> Selector:
        # a single place as a slice, so that a tuple comes out
        return itemgetter(slice(places[0], places[0] + 1)) if len(places) == 1 else itemgetter(*places)

    out = []
    for chosen in combinations(range(n), n // 2):
        rest = tuple(t for t in range(n) if t not in chosen)
        out.append((selector(rest), selector(chosen)))
    return tuple(out)


def _splits(key: Key) -> set[tuple[Key, Key]]:
    """All ways to halve a key: the larger half first (2+1, 2+2, 3+2, 3+3)."""
    found = {(large(key), small(key)) for large, small in _halvings(len(key))}
    if len(key) % 2:
        return found
    return {(large, small) if large > small else (small, large) for large, small in found}


def least_operations(blocks: list[Block], n_densities: int) -> int:
    """Multiply-adds that `pair_split` cannot do without, from the monomials alone.

    Every monomial has its own entry of two components, or one of one component where both halves can have M = 0,
    read from both sides; squares of one node are read from one side only.
    """
    total = 0
    known: dict[tuple[bool, int, bytes], int] = {}
    for block in blocks:
        order = block.ms.shape[1]
        square = order % 2 == 0 and block.channels[::2] == block.channels[1::2]
        key = (square, order, block.ms.tobytes())
        if key in known:
            total += known[key]
            continue
        flat = np.zeros(len(block.ms), bool)
        for chosen in combinations(range(order), order // 2):
            flat |= block.ms[:, chosen].sum(axis=1) == 0
        each = np.where(flat, 2, 4)
        known[key] = int(each.sum()) // (2 if square else 1)
        total += known[key]
    return total * n_densities


def pair_split(
    blocks: list[Block], leaf_offset: tuple[int, ...], start: int, n_densities: int = 1, budget: int | None = None
) -> tuple[int, tuple[StepGroup, ...], Entries] | None:
    """Nodes, products and bilinear entries; returns (length of X, steps, entries), or None beyond the budget."""
    nodes = _Nodes(leaf_offset, start)
    rows: dict[tuple[int, int, int], dict[int, float]] = {}
    spent = 0
    for block in sorted(blocks, key=lambda b: (len(b.channels), b.channels)):
        spent += _add_block(rows, nodes, block) * n_densities
        if budget is not None and nodes.operations + spent > budget:
            return None
    steps = tuple(
        StepGroup(kernel, level, np.array(group, np.int64))
        for (level, kernel), group in sorted(nodes.steps.items(), key=lambda item: (item[0][0], str(item[0][1])))
    )
    keys = sorted(rows)
    table = np.array(keys, np.int64).reshape(-1, 3)
    entries = Entries(table[:, 0], table[:, 1], table[:, 2], Fold.from_rows([rows[k] for k in keys]))
    return nodes.end, steps, entries


def _add_block(rows: dict[tuple[int, int, int], dict[int, float]], nodes: _Nodes, block: Block) -> int:
    """Entries of all monomials of one block; returns the multiply-adds of the new ones."""
    new = 0
    weighted = (block.couplings * phase(block.ms)[:, None]).tolist()
    missing = nodes.missing
    for ms, values in zip(block.ms.tolist(), weighted, strict=True):
        key = tuple(sorted(map(_code, block.channels, ms)))
        first, second = min(_splits(key), key=lambda s: (missing(s[0]) + missing(s[1]), s))
        ox, nx, cx = nodes.get(first)
        oy, ny, cy = nodes.get(second)
        weights = {f: v for f, v in zip(block.functions, values, strict=True) if v != 0.0}
        if sum(map(_m, first)) != 0:
            new += _add(rows, 2, ox, oy, weights, 1.0)
            continue
        new += _add(rows, 1, ox, oy, weights, 1.0)
        if nx == 2 and ny == 2:
            new += _add(rows, 1, ox + 1, oy + 1, weights, 1.0 if cx != cy else -1.0)
    return new


def _add(
    rows: dict[tuple[int, int, int], dict[int, float]],
    components: int,
    x: int,
    y: int,
    weights: dict[int, float],
    sign: float,
) -> int:
    key = (components, min(x, y), max(x, y))
    new = 0 if key in rows else components * (1 if x == y else 2)
    row = rows.setdefault(key, {})
    for f, value in weights.items():
        row[f] = row.get(f, 0.0) + sign * value
    return new
