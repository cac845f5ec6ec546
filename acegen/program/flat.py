"""Stage 3: the flat form, textbook reading and cross-check: real monomials, each its parent times one A.

It is a Program like the others: only real products, and every density is linear in the monomials.
"""

from __future__ import annotations

from itertools import product as cartesian

import numpy as np

from acegen.program.monomials import Block, phase
from acegen.program.types import Entries, Fold, StepGroup, component

Monomial = tuple[int, ...]  # component offsets in X, ascending


def _real_terms(channels: tuple[int, ...], ms: tuple[int, ...], offset: tuple[int, ...]) -> dict[Monomial, float]:
    """Re prod z as real monomials: z_m = S_m + i S_-m, z_-m its conjugate."""
    options = []
    for channel, m in zip(channels, ms, strict=True):
        first = offset[channel] + component(abs(m))
        options.append([(first, 1.0 + 0j)] if m == 0 else [(first, 1.0 + 0j), (first + 1, 1j if m > 0 else -1j)])
    out: dict[Monomial, complex] = {}
    for chosen in cartesian(*options):
        key = tuple(sorted(o for o, _ in chosen))
        out[key] = out.get(key, 0j) + complex(np.prod([f for _, f in chosen]))
    return {key: value.real for key, value in out.items() if value.real != 0.0}


def real_monomials(blocks: list[Block], offset: tuple[int, ...]) -> dict[Monomial, dict[int, float]]:
    """{monomial: {basis function: coefficient}} of the whole product basis of order >= 2."""
    rows: dict[Monomial, dict[int, float]] = {}
    for block in sorted(blocks, key=lambda b: (len(b.channels), b.channels)):
        factors = phase(block.ms)
        for q, ms in enumerate(block.ms.tolist()):
            for key, value in _real_terms(block.channels, tuple(ms), offset).items():
                row = rows.setdefault(key, {})
                for f, coupling in zip(block.functions, block.couplings[q], strict=True):
                    if coupling != 0.0:
                        row[f] = row.get(f, 0.0) + value * float(coupling * factors[q])
    return rows


def flat(
    blocks: list[Block], offset: tuple[int, ...], start: int
) -> tuple[int, tuple[StepGroup, ...], Entries, np.ndarray, Fold]:
    """Returns (length of X, steps, no entries, offsets of the monomials, their fold)."""
    rows = real_monomials(blocks, offset)
    table: dict[Monomial, int] = {}
    steps: dict[int, list[tuple[int, int, int]]] = {}
    end = start

    def place(key: Monomial) -> int:
        nonlocal end
        if len(key) == 1:
            return key[0]
        if key not in table:
            parents = [key[:t] + key[t + 1 :] for t in range(len(key) - 1, -1, -1)]
            t, parent = next(((t, p) for t, p in enumerate(parents) if p in table), (0, parents[0]))
            left = place(parent)
            steps.setdefault(len(key), []).append((left, key[len(key) - 1 - t], end))
            table[key] = end
            end += 1
        return table[key]

    offsets = [place(key) for key in sorted(rows, key=lambda k: (len(k), k))]
    folds = [rows[key] for key in sorted(rows, key=lambda k: (len(k), k))]
    groups = tuple(
        StepGroup(("multiply", 1, 1, False), level, np.array(group, np.int64)) for level, group in sorted(steps.items())
    )
    empty = np.zeros(0, np.int64)
    none = Entries(empty, empty, empty, Fold.from_rows([]))
    return end, groups, none, np.array(offsets, np.int64), Fold.from_rows(folds)
