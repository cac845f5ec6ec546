"""What each stage on a card computes and moves, per atom: pure counts from the tables, no times.

Arithmetic counts a multiply-add as one operation. `shared` is traffic of shared memory and L1 in the bytes the pipe
moves for it: a number of its own for every lane takes its size, one that all lanes share takes 4 bytes (a warp's
access moves 128 bytes a cycle, however little is asked). `read` and `written` are bytes of device memory: each array
once for every kernel that uses it, and what a block of the product stage keeps for itself (dE/dX where only X fits in
shared memory) written once, for it is read again while L2 still has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from acegen.maths.harmonics import harmonics_section
from acegen.plan.counting import DIVISION, ROOT, section_operations
from acegen.plan.cuda import COMBINED_ROWS, CudaPlan
from acegen.plan.cuda_products import ProductTables, RowClass
from acegen.plan.types import BondPlan, CentrePlan, EdgePlan, MixPlan, ShapePlan

_BROADCAST = 4  # bytes per lane of the pipe's time
_EDGE = 4 + 4 + 4 + 24  # neighbour, its image, its species and position
_VECTOR = 24
_TURNED = 5  # times the traffic of a row: pooled sums of one atom become lanes, four at a time
_SEARCH = 40  # operations of one listed edge: vector, distance, place among the chunk's neighbours


@dataclass(frozen=True, slots=True)
class Cost:
    """One stage, per atom; kernels of a stage have its name, the product stage's begin with "product"."""

    stage: str
    arithmetic: float = 0.0
    shared: float = 0.0
    read: float = 0.0
    written: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.stage,
            self.arithmetic + other.arithmetic,
            self.shared + other.shared,
            self.read + other.read,
            self.written + other.written,
        )

    def times(self, number: float) -> Cost:
        """The same for `number` of them."""
        return Cost(
            self.stage, number * self.arithmetic, number * self.shared, number * self.read, number * self.written
        )


def costs(cuda: CudaPlan, share: np.ndarray, listed: np.ndarray, inside: np.ndarray, size: int = 8) -> tuple[Cost, ...]:
    """Stages in launch order, mean over the atoms of a structure, gradients included.

    Args:
        share: [a] fraction of the atoms that are of species a.
        listed: [a] edges in the list of an atom.
        inside: [a, b] neighbours inside the cutoff.
        size: bytes of a number of the arithmetic, 8 or 4.
    """
    edges = float(share @ listed)
    total = [Cost("pool"), Cost("product"), Cost("gradient")]
    for bond in cuda.plan.bonds:
        if bond.edge >= 0:
            number = float(share[bond.centre] * inside[bond.centre, bond.neighbour])
            edge = cuda.plan.edges[bond.edge]
            total[0] += _pooled_edge(cuda, edge, bond, size).times(number)
            total[2] += _gradient_edge(cuda, edge, size).times(number)
    for centre in cuda.plan.centres:
        row = centre.n_pooled * size
        total[0] += Cost("pool", 0, 0, 0, row).times(float(share[centre.index]))
        total[1] += _product(cuda, centre, size).times(float(share[centre.index]))
        total[2] += Cost("gradient", 0, 0, row, 0).times(float(share[centre.index]))
    walk = Cost("", _SEARCH, 8 * size, _EDGE, 0).times(edges)
    total[0] += walk
    total[2] += walk + Cost("", 0, 0, 0, _VECTOR).times(edges)
    back = 8 + 2 * 32  # place of the reverse edge, and its gradient in two sectors
    forces = Cost("forces", 18, 8 * (2 * 3 + 4), _EDGE + _VECTOR + back, 0).times(edges)
    return (*total, forces + Cost("", 0, 0, 0, 72), Cost("sums", 7, 56, 56, 0))


def _radials(cuda: CudaPlan, edge: EdgePlan, slopes: bool) -> float:
    """Operations of the radial primitives of one edge."""
    total = float(ROOT + DIVISION)
    for index, *_ in edge.radials:
        f = cuda.plan.radials[index]
        total += section_operations(f.gradient if slopes else f.section)
        total += section_operations(f.head_gradient if slopes else f.head)
        total += f.degree * f.size * (2 if slopes else 1)
    if edge.core >= 0:
        core = cuda.plan.cores[edge.core]
        total += section_operations(core.gradient if slopes else core.section)
    return total


def _combined(edge: EdgePlan, size: int, arrays: int) -> tuple[float, float]:
    """Operations and traffic of the radial functions formed on every edge, of values (1) or slopes too (2)."""
    terms = sum(c.rows * c.columns for c in edge.combinations)
    loads = sum(-(-c.rows // COMBINED_ROWS) * c.columns for c in edge.combinations)
    rows = sum(c.rows for c in edge.combinations)
    return arrays * terms, arrays * size * (loads + rows) + _BROADCAST * terms


def _pooled_edge(cuda: CudaPlan, edge: EdgePlan, bond: BondPlan, size: int) -> Cost:
    terms, traffic = _combined(edge, size, 1)
    tasks = cuda.pool_tasks[cuda.centres[bond.centre].first_task : cuda.centres[bond.centre].last_task]
    own = tasks[tasks[:, 0] == bond.neighbour]
    sums = float(np.sum(own[:, 2] * own[:, 4]))
    operands = float(len(own) * sum(cuda.pool_tile))
    made = sum(n for *_, n in edge.radials) + cuda.n_harmonics
    operations = _radials(cuda, edge, False) + section_operations(harmonics_section(max(cuda.plan.l_max, 0)))
    return Cost("pool", operations + terms + sums, traffic + size * (made + operands))


def _gradient_edge(cuda: CudaPlan, edge: EdgePlan, size: int) -> Cost:
    terms, traffic = _combined(edge, size, 2)
    first, last = cuda.first_group[edge.index], cuda.first_group[edge.index + 1]
    sums = operands = rows = 0.0
    for _, columns, start, end in cuda.groups[first:last].tolist():
        own = float(np.sum(cuda.runs[start:end, 1]))
        rows += own
        sums += own * columns
        operands += own * columns
    made = 2 * sum(n for *_, n in edge.radials) + 4 * cuda.n_harmonics
    harmonics = section_operations(harmonics_section(max(cuda.plan.l_max, 0))) + 4 * cuda.n_harmonics
    operations = _radials(cuda, edge, True) + harmonics + 30
    shared = traffic + size * (made + 2 * rows) + _BROADCAST * operands
    return Cost("gradient", operations + terms + 2 * sums, shared)


def _product(cuda: CudaPlan, centre: CentrePlan, size: int) -> Cost:
    shape = cuda.plan.shapes[centre.shape]
    parts = (*_mixes(centre.mixes, size), *_nodes(cuda, shape, size), *_rows(cuda.products, shape, size))
    row = centre.n_pooled * size
    ends = Cost("", 0, 2 * _TURNED * row, row, row)
    return replace(sum(parts, Cost("product")) + ends + _slabs(cuda, shape, size), stage="product")


def _slabs(cuda: CudaPlan, shape: ShapePlan, size: int) -> Cost:
    """Traffic of X and of G = dE/dX that shared memory does not keep."""
    layout, one = cuda.product_layout, size * shape.n_components
    if not layout.shared:  # X: written, read by the rows and by the adjoint; G: written, read and written
        return Cost("", 0, 0, 3 * one, 3 * one)
    both = size * layout.lanes * cuda.plan.max_components * 2 <= layout.shared
    return Cost("", 0, 0, 0, 0 if both else one)


def _mixes(mixes: tuple[MixPlan, ...], size: int) -> Iterator[Cost]:
    """Leaves from pooled sums, and back."""
    for mix in mixes:
        terms = mix.n_leaves * mix.n_primitives * mix.components
        for rows in (mix.n_leaves, mix.n_primitives):
            loads = terms / min(4, rows)
            yield Cost("", terms, size * (loads + 2 * rows * mix.components) + _BROADCAST * terms)


def _nodes(cuda: CudaPlan, shape: ShapePlan, size: int) -> Iterator[Cost]:
    """Product nodes, and the slopes of both factors."""
    kernels = {kernel.name: kernel for kernel in cuda.plan.kernels}
    for step in shape.steps:
        k = kernels[step.kernel]
        terms, out = sum(map(len, k.terms)), len(k.terms)
        yield Cost("", len(k.pairs) + terms, size * (k.n_x + k.n_y + out) + 3 * _BROADCAST).times(len(step.rows))
        back = len(k.pairs) + sum(map(len, k.adjoint))
        for target, other in ((k.n_x, k.n_y), (k.n_y, k.n_x)):
            yield Cost("", back, size * (2 * target + other + out) + 3 * _BROADCAST).times(len(step.rows))


def _rows(tables: ProductTables, shape: ShapePlan, size: int) -> Iterator[Cost]:
    """Y = C X, densities, dE/dX; with several densities the rows are summed twice."""
    p = shape.n_densities
    passes = 2 if p > 1 else 1
    for c in tables.classes:
        tiles = c.tiles[c.first[shape.index] : c.first[shape.index + 1]]
        if c.densities == p and len(tiles):
            yield _row_class(c, tiles, size).times(passes) + _row_ends(c, len(tiles), size)
    linear = len(shape.linear)
    yield Cost("", 2 * p * linear, size * 3 * linear + _BROADCAST * 2 * p * linear)
    yield Cost("", 0, 8 * 2 * p * tables.workers)  # sums over the workers


def _row_class(c: RowClass, tiles: np.ndarray, size: int) -> Cost:
    terms = float(np.sum(tiles[:, 1] - tiles[:, 0]))
    uniform = _BROADCAST * (terms * (2 + c.rows * c.densities) + len(tiles) * (2 + c.rows))
    return Cost("", terms * c.rows * c.components * c.densities, size * terms * c.components + uniform)


def _row_ends(c: RowClass, n_tiles: int, size: int) -> Cost:
    """X.Y by density, and dE/dX."""
    results = n_tiles * c.rows * c.components
    return Cost("", 2 * results * c.densities, size * results * (c.densities + 1))
