"""How rows of B of EquivariantTensors below 0.5 relate to ours: one factor per row (ace_model.md S8.4).

Its row of a body with a single coupling path is F |F|, with F the Clebsch-Gordan coefficients of that path summed over
the orders of equal factors and |F| its norm over products of real A.  Ours is the same invariant, normalised.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np

from acegen.basis.real_form import real_polynomial
from acegen.maths.coupling import Groups, half_terms, invariants
from acegen.maths.wigner import clebsch_gordan

_NEGLIGIBLE = 1e-12


def _paths(ls: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Intermediate degrees L_1 = l_1, L_2, ..., ending in 0."""
    found: list[tuple[int, ...]] = [(ls[0],)]
    for l in ls[1:]:
        found = [(*path, degree) for path in found for degree in range(abs(path[-1] - l), path[-1] + l + 1)]
    return [path for path in found if path[-1] == 0]


def _coefficient(ls: tuple[int, ...], ms: tuple[int, ...], path: tuple[int, ...]) -> float:
    value, total = 1.0, ms[0]
    for k in range(1, len(ls)):
        value *= clebsch_gordan(path[k - 1], total, ls[k], ms[k], path[k], total + ms[k]).value
        total += ms[k]
        if value == 0.0:
            break
    return value


def _class_sums(groups: Groups, path: tuple[int, ...]) -> np.ndarray:
    """F over the classes of `invariants`."""
    ls = tuple(l for l, k in groups for _ in range(k))
    ends = list(itertools.accumulate(k for _, k in groups))
    starts = [0, *ends[:-1]]
    classes = [tuple(row) for row in invariants(groups).classes.tolist()]
    sums = dict.fromkeys(classes, 0.0)
    for head in itertools.product(*(range(-l, l + 1) for l in ls[:-1])):
        ms = (*head, -sum(head))
        if abs(ms[-1]) <= ls[-1]:
            key = tuple(m for first, end in zip(starts, ends, strict=True) for m in sorted(ms[first:end]))
            sums[key] += _coefficient(ls, ms, path)
    return np.array([sums[key] for key in classes])


@cache
def older_row_factor(groups: Groups) -> float | None:
    """Their row of B divided by ours, for a body with one invariant.

    Returns:
        None: several coupling paths contribute; then their sign comes from a linear solver and is not known.
    """
    ls = tuple(l for l, k in groups for _ in range(k))
    live = [row for row in (_class_sums(groups, path) for path in _paths(ls)) if np.abs(row).max() > _NEGLIGIBLE]
    (terms,) = half_terms(groups)
    if len(live) != 1:
        return None
    overlap = float(live[0] @ invariants(groups).rows[0])
    slots = tuple(slot for slot, (_, k) in enumerate(groups) for _ in range(k))
    norm = float(np.linalg.norm(list(real_polynomial(*terms, slots).values())))
    return overlap * abs(overlap) * norm
