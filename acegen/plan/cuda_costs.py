"""What each stage on a card computes and moves, per atom: pure counts from the tables, no times.

Arithmetic counts a multiply-add as one operation. `shared` is traffic of shared memory and L1 in the bytes the pipe
moves for it: a number of its own for every lane takes its size, one that all lanes share takes 4 bytes (a warp's
access moves 128 bytes a cycle, however little is asked). `read` and `written` are bytes beyond L1: each array once
for every kernel that uses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from acegen.maths.harmonics import harmonics_section
from acegen.plan.counting import DIVISION, ROOT, section_operations
from acegen.plan.cuda import CudaPlan
from acegen.plan.cuda_products import ShapeTables
from acegen.plan.types import BondPlan, CentrePlan, EdgePlan, MixPlan

_BROADCAST = 4  # bytes per lane of the pipe's time
_EDGE = 4 + 4 + 4 + 24  # neighbour, its image, its species and position
_VECTOR = 24
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


def _combined(edge: EdgePlan, size: int) -> tuple[float, float]:
    """Operations and traffic of the radial functions formed on every edge."""
    terms = sum(c.rows * c.columns for c in edge.combinations)
    return terms, terms * (size + _BROADCAST) + size * sum(c.rows for c in edge.combinations)


def _pooled_edge(cuda: CudaPlan, edge: EdgePlan, bond: BondPlan, size: int) -> Cost:
    terms, traffic = _combined(edge, size)
    tasks = cuda.pool_tasks[cuda.centres[bond.centre].first_task : cuda.centres[bond.centre].last_task]
    own = tasks[tasks[:, 0] == bond.neighbour]
    sums = float(np.sum(own[:, 2] * own[:, 4]))
    operands = float(len(own) * sum(cuda.pool_tile))
    made = sum(n for *_, n in edge.radials) + cuda.n_harmonics
    operations = _radials(cuda, edge, False) + section_operations(harmonics_section(max(cuda.plan.l_max, 0)))
    return Cost("pool", operations + terms + sums, traffic + size * (made + operands))


def _gradient_edge(cuda: CudaPlan, edge: EdgePlan, size: int) -> Cost:
    terms, traffic = _combined(edge, size)
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
    shared = 2 * traffic + size * (made + 2 * rows) + _BROADCAST * operands
    return Cost("gradient", operations + 2 * terms + 2 * sums, shared)


def _product(cuda: CudaPlan, centre: CentrePlan, size: int) -> Cost:
    tables = cuda.shapes[centre.shape]
    n, p = tables.shape.n_components, tables.shape.n_densities
    parts = (*_mixes(centre.mixes, size), *_nodes(cuda, tables, size), *_rows(tables, size))
    out = sum(parts, Cost("product"))
    ends = Cost("", 0, 4 * centre.n_pooled * size, centre.n_pooled * size, centre.n_pooled * size)
    # X: written, read by the rows and by the adjoint; Y_p: written, read; dE/dX: written, read and written
    slab = Cost("", 0, 0, size * n * (2 + p + 1), size * n * (1 + p + 2))
    return replace(out + ends + slab, stage="product")


def _mixes(mixes: tuple[MixPlan, ...], size: int) -> Iterator[Cost]:
    """Leaves from pooled sums, and back."""
    for mix in mixes:
        terms = mix.n_leaves * mix.n_primitives * mix.components
        for rows in (mix.n_leaves, mix.n_primitives):
            loads = terms / min(4, rows)
            yield Cost("", terms, size * (loads + 2 * rows * mix.components) + _BROADCAST * terms)


def _nodes(cuda: CudaPlan, tables: ShapeTables, size: int) -> Iterator[Cost]:
    """Product nodes, and their adjoint."""
    kernels = {kernel.name: kernel for kernel in cuda.plan.kernels}
    for node in tables.nodes:
        k = kernels[node.kernel]
        terms = sum(map(len, k.terms))
        numbers = k.n_x + k.n_y + len(k.terms)
        yield Cost("", len(k.pairs) + terms, size * numbers + 3 * _BROADCAST).times(len(node.rows))
    for step in tables.adjoint:
        k = kernels[step.kernel]
        terms = sum(map(len, k.adjoint))
        target, other = (k.n_y, k.n_x) if step.side else (k.n_x, k.n_y)
        numbers = 2 * target + other + len(k.terms)
        yield Cost("", len(k.pairs) + terms, size * numbers + 3 * _BROADCAST).times(len(step.rows))


def _rows(tables: ShapeTables, size: int) -> Iterator[Cost]:
    """Y = C X, densities, dE/dX."""
    n, p = tables.shape.n_components, tables.shape.n_densities
    for t in tables.classes:
        terms = float(np.sum(t.tiles[:, 1] - t.tiles[:, 0]))
        results = len(t.tiles) * t.rows * t.components
        uniform = _BROADCAST * (terms * (2 + t.rows * p) + len(t.tiles) * (2 + t.rows))
        loads = terms * t.components + results * (p + 1)
        yield Cost("", terms * t.rows * t.components * p + results * p, size * loads + uniform)
    linear = len(tables.shape.linear)
    yield Cost("", p * (n + linear), size * (n * (p + 2) + 3 * p * linear))
