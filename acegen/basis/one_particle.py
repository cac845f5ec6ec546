"""Stage 2, one-particle basis: which radial channels (n, l) exist, and what a species-coded n means.

Elements are folded into n (1-based): with one-hot radial weights, channel n sees neighbour species
(n-1) mod n_species through polynomial (n-1) div n_species.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from acegen.spec.model import BasisSpec


@dataclass(frozen=True, slots=True)
class RadialChannel:
    """A pair (n, l) with its level n/n_species + l_weight l."""

    n: int
    l: int
    level: float


def level(spec: BasisSpec, n: int, l: int) -> float:
    """Contribution of one factor to the total degree."""
    # The divisions are spelled as in ACEpotentials, so that a bare comparison decides alike to the last bit.
    return n / float(spec.n_species) + l / (1.0 / spec.l_weight)


def admitted(spec: BasisSpec, order: int, channel: RadialChannel) -> bool:
    """May this channel occur in a product of this order?"""
    if spec.n_max:
        return channel.n <= spec.n_max[order - 1] * spec.n_species and channel.l <= spec.l_max[order - 1]
    return channel.level <= spec.degree[order - 1] + spec.level_tolerance


def radial_channels(spec: BasisSpec) -> tuple[RadialChannel, ...]:
    """All channels of any order, sorted by (l, n); the position is the radial index of given radial weights."""
    if spec.n_max:
        last_n, last_l = max(spec.n_max) * spec.n_species, max(spec.l_max)
    else:
        last_n = math.ceil(max(spec.degree) * spec.n_species)
        last_l = math.ceil(max(spec.degree) / spec.l_weight)
    everything = (RadialChannel(n, l, level(spec, n, l)) for l in range(last_l + 1) for n in range(1, last_n + 1))
    return tuple(c for c in everything if any(admitted(spec, order, c) for order in range(1, spec.order + 1)))


def neighbour_of(n: int, n_species: int) -> int:
    """Neighbour species (0-based) of a species-coded n."""
    return (n - 1) % n_species


def polynomial_of(n: int, n_species: int) -> int:
    """Polynomial (0-based) of a species-coded n."""
    return (n - 1) // n_species
