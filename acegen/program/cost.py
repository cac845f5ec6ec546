"""Stage 3: operation counts of a Program (one operation = one multiply-add on one lane)."""

from __future__ import annotations

import numpy as np

from acegen.maths.wigner import real_coupling
from acegen.program.types import Program, StepGroup


def kernel_operations(kernel: tuple[object, ...]) -> int:
    """Multiply-adds of one product, forward only."""
    if kernel[0] == "multiply":
        n_x, n_y = int(str(kernel[1])), int(str(kernel[2]))
        return n_x * n_y
    _, lx, ly, degrees = kernel
    assert isinstance(lx, int) and isinstance(ly, int) and isinstance(degrees, tuple)
    tensors = [real_coupling(lx, ly, degree) for degree in degrees]
    used = np.any([np.any(np.abs(t) > 1e-14, axis=2) for t in tensors], axis=0)
    return int(np.count_nonzero(used)) + sum(int(np.count_nonzero(np.abs(t) > 1e-14)) for t in tensors)


def step_operations(group: StepGroup) -> int:
    """Forward and adjoint of all products of a group (the adjoint needs twice the forward)."""
    return 3 * kernel_operations(group.kernel) * len(group.rows)


def product_operations(program: Program) -> int:
    """Multiply-adds per atom of the product stage: nodes, bilinear form, adjoint."""
    entries = program.entries
    sides = np.where(entries.x == entries.y, 1, 2)
    bilinear = int(np.sum(entries.components * sides)) * program.n_densities
    linear = 2 * len(program.linear) * program.n_densities
    return sum(step_operations(group) for group in program.steps) + bilinear + linear


UNROLL_LIMIT = 1500  # multiply-adds of the product stage up to which it is straight-line code

# One multiply-add of the pair form takes this much longer than one of the coupled form: its rows have one or two
# components instead of 2l+1, so each coefficient is read for less work; as loops over tables its many small products
# and short rows cost as much besides (Zen 3: 1.25 unrolled; 2.2 for linear models of 500 functions, 1.05 to 1.5 for
# large ones).
PAIR_COST, LOOPED_PAIR_COST = 1.2, 1.4


def pair_budget(coupled: int) -> int:
    """Most multiply-adds with which the pair form is no dearer than the coupled form with `coupled`."""
    unrolled = min(int(coupled / PAIR_COST), UNROLL_LIMIT)
    return max(unrolled, int(coupled / LOOPED_PAIR_COST))


def mix_operations(program: Program) -> int:
    """Multiply-adds per atom of primitives -> leaves and its transpose."""
    return 2 * sum(mix.matrix.size * (2 * mix.l + 1) for mix in program.mixes)


def edge_operations(program: Program, neighbour: int, summed: int = 0) -> int:
    """Multiply-adds per edge: R_nl where formed, pooling, contraction backward; not of `summed` primitives of l = 0."""
    pooled = sum(len(p.primitives) * (2 * p.l + 1) for p in program.pools if p.neighbour == neighbour) - summed
    l_max = max((p.l for p in program.pools if p.neighbour == neighbour), default=0)
    combined = sum(2 * c.matrix.size for c in program.combinations if c.neighbour == neighbour)
    return 3 * pooled + combined + 3 * (l_max + 1) ** 2
