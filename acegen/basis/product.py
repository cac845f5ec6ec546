"""Stage 2, product basis: the bodies (multisets of channels) that couple to an invariant, in row order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from acegen.basis.one_particle import RadialChannel, admitted, radial_channels
from acegen.maths.coupling import Groups, n_invariants
from acegen.spec.model import BasisSpec

SLACK = 1e-6  # pruning only: the exact comparison is made on the complete body


@dataclass(frozen=True, slots=True)
class Body:
    """Factors (n, l) sorted by (l, n), equal ones adjacent; `groups` is the coupling pattern."""

    factors: tuple[tuple[int, int], ...]
    groups: Groups

    @property
    def n_rows(self) -> int:
        return n_invariants(self.groups)


def couples_to_zero(ls: tuple[int, ...]) -> bool:
    """Invariant under rotation and inversion: even sum, and no l larger than all others together."""
    return sum(ls) % 2 == 0 and 2 * max(ls) <= sum(ls)


def groups_of(factors: tuple[tuple[int, int], ...]) -> Groups:
    """(l, multiplicity) of the runs of equal factors."""
    return tuple((key[1], len(list(run))) for key, run in itertools.groupby(factors))


@cache
def _first_ms(ls: tuple[int, ...], same: tuple[bool, ...]) -> tuple[int, ...]:
    """First m-tuple, nondecreasing inside runs of one channel, in which some signs give sum(+-m) = 0."""
    for ms in itertools.product(*(range(-l, l + 1) for l in ls)):
        if any(same[t] and ms[t] < ms[t - 1] for t in range(1, len(ms))):
            continue
        sums = {0}
        for m in ms:
            sums = {total + m for total in sums} | {total - m for total in sums}
        if 0 in sums:
            return ms
    return ()  # not reached for l's that couple to zero


def _combinations(spec: BasisSpec, order: int, channels: list[RadialChannel]) -> Iterator[tuple[int, ...]]:
    """Ascending index tuples into the level-sorted channels whose total level is admitted for this order."""
    limit = spec.degree[order - 1] if spec.degree else None
    usable = [i for i, channel in enumerate(channels) if admitted(spec, order, channel)]

    def extend(start: int, chosen: tuple[int, ...], total: float) -> Iterator[tuple[int, ...]]:
        left = order - len(chosen)
        if left == 0:
            if limit is None or total <= limit + spec.level_tolerance:
                yield chosen
            return
        for position in range(start, len(usable)):
            i = usable[position]
            if limit is not None and total + left * channels[i].level > limit + SLACK:
                return
            yield from extend(position, (*chosen, i), total + channels[i].level)

    return extend(0, (), 0.0)


def bodies(spec: BasisSpec) -> tuple[Body, ...]:
    """All bodies with at least one invariant.

    Row order: a body stands at its first admissible tuple of positions in the list of A functions, where channels
    are sorted by level (ties by (l, n)).  "by_order" groups by correlation order, then ascending (ACEpotentials);
    "lexicographic" puts a prefix before its extensions (ace-jax).
    """
    channels = sorted(radial_channels(spec), key=lambda channel: channel.level)  # stable
    first = list(itertools.accumulate((2 * channel.l + 1 for channel in channels), initial=0))
    found: list[tuple[tuple[int, ...], Body]] = []
    for order in range(1, spec.order + 1):
        for chosen in _combinations(spec, order, channels):
            ls = tuple(channels[i].l for i in chosen)
            if not couples_to_zero(ls):
                continue
            same = tuple(t > 0 and chosen[t] == chosen[t - 1] for t in range(order))
            ms = _first_ms(ls, same)
            place = tuple(first[i] + l + m for i, l, m in zip(chosen, ls, ms, strict=True))
            factors = tuple(sorted(((channels[i].n, channels[i].l) for i in chosen), key=lambda nl: (nl[1], nl[0])))
            found.append((place, Body(factors, groups_of(factors))))
    if spec.row_order == "by_order":
        found.sort(key=lambda entry: (len(entry[0]), entry[0]))
    else:
        found.sort(key=lambda entry: entry[0])
    return tuple(body for _, body in found if body.n_rows)
