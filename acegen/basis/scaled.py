"""Stage 2: radial polynomials up to factors that cost nothing: P_k = s_k Q_k, s_k moved into the functions.

An orthonormal recurrence P_k = (A_k x + B_k) P_k-1 + C_k P_k-2 multiplies x by another number at every step; that of
Q_k = (2 x + b_k) Q_k-1 + c_k Q_k-2 does not.  The basis functions are the same: what a channel loses, the
coefficients of the functions made of it gain.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from acegen.maths.radial import radial_rows
from acegen.potential import BasisFunction, Bond, Centre, Channel, Potential, RadialFamily


def scale_radials(potential: Potential) -> Potential:
    """The same potential with the recurrences of its polynomial families scaled."""
    known: dict[RadialFamily, tuple[RadialFamily, np.ndarray]] = {}
    bonds: list[tuple[Bond, ...]] = []
    centres: list[Centre] = []
    functions: dict[tuple[int, bytes], tuple[BasisFunction, ...]] = {}
    for centre, row in zip(potential.centres, potential.bonds, strict=True):
        scales = []
        new = []
        for bond in row:
            found = [known.setdefault(family, _scaled(family)) for family in bond.families]
            new.append(replace(bond, families=tuple(family for family, _ in found)))
            scales.append(np.concatenate([np.zeros(0), *(scale for _, scale in found)]))
        bonds.append(tuple(new))
        channels, factors = _channels(centre, scales)
        key = id(centre.functions), factors.tobytes()
        if key not in functions:  # centres that share their functions go on sharing them
            functions[key] = tuple(_function(function, factors) for function in centre.functions)
        centres.append(replace(centre, channels=channels, functions=functions[key]))
    return replace(potential, bonds=tuple(bonds), centres=tuple(centres))


def _scaled(family: RadialFamily) -> tuple[RadialFamily, np.ndarray]:
    """The family with the scaled recurrence and s_k; the family itself and ones where it has none."""
    rows = radial_rows(family)
    if rows is None or not all(a for a, _, _ in rows):
        return family, np.ones(family.size)
    scale = [rows[0][0]]
    new = [(1.0, 0.0, 0.0)]
    for k, (a, b, c) in enumerate(rows[1:], 1):
        scale.append(a / 2 * (scale[-1] if k > 1 else 1.0))
        new.append((2.0, 2 * b / a, c * scale[k - 2] / scale[k] if k > 1 else 0.0))
    given = {name: tuple(row[q] for row in new) for q, name in enumerate("ABC")}
    options = {**dict(family.options), "polynomial": "given", **given}
    return replace(family, options=tuple(options.items())), np.array(scale)


def _channels(centre: Centre, scales: list[np.ndarray]) -> tuple[tuple[Channel, ...], np.ndarray]:
    """Channels over the scaled primitives, those of one primitive with coefficient 1, and what they lost."""
    channels = []
    factors = np.ones(len(centre.channels))
    for c, channel in enumerate(centre.channels):
        scale = scales[channel.neighbour] if channel.neighbour >= 0 else np.concatenate(scales)
        row = np.asarray(channel.coefficients) * scale
        if np.count_nonzero(row) == 1 and np.count_nonzero(scale != 1.0):
            factors[c] = row[np.flatnonzero(row)[0]]
            row = row / factors[c]
        channels.append(replace(channel, coefficients=tuple(row.tolist())))
    return tuple(channels), factors


def _function(function: BasisFunction, factors: np.ndarray) -> BasisFunction:
    factor = float(np.prod(factors[list(function.channels)]))
    return function if factor == 1.0 else replace(function, coefficients=function.coefficients * factor)
