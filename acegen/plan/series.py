"""Stage 4: which radial functions are summed on every edge rather than pooled, and the coefficients of their series.

A family of which no product makes use enters the energy through sum_k c_k sum_j g_k(r_ij) alone.  Where its
functions are polynomials of one x, the sum over k is one polynomial: two short series in place of a recurrence for
every function and its slope, and nothing to pool and to contract.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acegen.maths.codes import RadialCode
from acegen.maths.radial import radial_series
from acegen.potential import Bond, Centre, Potential
from acegen.program.types import Program

_FEWEST = 5  # functions: below, a series costs as much; and its seeds and slope lie in the functions' places
_Y00 = 0.28209479177387814

CsrRows = tuple[np.ndarray, np.ndarray, np.ndarray]  # indptr, indices, values


@dataclass(frozen=True, slots=True, eq=False)
class Sum:
    """One family that is summed: its number among the families of the bond, first primitive, seeds, matrix."""

    family: int
    first: int
    seeds: RadialCode
    matrix: np.ndarray  # [n_coefficients, size]: of the series from those of the functions
    pooled: tuple[int, ...]  # components of X where the pooled sums of the functions lie
    coefficient: int  # where those of the series begin, among those of the bond


def is_unit(potential: Potential, centre: Centre) -> bool:
    """Whether the site energy is the one density itself."""
    return (
        centre.embedding.kind == "linear"
        and centre.embedding.n_densities == 1
        and all(scale == 1.0 for scale in centre.embedding.scales)
        and potential.switching == "none"
    )


def sums(potential: Potential, a: int, b: int, program: Program) -> tuple[Sum, ...]:
    """Families of the bond (a, b) that are summed; none unless the energy is linear in them."""
    centre, bond = potential.centres[a], potential.bonds[a][b]
    pools = [pool for pool in program.pools if pool.neighbour == b and pool.l == 0]
    if not is_unit(potential, centre) or program.folded or not pools:
        return ()
    in_products = _in_products(centre, potential.bonds[a], b)
    linear = set(program.linear.tolist())
    out: list[Sum] = []
    first = 0
    for number, family in enumerate(bond.families):
        primitives = range(first, first + family.size)
        first += family.size
        if family.size < _FEWEST or in_products[primitives].any() or not set(primitives) <= set(pools[0].primitives):
            continue
        pooled = tuple(pools[0].row(k) for k in primitives)
        found = radial_series(family) if set(pooled) <= linear else None
        if found is not None:
            out.append(Sum(number, primitives[0], *found, pooled, sum(len(one.matrix) for one in out)))
    return tuple(out)


def _in_products(centre: Centre, bonds: tuple[Bond, ...], b: int) -> np.ndarray:
    """[n_primitives] of the bond to species b: whether a channel of some product is made of them."""
    used = np.zeros(bonds[b].n_primitives, bool)
    start = sum(bond.n_primitives for bond in bonds[:b])
    for c in {c for function in centre.functions if len(function.channels) > 1 for c in function.channels}:
        channel = centre.channels[c]
        if channel.neighbour == b:
            used |= np.asarray(channel.coefficients) != 0.0
        elif channel.neighbour < 0:
            used |= np.asarray(channel.coefficients[start : start + len(used)]) != 0.0
    return used


def series_fold(found: tuple[Sum, ...], program: Program, first_weight: int) -> CsrRows:
    """CSR rows: coefficients of the series, one sum after the other, from the flattened weights."""
    position = {int(component): o for o, component in enumerate(program.linear)}
    fold = program.linear_fold
    counts, indices, values = [0], [np.zeros(0, np.int64)], [np.zeros(0)]
    for one in found:
        rows = [position[component] for component in one.pooled]
        spans = [slice(fold.indptr[o], fold.indptr[o + 1]) for o in rows]
        for line in one.matrix * _Y00:
            kept = [(span, factor) for span, factor in zip(spans, line, strict=True) if factor]
            indices += [fold.indices[span] + first_weight for span, _ in kept]
            values += [fold.values[span] * factor for span, factor in kept]
            counts.append(sum(span.stop - span.start for span, _ in kept))
    return np.cumsum(counts), np.concatenate(indices), np.concatenate(values)
