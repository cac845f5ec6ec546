"""Stage 2, sizes before enumeration: how many functions a specification has, counted without writing any down.

Multisets of one-particle functions (n, l, m) are counted by their generating function.  With z = exp(i theta) marking
m and x the level, the power sums p_j = sum over channels x^(j level) chi_l(j theta), chi_l(theta) = sum_m z^m, give

    k h_k = sum_{j=1..k} p_j h_{k-j}        (h_k: all products of k factors)

and rows of B = products with sum m = 0 minus products with sum m = 1, both of even sum of l.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from acegen.basis.one_particle import RadialChannel, admitted, radial_channels
from acegen.errors import SpecError
from acegen.spec.model import BasisSpec

# Bins per unit of level, and of all levels, where l_weight is no simple fraction: rounded down, it counts too many.
_FINEST, _MOST_BINS = 120, 1500


@dataclass(frozen=True, slots=True)
class OrderSize:
    """Sizes of one correlation order, per centre species; floats, exact to rounding up to 1e12 or so."""

    order: int
    n_rows: float  # rows of B
    n_products: float  # complex products A..A with sum m = 0


def _unit(spec: BasisSpec) -> Fraction:
    """Width of a bin of levels; every level is a multiple of it when l_weight is a simple fraction."""
    weight = Fraction(spec.l_weight).limit_denominator(12)
    if abs(weight - spec.l_weight) < 1e-9:
        return Fraction(1, math.lcm(spec.n_species, weight.denominator))
    largest = math.ceil(max(spec.degree, default=1.0))
    return Fraction(1, min(_FINEST, max(12, _MOST_BINS // largest)))


def _power_sums(
    channels: list[RadialChannel], order: int, bins: list[int], size: int, angles: np.ndarray
) -> list[np.ndarray]:
    """p_1 .. p_order, [parity, level, angle]; parity 0: as they are, 1: with the sign (-1)^l."""
    count = np.zeros((1 + max(c.l for c in channels), size))
    for channel, at in zip(channels, bins, strict=True):
        if at < size:
            count[channel.l, at] += 1.0
    sums = []
    for j in range(1, order + 1):
        out = np.zeros((2, size, len(angles)))
        for l, row in enumerate(count):
            character = 1.0 + 2.0 * sum(np.cos(m * j * angles) for m in range(1, l + 1))
            for place in np.flatnonzero(row):
                if j * place < size:
                    out[0, j * place] += row[place] * character
                    out[1, j * place] += (-1.0) ** (l * j) * row[place] * character
        sums.append(out)
    return sums


def _grow(known: list[np.ndarray], sums: list[np.ndarray]) -> np.ndarray:
    """h_k from h_0 .. h_{k-1}."""
    k, size = len(known), known[0].shape[1]
    total = np.zeros_like(known[0])
    for j in range(1, k + 1):
        for place in np.flatnonzero(np.any(sums[j - 1] != 0.0, axis=(0, 2))):
            total[:, place:] += sums[j - 1][:, place, None] * known[k - j][:, : size - place]
    return total / k


def order_sizes(spec: BasisSpec) -> Iterator[OrderSize]:
    """Sizes order by order, lowest first, so that a caller may stop early; nothing is enumerated."""
    unit = _unit(spec)
    everything = list(radial_channels(spec))
    known: list[np.ndarray] = []
    sums: list[np.ndarray] = []
    for order in range(1, spec.order + 1):
        limit, size, channels = 0, 1, everything
        if spec.degree:
            size = math.floor((max(spec.degree) + spec.level_tolerance) / unit + 1e-6) + 1
            limit = math.floor((spec.degree[order - 1] + spec.level_tolerance) / unit + 1e-6)
        else:
            channels = [channel for channel in everything if admitted(spec, order, channel)]
        if not channels:
            yield OrderSize(order, 0.0, 0.0)
            continue
        if not known or not spec.degree:  # with degrees all orders share their channels
            n_angles = (
                spec.order * max(channel.l for channel in channels) // 2 + 2
            )  # midpoint rule, exact below 2 n_angles
            angles = (np.arange(n_angles) + 0.5) * math.pi / n_angles
            bins = [math.floor(c.level / unit + 1e-6) if spec.degree else 0 for c in channels]
            sums = _power_sums(channels, spec.order, bins, size, angles)
            known = [np.zeros((2, size, n_angles))]
            known[0][:, 0] = 1.0
        while len(known) <= order:
            known.append(_grow(known, sums))
        even = 0.5 * known[order][:, : limit + 1].sum(axis=(0, 1))
        yield OrderSize(order, float(np.mean(even * (1.0 - np.cos(angles)))), float(np.mean(even)))


def check_size(spec: BasisSpec) -> int:
    """Refuse a basis larger than `max_functions` before it is enumerated; else its rows of B per species.

    Raises:
        SpecError: naming the number of functions, the limit, and how to lift it.
    """
    total = 0.0
    for size in order_sizes(spec):
        total += size.n_rows
        if round(total) > spec.max_functions:
            found = f"{round(total):,}" if total < 1e9 else f"{total:.1e}"
            more = "" if size.order == spec.order else f" up to order {size.order} already"
            key = "degree" if spec.degree else "n_max"
            raise SpecError(
                f"{spec.source}: {key}: expected at most {spec.max_functions:,} functions per species, "
                f"got {found}{more}; lower order or {key}, or raise the key max_functions"
            )
    return round(total)
