"""Stage 3: the pair-split form. Needs only the monomial list.

Every monomial Re(prod z) is split into two nodes X, Y of order <= 3, products of complex numbers of
definite M.  For M > 0 both nodes are stored with positive M and Re(X conj Y) = Re X Re Y + Im X Im Y
shares one coefficient; for M = 0 the real and imaginary parts are separate single components.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from acegen.program.monomials import Block, Key, phase
from acegen.program.types import Entries, Fold, StepGroup, component


class _Nodes:
    """Nodes created so far: key -> (component offset, number of components, conjugated)."""

    def __init__(self, leaf_offset: tuple[int, ...], start: int) -> None:
        self.leaf_offset = leaf_offset
        self.end = start
        self.table: dict[Key, tuple[int, int, bool]] = {}
        self.steps: dict[tuple[int, tuple[object, ...]], list[tuple[int, int, int]]] = {}

    def known(self, key: Key) -> bool:
        return len(key) == 1 or key in self.table

    def missing(self, key: Key) -> int:
        """How many nodes would have to be created for this key."""
        if self.known(key):
            return 0
        if len(key) == 2:
            return 1
        return 1 + min(self.missing(rest) for _, rest in _one_out(key))

    def get(self, key: Key) -> tuple[int, int, bool]:
        """Offset, components and whether the key is the conjugate of what is stored."""
        if len(key) == 1:
            (channel, m), *_ = key
            return self.leaf_offset[channel] + component(abs(m)), 1 if m == 0 else 2, m < 0
        if key not in self.table:
            self._create(key)
        return self.table[key]

    def _create(self, key: Key) -> None:
        leaf, rest = min(_one_out(key), key=lambda split: (self.missing(split[1]), split[1]))
        ox, nx, cx = self.get(rest)
        oy, ny, cy = self.get((leaf,))
        sum_x, sum_y = sum(m for _, m in rest), leaf[1]
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
        self.steps.setdefault((len(key), kernel), []).append((*row, offset))
        self.table[key] = (offset, n, conjugated and n == 2)
        negative = tuple(sorted((c, -m) for c, m in key))
        if negative != key:
            self.table[negative] = (offset, n, not conjugated and n == 2)


def _one_out(key: Key) -> list[tuple[tuple[int, int], Key]]:
    seen: dict[tuple[int, int], Key] = {}
    for t, factor in enumerate(key):
        seen.setdefault(factor, key[:t] + key[t + 1 :])
    return list(seen.items())


def _splits(key: Key) -> list[tuple[Key, Key]]:
    """All ways to halve a key: the larger half first (2+1, 2+2, 3+2, 3+3)."""
    n = len(key)
    half = n // 2
    out: dict[tuple[Key, Key], None] = {}
    for chosen in combinations(range(n), half):
        small = tuple(key[t] for t in chosen)
        large = tuple(key[t] for t in range(n) if t not in chosen)
        out.setdefault((large, small) if len(large) > len(small) else (max(large, small), min(large, small)))
    return list(out)


def pair_split(
    blocks: list[Block], leaf_offset: tuple[int, ...], start: int
) -> tuple[int, tuple[StepGroup, ...], Entries]:
    """Nodes, products and bilinear entries; returns (length of X, steps, entries)."""
    nodes = _Nodes(leaf_offset, start)
    rows: dict[tuple[int, int, int], dict[int, float]] = {}
    for block in sorted(blocks, key=lambda b: (len(b.channels), b.channels)):
        factors = phase(block.ms)
        for q in range(len(block.ms)):
            key = tuple(sorted(zip(block.channels, block.ms[q].tolist(), strict=True)))
            first, second = min(_splits(key), key=lambda s: (nodes.missing(s[0]) + nodes.missing(s[1]), s))
            ox, nx, cx = nodes.get(first)
            oy, ny, cy = nodes.get(second)
            weights = {
                f: float(v * factors[q]) for f, v in zip(block.functions, block.couplings[q], strict=True) if v != 0.0
            }
            if sum(m for _, m in first) != 0:
                _add(rows, 2, ox, oy, weights, 1.0)
                continue
            _add(rows, 1, ox, oy, weights, 1.0)
            if nx == 2 and ny == 2:
                _add(rows, 1, ox + 1, oy + 1, weights, 1.0 if cx != cy else -1.0)
    steps = tuple(
        StepGroup(kernel, level, np.array(group, np.int64))
        for (level, kernel), group in sorted(nodes.steps.items(), key=lambda item: (item[0][0], str(item[0][1])))
    )
    keys = sorted(rows)
    table = np.array(keys, np.int64).reshape(-1, 3)
    entries = Entries(table[:, 0], table[:, 1], table[:, 2], Fold.from_rows([rows[k] for k in keys]))
    return nodes.end, steps, entries


def _add(
    rows: dict[tuple[int, int, int], dict[int, float]],
    components: int,
    x: int,
    y: int,
    weights: dict[int, float],
    sign: float,
) -> None:
    row = rows.setdefault((components, min(x, y), max(x, y)), {})
    for f, value in weights.items():
        row[f] = row.get(f, 0.0) + sign * value
