"""Stage 4, forward mode: basis functions that are a shorter one times an amplitude of degree 0.

Coupling with l = 0 changes nothing, so that B_f = factor A_v B_g with g the function of the other channels, and

    dB_f = factor (B_g dA_v + A_v dB_g)

takes two products for every neighbour and direction instead of one for every component of all channels of f.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from acegen.potential import BasisFunction, Centre

_LEAST = 2  # products saved; one is not worth keeping another gradient in the caches
_ROUNDING = 1e-13  # of coefficients, relative

_Terms = dict[tuple[tuple[int, int], ...], float]


@dataclass(frozen=True, slots=True)
class Shorter:
    """B_f = factor A_channel B_function."""

    channel: int
    function: int
    factor: float


def shorter_functions(centre: Centre) -> dict[int, Shorter]:
    """Function -> what it is made of, where that saves products and the shorter one is a function of the basis."""
    by_channels: dict[tuple[int, ...], list[int]] = {}
    for g, function in enumerate(centre.functions):
        if not function.pair:
            by_channels.setdefault(tuple(sorted(function.channels)), []).append(g)
    out = {}
    for f, function in enumerate(centre.functions):
        if function.pair or len(function.channels) < 3 or _width(centre, function) - 2 < _LEAST:
            continue
        found = _shorter(centre, function, by_channels)
        if found is not None:
            out[f] = found
    return out


def levels(shorter: dict[int, Shorter]) -> dict[int, int]:
    """Every function that others are made of -> how many of these it rests upon itself, one upon the other."""
    out: dict[int, int] = {}

    def level(g: int) -> int:
        if g not in out:
            out[g] = level(shorter[g].function) + 1 if g in shorter else 0
        return out[g]

    for entry in shorter.values():
        level(entry.function)
    return dict(sorted(out.items(), key=lambda item: (item[1], item[0])))


def _width(centre: Centre, function: BasisFunction) -> int:
    """Components of all its channels: products for every neighbour and direction."""
    return sum(2 * centre.channels[c].l + 1 for c in set(function.channels))


def _shorter(centre: Centre, function: BasisFunction, by_channels: dict[tuple[int, ...], list[int]]) -> Shorter | None:
    """The last channel of degree 0 is split off: what is left is what most other functions are made of too."""
    for c in sorted(set(function.channels), reverse=True):
        if centre.channels[c].l:
            continue
        left = list(function.channels)
        left.remove(c)
        for g in by_channels.get(tuple(sorted(left)), []):
            factor = _ratio(_terms(function, c), _terms(centre.functions[g]))
            if factor is not None:
                return Shorter(c, g, factor)
    return None


def _terms(function: BasisFunction, without: int = -1) -> _Terms:
    """Products of A as sets of (channel, m) -> coefficient; a product and its conjugate count as one."""
    skipped = function.channels.index(without) if without >= 0 else -1
    out: _Terms = {}
    for ms, coefficient in zip(function.ms.tolist(), function.coefficients.tolist(), strict=True):
        pairs = [pair for n, pair in enumerate(zip(function.channels, ms, strict=True)) if n != skipped]
        key = min(_sorted(pairs), _sorted((c, -m) for c, m in pairs))
        out[key] = out.get(key, 0.0) + coefficient
    return out


def _sorted(pairs: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(pairs))


def _ratio(terms: _Terms, of: _Terms) -> float | None:
    """The number that turns the terms of one function into those of another; None: there is none."""
    if terms.keys() != of.keys():
        return None
    mine, theirs = np.array(list(terms.values())), np.array([of[key] for key in terms])
    largest = int(np.argmax(np.abs(theirs)))
    if theirs[largest] == 0.0:
        return None
    factor = float(mine[largest] / theirs[largest])
    return factor if np.abs(mine - factor * theirs).max() <= _ROUNDING * np.abs(mine).max() else None
