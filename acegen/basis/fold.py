"""Stage 2, single precision: the order-1 functions of each density become one tabulated radial function per bond.

A fitted pair term is a sum of a dozen primitives with large alternating coefficients: in float32 its rounding error
is that of the largest term.  phi_p(r) = sum_f w_fp R_f(r) Y_00, interpolated from a certified table, has none of it.
The order-1 rows of B stay as they are; only energies and their gradients read phi.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from acegen.maths.radial import radial_breakpoints, radial_code
from acegen.maths.tables import Table
from acegen.maths.tabulated import certified_table, radial_values
from acegen.potential import Bond, Centre, Potential, RadialFamily

TOLERANCE = 1e-8  # of phi and its slope, relative to max(1, |phi|): far below single precision
LARGEST_TERMS = 0.5  # per neighbour and density (eV for a linear density): below, float32 loses 3e-8 at most
LARGEST_REPLACEABLE = 20.0  # the same of weights that may change: tables serve others less, and cost time at every edge
LARGEST_UNTOLD = 2.0  # the same without a table: below, energies stay within 1e-6 of themselves
INNER_PARTS = (0.125, 0.25, 0.4)  # of the range of a table: ends of its innermost segments
_Y00 = 0.5 / math.sqrt(math.pi)


def _order_one(centre: Centre, bonds: tuple[Bond, ...], neighbour: int) -> np.ndarray:
    """Coefficients [n_primitives, n_densities] of phi over the primitives of one bond."""
    first = sum(bond.n_primitives for bond in bonds[:neighbour])
    size = bonds[neighbour].n_primitives
    out = np.zeros((size, centre.embedding.n_densities))
    for function, weights in zip(centre.functions, centre.weights, strict=True):
        if len(function.channels) != 1:
            continue
        channel = centre.channels[function.channels[0]]
        if channel.neighbour not in (neighbour, -1):
            continue
        start = first if channel.neighbour < 0 else 0
        row = np.asarray(channel.coefficients[start : start + size])
        out += np.outer(row * float(np.sum(function.coefficients)) * _Y00, weights)
    return out


def _table(bond: Bond, coefficients: np.ndarray, tables: tuple[object, ...]) -> Table:
    """phi and its slope to TOLERANCE from the smallest distance a table holds to the cutoff."""
    codes, used, points = [], [], {bond.cutoff}
    first = 0
    for family in bond.families:
        part = slice(first, first + family.size)
        if np.any(coefficients[part]):
            key = dict(family.parameters).get("key")
            table = tables[int(key)] if isinstance(key, float) else None
            codes.append(radial_code(family, table))  # type: ignore[arg-type]
            used.append(coefficients[part])
            if isinstance(table, Table):
                points |= {segment[0] for segment in table.segments}
            else:
                points |= set(radial_breakpoints(family, end=bond.cutoff))
        first += family.size

    def phi(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value = np.zeros((len(r), coefficients.shape[1]), r.dtype)
        slope = np.zeros_like(value)
        for code, weights in zip(codes, used, strict=True):
            g, dg = radial_values(code, r)
            value, slope = value + g @ weights, slope + dg @ weights
        return value, slope

    # phi varies most where no neighbour ever is: its narrow bins there must not be those of all distances
    low, high = min(points), max(points)
    points |= {low + part * (high - low) for part in INNER_PARTS}
    return certified_table(phi, tuple(sorted(points)), coefficients.shape[1], TOLERANCE)


def _cancels(bond: Bond, coefficients: np.ndarray, tables: tuple[object, ...], most: float) -> bool:
    """Whether the terms of phi add up to more than `most` somewhere beyond 0.4 of the cutoff."""
    r = np.linspace(0.4 * bond.cutoff, bond.cutoff, 41)[:-1]
    total = np.zeros((len(r), coefficients.shape[1]))
    first = 0
    for family in bond.families:
        part = coefficients[first : first + family.size]
        first += family.size
        if np.any(part):
            key = dict(family.parameters).get("key")
            table = tables[int(key)] if isinstance(key, float) else None
            values, _ = radial_values(radial_code(family, table), r)  # type: ignore[arg-type]
            total += np.abs(values) @ np.abs(part)
    return bool(total.max(initial=0.0) > most)


def fold_order_one(potential: Potential) -> Potential:
    """Add phi as the last primitives of the bonds of every centre whose order-1 functions cancel strongly."""
    tables = list(potential.tables)
    most = LARGEST_REPLACEABLE if potential.replaceable else LARGEST_TERMS
    bonds: list[tuple[Bond, ...]] = []
    for centre, row in zip(potential.centres, potential.bonds, strict=True):
        parts = [_order_one(centre, row, b) for b in range(len(row))]
        # a centre folds all of its bonds or none: then its own order-1 coefficients are not needed
        if not any(_cancels(bond, part, potential.tables, most) for bond, part in zip(row, parts, strict=True)):
            bonds.append(row)
            continue
        new = []
        for bond, part in zip(row, parts, strict=True):
            if not np.any(part):
                new.append(bond)
                continue
            tables.append(_table(bond, part, potential.tables))
            family = RadialFamily("table", part.shape[1], (), (("key", float(len(tables) - 1)),))
            new.append(replace(bond, families=(*bond.families, family), folded=part.shape[1]))
        bonds.append(tuple(new))
    return replace(potential, bonds=tuple(bonds), tables=tuple(tables))


def cancels_in_single(potential: Potential) -> bool:
    """Whether a kernel without tables, as made for double precision, loses digits in single that tables keep."""
    most = max(LARGEST_UNTOLD, LARGEST_REPLACEABLE if potential.replaceable else LARGEST_TERMS)
    return any(
        _cancels(bond, _order_one(centre, row, b), potential.tables, most)
        for centre, row in zip(potential.centres, potential.bonds, strict=True)
        for b, bond in enumerate(row)
    )
