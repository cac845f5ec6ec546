"""Generalised Clebsch-Gordan coefficients of the B-functions in a `.yaml` potential (pace_format 10.2).

Clebsch-Gordan coefficients have Condon-Shortley phases and come from Racah's formula in exact integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

Tuples = dict[tuple[int, ...], float]


@cache
def clebsch_gordan(l1: int, m1: int, l2: int, m2: int, l3: int, m3: int) -> float:
    """<l1 m1 l2 m2 | l3 m3>, correctly rounded up to the last square root; 0 where selection rules say so."""
    if m1 + m2 != m3 or not abs(l1 - l2) <= l3 <= l1 + l2 or abs(m1) > l1 or abs(m2) > l2 or abs(m3) > l3:
        return 0.0
    f = math.factorial
    total = Fraction(0)
    for k in range(max(0, l2 - l3 - m1, l1 - l3 + m2), min(l1 + l2 - l3, l1 - m1, l2 + m2) + 1):
        bottom = f(k) * f(l1 + l2 - l3 - k) * f(l1 - m1 - k) * f(l2 + m2 - k)
        bottom *= f(l3 - l2 + m1 + k) * f(l3 - l1 - m2 + k)
        total += Fraction((-1) ** k, bottom)
    top = (2 * l3 + 1) * f(l3 + l1 - l2) * f(l3 - l1 + l2) * f(l1 + l2 - l3)
    top *= f(l3 + m3) * f(l3 - m3) * f(l1 - m1) * f(l1 + m1) * f(l2 - m2) * f(l2 + m2)
    square = total * total * Fraction(top, f(l1 + l2 + l3 + 1))
    return math.copysign(math.sqrt(square), total) if total else 0.0


def coupling_tree(rank: int) -> tuple[tuple[int, int, int], ...]:
    """The fixed binary tree as (first, second, result) slots in order of evaluation.

    Slots 0..rank-1 are the factors, rank..2 rank - 3 the intermediates LS, 2 rank - 2 the root with L = 0:
    leaves are paired from left to right, then always the two oldest free intermediates; an odd last leaf
    joins at the root.
    """
    tree: list[tuple[int, int, int]] = []
    free: list[int] = []
    slot = rank
    for leaf in range(0, rank - 1, 2):
        tree.append((leaf, leaf + 1, slot))
        free.append(slot)
        slot += 1
    while len(free) > 1:
        tree.append((free.pop(0), free.pop(0), slot))
        free.append(slot)
        slot += 1
    if rank % 2 and rank > 1:
        tree.append((free.pop(0), rank - 1, slot))
    return tuple(tree)


def complete_intermediates(ls: Sequence[int], lint: Sequence[int]) -> tuple[int, ...]:
    """LS with the last entry filled in where the coupling to L = 0 dictates it and the file leaves it out."""
    rank, given = len(ls), tuple(lint)
    if len(given) == rank - 3 and rank >= 3:
        return (*given, ls[-1] if rank % 2 else given[-1])
    return given


@cache
def coupled_tuples(ls: tuple[int, ...], lint: tuple[int, ...]) -> tuple[tuple[tuple[int, ...], float], ...]:
    """All m-tuples of one B-function with their coefficient, half of each +-m pair with the double coefficient.

    Args:
        ls: [rank] the l of the factors.
        lint: [rank - 2] the intermediate LS (empty for rank 1 and 2).

    Returns:
        (m-tuple, coefficient) with sum m = 0 and a positive first non-zero m, first index fastest; empty when
        ls and lint do not couple to L = 0.
    """
    rank = len(ls)
    if rank == 1:
        return (((0,), 1.0),)
    j = (*ls, *lint, 0)
    # Per slot: m of the slot -> list of (m-tuple of the leaves below it, coefficient).
    slots: dict[int, dict[int, list[tuple[tuple[int, ...], float]]]] = {
        t: {m: [((m,), 1.0)] for m in range(-ls[t], ls[t] + 1)} for t in range(rank)
    }
    for first, second, result in coupling_tree(rank):
        merged: dict[int, list[tuple[tuple[int, ...], float]]] = {}
        for m1, left in slots.pop(first).items():
            for m2, right in slots[second].items():
                cg = clebsch_gordan(j[first], m1, j[second], m2, j[result], m1 + m2)
                if cg != 0.0:
                    merged.setdefault(m1 + m2, []).extend((a + b, ca * cb * cg) for a, ca in left for b, cb in right)
        slots[result] = merged
    # Pairs are joined left to right and the oldest first: the leaves may leave their order (rank 6 and up).
    place = _leaf_order(rank)
    out = []
    for scattered, c in slots[2 * rank - 2].get(0, []):
        m = tuple(scattered[place[t]] for t in range(rank))
        leading = next((x for x in m if x), 0)
        if leading >= 0:
            out.append((m, 2.0 * c if leading else c))
    return tuple(sorted(out, key=lambda term: term[0][::-1]))


@cache
def _leaf_order(rank: int) -> tuple[int, ...]:
    """Where each leaf ends up in the concatenation of leaves at the root."""
    below: dict[int, tuple[int, ...]] = {t: (t,) for t in range(rank)}
    for first, second, result in coupling_tree(rank):
        below[result] = below[first] + below[second]
    order = below[2 * rank - 2]
    return tuple(order.index(t) for t in range(rank))


def merge_equal_factors(
    mus: Sequence[int], ns: Sequence[int], ls: Sequence[int], terms: Sequence[tuple[tuple[int, ...], float]]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], Tuples]:
    """Sort the factors by (mu, n, l) and add up tuples that differ only by exchanging equal factors.

    Returns:
        mus, ns, ls in the sorted order and {m-tuple: coefficient}, ascending, without |c| < 1e-15.
    """
    order = sorted(range(len(mus)), key=lambda t: (mus[t], ns[t], ls[t]))
    keys = [(mus[t], ns[t], ls[t]) for t in order]
    sums: Tuples = {}
    for m, c in terms:
        factors = sorted(zip(keys, (m[t] for t in order), strict=True))
        key = tuple(x for _, x in factors)
        sums[key] = sums.get(key, 0.0) + c
    kept = {key: sums[key] for key in sorted(sums) if abs(sums[key]) >= 1e-15}
    return tuple(k[0] for k in keys), tuple(k[1] for k in keys), tuple(k[2] for k in keys), kept
