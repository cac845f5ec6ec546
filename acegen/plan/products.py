"""Stage 4: the product stage of a Program as unrolled rows or tiles, with its coefficient layout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acegen.plan.types import Row, ShapePlan, StepPlan, Target, TileClass
from acegen.program.cost import product_operations
from acegen.program.types import Fold, Program

_ROWS_PER_BLOCK = 64  # rows of one straight-line function: compile time is linear in blocks of this size
_LITERAL_CALLS = 400  # products called one by one below this number, looped over a table above
_SHORT_GAP = 32  # written components between two runs that are not worth a second call to clear
_FILL = 1.35  # largest ratio of stored to used coefficients in a tile


@dataclass(frozen=True, slots=True, eq=False)
class CoefficientMap:
    """Where kernel coefficient c comes from: entry (-1: padding zero, linear entries first), density, factor."""

    entry: np.ndarray
    density: np.ndarray
    factor: np.ndarray


def kernel_name(kernel: tuple[object, ...]) -> str:
    """C name of a product kernel."""
    if kernel[0] == "multiply":
        _, n_x, n_y, conjugate = kernel
        return {(1, 1): "multiply_real", (1, 2): "multiply_mixed"}.get(
            (int(str(n_x)), int(str(n_y))), "multiply_conjugate" if conjugate else "multiply_complex"
        )
    _, lx, ly, degrees = kernel
    assert isinstance(degrees, tuple)
    return f"couple_{lx}_{ly}_to_" + "_".join(str(d) for d in degrees)


def _chunks(program: Program, limit: int) -> list[tuple[int, int, int, int]]:
    """Entries cut to at most `limit` components: (components, x, y, entry)."""
    out = []
    for e, (n, x, y) in enumerate(
        zip(program.entries.components.tolist(), program.entries.x.tolist(), program.entries.y.tolist(), strict=True)
    ):
        parts = -(-n // limit)
        start = 0
        for part in range(parts):
            stop = (n * (part + 1)) // parts
            out.append((stop - start, x + start, y + start, e))
            start = stop
    return out


def _row_lists(chunks: list[tuple[int, int, int, int]]) -> dict[int, dict[int, list[tuple[int, int]]]]:
    """components -> row offset -> sorted (column offset, entry), both triangles."""
    out: dict[int, dict[int, list[tuple[int, int]]]] = {}
    for n, x, y, e in chunks:
        rows = out.setdefault(n, {})
        rows.setdefault(x, []).append((y, e))
        if x != y:
            rows.setdefault(y, []).append((x, e))
    for rows in out.values():
        for terms in rows.values():
            terms.sort()
    return out


def shape_plan(
    program: Program, index: int, target: Target, labels: dict[int, str], replaceable: bool = False
) -> tuple[ShapePlan, CoefficientMap]:
    """Lay out one product stage; the coefficient map lists linear coefficients first, then the bilinear ones."""
    loop = target.products == "tiled" or (
        target.products == "auto" and product_operations(program) > target.unroll_limit
    )
    n_linear, p = len(program.linear), program.n_densities
    kept = _kept(program, replaceable)
    entry = np.repeat(np.array(kept, np.int64), p)
    density = np.tile(np.arange(p), len(kept))
    factor = np.ones(len(kept) * p)
    rows: tuple[tuple[Row, ...], ...] = ()
    tiles: tuple[TileClass, ...] = ()
    stream = np.zeros(0, np.int64)
    if loop:
        tiles, stream, more = _tiled(program, max(1, target.accumulators // p), target.accumulators, len(kept))
    else:
        rows, more = _unrolled(program, len(kept), labels)
    steps = tuple(
        StepPlan(
            kernel_name(group.kernel),
            tuple((int(a), int(b), int(c)) for a, b, c in group.rows),
            tuple(labels[int(c)] for c in group.rows[:, 2]),
            loop or len(group.rows) > _LITERAL_CALLS,
            f"PRODUCTS_{index}_{q}",
            group.level,
        )
        for q, group in enumerate(program.steps)
    )
    coefficient_map = CoefficientMap(
        np.concatenate([entry, more.entry]),
        np.concatenate([density, more.density]),
        np.concatenate([factor, more.factor]),
    )
    table, indices, values = _basis_tables(program)
    plan = ShapePlan(
        index=index,
        form=program.form,
        loop=loop,
        n_components=program.n_components,
        n_densities=p,
        steps=steps,
        rows=rows,
        tiles=tiles,
        index_stream=stream,
        linear=tuple(int(program.linear[o]) for o in kept),
        linear_loop=loop or len(kept) > _LITERAL_CALLS,
        folded=program.folded,
        n_coefficients=len(coefficient_map.entry),
        basis=(table, indices, values),
        n_basis_entries=n_linear + len(program.entries.x),
        n_functions=program.n_functions,
        unwritten=_unwritten(program),
    )
    return plan, coefficient_map


def _kept(program: Program, replaceable: bool) -> list[int]:
    """Linear components that keep coefficients.

    Folded order-1 functions need none, only what comes after them (flat form); where weights are replaceable theirs
    are those of what the weights change by.
    """
    every = replaceable or not program.folded
    return [o for o, at in enumerate(program.linear.tolist()) if every or at >= program.n_leaves]


def _unwritten(program: Program) -> tuple[tuple[int, int], ...]:
    """Runs of components without a row in Y = C X, to be cleared; short gaps between runs are cleared too."""
    written = np.zeros(program.n_components, bool)
    entries = program.entries
    for offsets in (entries.x, entries.y):
        for n, offset in zip(entries.components.tolist(), offsets.tolist(), strict=True):
            written[offset : offset + n] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[True], written, [True]]).astype(np.int8)))
    runs: list[tuple[int, int]] = []
    for start, stop in edges.reshape(-1, 2).tolist():
        if runs and start - sum(runs[-1]) < _SHORT_GAP:
            runs[-1] = (runs[-1][0], stop - runs[-1][0])
        else:
            runs.append((start, stop - start))
    return tuple(runs)


def _unrolled(
    program: Program, n_kept: int, labels: dict[int, str]
) -> tuple[tuple[tuple[Row, ...], ...], CoefficientMap]:
    """Rows in blocks; coefficient e*P + p after the n_kept linear ones, 2c on the diagonal (Y = C X)."""
    p = program.n_densities
    n = len(program.entries.x)
    lists = _row_lists(_chunks(program, 1 << 30))
    rows = [
        Row(offset, components, tuple((n_kept * p + e * p, column) for column, e in terms), labels[offset])
        for components in sorted(lists)
        for offset, terms in sorted(lists[components].items())
    ]
    blocks: list[tuple[Row, ...]] = []
    current: list[Row] = []
    size = 0
    for row in rows:
        current.append(row)
        size += row.components * (2 + len(row.terms)) * p
        if size > 8 * _ROWS_PER_BLOCK:
            blocks.append(tuple(current))
            current, size = [], 0
    if current:
        blocks.append(tuple(current))
    diagonal = np.where(program.entries.x == program.entries.y, 2.0, 1.0)
    more = CoefficientMap(
        np.repeat(np.arange(n) + len(program.linear), p), np.tile(np.arange(p), n), np.repeat(diagonal, p)
    )
    return tuple(blocks), more


def _tiled(
    program: Program, limit: int, accumulators: int, n_kept: int
) -> tuple[tuple[TileClass, ...], np.ndarray, CoefficientMap]:
    """Group rows with similar columns into tiles; see TileClass for the streams."""
    p = program.n_densities
    lists = _row_lists(_chunks(program, limit))
    classes: list[TileClass] = []
    stream: list[int] = []
    entry: list[int] = []
    factor: list[float] = []
    for components in sorted(lists):
        tiles = _group(lists[components], max(1, accumulators // (components * p)))
        for n_rows in sorted({len(tile) for tile in tiles}):
            chosen = sorted(
                (tile for tile in tiles if len(tile) == n_rows), key=lambda t: (len(_columns(lists[components], t)), t)
            )
            classes.append(TileClass(n_rows, components, len(chosen), len(stream), n_kept * p + len(entry) * p))
            for tile in chosen:
                columns = _columns(lists[components], tile)
                stream += [len(columns), *tile, *columns]
                maps = [dict(lists[components][row]) for row in tile]
                for column in columns:
                    for row, terms in zip(tile, maps, strict=True):
                        e = terms.get(column)
                        entry.append(-1 if e is None else e + len(program.linear))
                        factor.append(2.0 if row == column else 1.0)
    more = CoefficientMap(
        np.repeat(np.array(entry, np.int64), p),
        np.tile(np.arange(p), len(entry)),
        np.repeat(np.array(factor, float), p),
    )
    return tuple(classes), np.array(stream, np.int64), more


def _columns(rows: dict[int, list[tuple[int, int]]], tile: tuple[int, ...]) -> list[int]:
    return sorted({column for row in tile for column, _ in rows[row]})


def _group(rows: dict[int, list[tuple[int, int]]], limit: int) -> list[tuple[int, ...]]:
    """Greedy: rows ordered by their columns, a tile grows while the zero fill stays below _FILL."""
    order = sorted(rows, key=lambda row: ([column for column, _ in rows[row]], row))
    tiles: list[tuple[int, ...]] = []
    current: list[int] = []
    union: set[int] = set()
    used = 0
    for row in order:
        columns = {column for column, _ in rows[row]}
        grown = union | columns
        fits = len(grown) * (len(current) + 1) <= _FILL * (used + len(columns))
        if current and (len(current) == limit or not fits):
            tiles.append(tuple(current))
            current, union, used, grown = [], set(), 0, columns
        current.append(row)
        union = grown
        used += len(columns)
    if current:
        tiles.append(tuple(current))
    return tiles


def _basis_tables(program: Program) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows [components, x, y, number of functions] (x = y offset, 0 components: linear), fold indices, values."""
    table = []
    for fold, offsets in ((program.linear_fold, program.linear), (program.entries.fold, None)):
        counts = np.diff(fold.indptr)
        for r in range(fold.n_rows):
            if offsets is not None:
                table.append((0, int(offsets[r]), int(offsets[r]), int(counts[r])))
            else:
                e = program.entries
                table.append((int(e.components[r]), int(e.x[r]), int(e.y[r]), int(counts[r])))
    indices = np.concatenate([program.linear_fold.indices, program.entries.fold.indices])
    values = np.concatenate([program.linear_fold.values, program.entries.fold.values])
    return np.array(table, np.int64).reshape(-1, 4), indices, values


def combined_fold(program: Program) -> Fold:
    """Fold of linear terms and entries together, in the numbering of CoefficientMap.entry."""
    a, b = program.linear_fold, program.entries.fold
    return Fold(
        np.concatenate([a.indptr, b.indptr[1:] + a.indptr[-1]]),
        np.concatenate([a.indices, b.indices]),
        np.concatenate([a.values, b.values]),
    )
