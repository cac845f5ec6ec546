"""Stage 4 for CUDA: index tables that the kernels loop over, made from a Plan. Coefficients keep their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from acegen.plan.cuda_layout import EdgeLayout, ProductLayout, edge_layout, product_layout
from acegen.plan.cuda_products import ProductTables, product_tables
from acegen.plan.types import CentrePlan, EdgePlan, MixPlan, Plan

_POOL_TILES = ((4, 6), (3, 6), (2, 6), (2, 5), (2, 3), (1, 6), (1, 3))  # (rows, columns) of a thread's register tile
MIX_ROWS = 4  # rows that share the numbers they are summed from
COMBINED_ROWS = 5  # radial functions that a thread sums together
GROUP = 6  # columns of H and D that one thread sums


@dataclass(frozen=True, slots=True, eq=False)
class BondRow:
    """What a kernel looks up about one ordered pair."""

    cutoff: float
    edge: int  # shape; one beyond the last: an empty one
    first_number: int
    first_combined: int
    first_table: int
    first_pooled: int
    core_end: float
    switch_start: float
    switch_width: float


@dataclass(frozen=True, slots=True, eq=False)
class CentreTables:
    """Mixing of one centre species; waves are (first, last) task, one after another."""

    centre: CentrePlan
    first_task: int  # of the pooling
    last_task: int
    mix_waves: tuple[tuple[int, int], ...]
    unmix_waves: tuple[tuple[int, int], ...]
    first_mixing: int
    first_constant: tuple[int, ...]  # of the embedding of each density


@dataclass(frozen=True, slots=True, eq=False)
class CudaPlan:
    """A Plan and the tables of its kernels."""

    plan: Plan
    n_pooled: int
    n_harmonics: int
    edge_layout: EdgeLayout
    pool_tile: tuple[int, int]
    bonds: tuple[BondRow, ...]
    table_names: tuple[str, ...]
    clears: bool  # some pooled sums have no task
    pool_tasks: np.ndarray  # [n, 7] neighbour, primitive, rows, harmonic, columns, out, stride
    groups: np.ndarray  # [n, 4] harmonic, columns, first run, last run
    first_group: tuple[int, ...]  # of each edge shape, one longer
    runs: np.ndarray  # [n, 4] primitive, rows, pooled, stride
    combinations: np.ndarray  # [n, 6] out, rows, first primitive, primitives, number, stride
    first_combination: tuple[int, ...]
    combined: np.ndarray
    mixes: np.ndarray  # [n, 10], see _mix_task
    mixing: np.ndarray
    embedding_constants: tuple[float, ...]
    centres: tuple[CentreTables, ...]
    product_layout: ProductLayout
    products: ProductTables

    @property
    def densities(self) -> tuple[int, ...]:
        """Numbers of densities that shapes have."""
        return tuple(sorted({shape.n_densities for shape in self.plan.shapes}))


def make_cuda_plan(plan: Plan) -> CudaPlan:
    """Tables of all kernels; radial functions are pooled that the C kernel sums on every edge."""
    edges = tuple(edge.whole or edge for edge in plan.edges)
    plan = replace(plan, edges=edges, series=(), l_max=max((edge.l_max for edge in edges), default=0))
    n_harmonics = (max(plan.l_max, 0) + 1) ** 2
    groups, runs, first_group = _groups(plan.edges, n_harmonics)
    combinations, first_combination = _combinations(plan.edges)
    layout, products = edge_layout(plan.max_primitives, n_harmonics), product_layout(plan)
    tile = _pool_tile(plan)
    tasks = [_pool_tasks(plan, centre.index, tile) for centre in plan.centres]
    centres, mixes = _centres(plan, [len(t) for t in tasks])
    return CudaPlan(
        plan=plan,
        n_pooled=max(max(centre.n_pooled for centre in plan.centres), 1),
        n_harmonics=n_harmonics,
        edge_layout=layout,
        pool_tile=tile,
        bonds=_bonds(plan),
        table_names=tuple(name for bond in plan.bonds for name in bond.table_names),
        clears=any(_summed(rows) < c.n_pooled for rows, c in zip(tasks, plan.centres, strict=True)),
        pool_tasks=_table([row for t in tasks for row in t], 7),
        groups=groups,
        first_group=first_group,
        runs=runs,
        combinations=combinations,
        first_combination=first_combination,
        combined=np.concatenate([bond.combined for bond in plan.bonds]),
        mixes=_table(mixes, 10),
        mixing=np.concatenate([centre.mixing for centre in plan.centres]),
        embedding_constants=tuple(x for c in plan.centres for _, constants in c.embeddings for x in constants),
        centres=centres,
        product_layout=products,
        products=product_tables(plan.shapes, products.workers),
    )


def _table(rows: Sequence[Sequence[int]], width: int) -> np.ndarray:
    return np.array(rows, np.int64).reshape(-1, width)


def _pieces(total: int, largest: int) -> list[tuple[int, int]]:
    """(start, length) of the fewest nearly equal parts."""
    parts = -(-total // largest)
    cuts = [total * p // parts for p in range(parts + 1)]
    return [(a, b - a) for a, b in pairwise(cuts)]


def _bonds(plan: Plan) -> tuple[BondRow, ...]:
    rows = []
    number = combined = table = 0
    for bond in plan.bonds:
        rows.append(
            BondRow(
                bond.cutoff, bond.edge if bond.edge >= 0 else len(plan.edges), number, combined, table,
                bond.first_pooled, bond.core_end, bond.switch_start, bond.switch_width,
            )
        )  # fmt: skip
        number += len(bond.constants)
        combined += len(bond.combined)
        table += len(bond.table_names)
    return tuple(rows)


def _pool_tile(plan: Plan) -> tuple[int, int]:
    """The register tile that loads least: a warp's pass over its tasks reads rows + columns for every neighbour."""

    def loads(tile: tuple[int, int]) -> int:
        return sum(-(-len(_pool_tasks(plan, c.index, tile)) // 32) * sum(tile) for c in plan.centres)

    return min(_POOL_TILES, key=lambda tile: (loads(tile), _POOL_TILES.index(tile)))


def _pool_tasks(plan: Plan, centre: int, tile: tuple[int, int]) -> list[tuple[int, ...]]:
    """Register tiles of one centre species: neighbour, primitive, rows, harmonic, columns, out, stride."""
    rows, columns = tile
    out: list[tuple[int, ...]] = []
    for bond in plan.bonds:
        if bond.centre != centre or bond.edge < 0:
            continue
        for t in plan.edges[bond.edge].contractions:
            for k, n_rows in _pieces(t.rows, rows):
                for m, n_columns in _pieces(t.columns, columns):
                    at = bond.first_pooled + t.pooled + k * t.stride + m
                    out.append((bond.neighbour, t.first + k, n_rows, t.harmonic + m, n_columns, at, t.stride))
    return out


def _summed(tasks: list[tuple[int, ...]]) -> int:
    """How many pooled sums the register tiles hold."""
    return len(
        {
            at + k * stride + m
            for _, _, rows, _, columns, at, stride in tasks
            for k in range(rows)
            for m in range(columns)
        }
    )


def _groups(edges: tuple[EdgePlan, ...], n_harmonics: int) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Columns of H and D with the runs of primitives they are summed over; every column belongs to one group."""
    groups: list[tuple[int, ...]] = []
    runs: list[tuple[int, ...]] = []
    first = [0]
    for contractions in [*(e.contractions for e in edges), ()]:
        covered = np.zeros(n_harmonics, bool)
        for harmonic, columns in dict.fromkeys((t.harmonic, t.columns) for t in contractions):
            chosen = [t for t in contractions if (t.harmonic, t.columns) == (harmonic, columns)]
            covered[harmonic : harmonic + columns] = True
            groups.append((harmonic, columns, len(runs), len(runs) + len(chosen)))
            runs += [(t.first, t.rows, t.pooled, t.stride) for t in chosen]
        at = 0
        while at < n_harmonics:
            length = 0
            while length < GROUP and at + length < n_harmonics and not covered[at + length]:
                length += 1
            if length:
                groups.append((at, length, 0, 0))
            at += max(length, 1)
        first.append(len(groups))
    return _table(groups, 4), _table(runs, 4), tuple(first)


def _combinations(edges: tuple[EdgePlan, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
    rows: list[tuple[int, ...]] = []
    first = [0]
    for edge in edges:
        for c in edge.combinations:
            for n, length in _pieces(c.rows, COMBINED_ROWS):
                rows.append((c.out + n, length, c.first, c.columns, c.constant + n, c.rows))
        first.append(len(rows))
    return _table(rows, 6), (*first, len(rows))


def _mix_task(mix: MixPlan, start: int, rows: int, m: int, forward: bool) -> tuple[int, ...]:
    """target, target stride, rows, source, source stride, terms, number, number row, number term, add."""
    width, k = mix.components, mix.n_primitives
    if forward:
        target, source = mix.leaf + start * width + m, mix.pooled + m
        return (target, width, rows, source, mix.stride, k, mix.first + start * k, k, 1, int(mix.add))
    target, source = mix.pooled + start * mix.stride + m, mix.leaf + m
    return (target, mix.stride, rows, source, width, mix.n_leaves, mix.first + start, 1, k, 1)


def _waves(mixes: tuple[MixPlan, ...], forward: bool) -> list[list[tuple[int, ...]]]:
    """Tasks in waves: within a wave no two add to the same row."""
    waves: list[list[tuple[int, ...]]] = []
    seen: list[set[int]] = []
    for mix in mixes:
        n = mix.n_leaves if forward else mix.n_primitives
        tasks = [
            _mix_task(mix, start, rows, m, forward)
            for start, rows in _pieces(n, MIX_ROWS)
            for m in range(mix.components)
        ]
        touched = {t[0] + q * t[1] for t in tasks for q in range(t[2])}
        wave = max((w + 1 for w, rows in enumerate(seen) if rows & touched), default=0)
        if wave == len(waves):
            waves.append([])
            seen.append(set())
        waves[wave] += tasks
        seen[wave] |= touched
    return waves


def _centres(plan: Plan, n_tasks: list[int]) -> tuple[tuple[CentreTables, ...], list[tuple[int, ...]]]:
    out: list[CentreTables] = []
    mixes: list[tuple[int, ...]] = []
    task = mixing = constant = 0
    for centre in plan.centres:
        waves: list[list[tuple[int, int]]] = [[], []]
        for forward in (True, False):
            for wave in _waves(centre.mixes, forward):
                waves[not forward].append((len(mixes), len(mixes) + len(wave)))
                mixes += wave
        first_constant = []
        for _, constants in centre.embeddings:
            first_constant.append(constant)
            constant += len(constants)
        last = task + n_tasks[centre.index]
        out.append(CentreTables(centre, task, last, tuple(waves[0]), tuple(waves[1]), mixing, tuple(first_constant)))
        task = last
        mixing += len(centre.mixing)
    return tuple(out), mixes
