"""Stage 4 for CUDA: the product stage as gather lists, every result written by one warp, cut into launches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acegen.plan.types import ShapePlan

WARPS = 8  # of a product block


@dataclass(frozen=True, slots=True, eq=False)
class RowClass:
    """Tiles of `rows` rows with `components` components each; a warp sums one tile at a time."""

    rows: int
    components: int
    tiles: np.ndarray  # [n, 2 + rows] first term, last term, rows


@dataclass(frozen=True, slots=True, eq=False)
class NodeStep:
    """Products of one kernel at one level: [n, 3] first, second, result."""

    kernel: str
    level: int
    rows: np.ndarray
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class AdjointStep:
    """Slopes of the first (or second) factors at one level of these factors: [n, 3] target, other, result.

    Sorted by the warp that owns the target; `first` holds where each warp's rows begin, and the end.
    """

    kernel: str
    side: int
    level: int
    rows: np.ndarray
    first: tuple[int, ...]
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class ShapeTables:
    """One product stage."""

    shape: ShapePlan
    classes: tuple[RowClass, ...]
    terms: np.ndarray  # [n, 2] component, coefficient
    nodes: tuple[NodeStep, ...]
    adjoint: tuple[AdjointStep, ...]
    basis_first: np.ndarray  # of each function, one longer
    basis_terms: np.ndarray  # [n, 3] components (0: linear), x, y
    basis_factors: np.ndarray


def shape_tables(shape: ShapePlan) -> ShapeTables:
    """Gather lists of one shape."""
    classes, terms = _tiled(shape) if shape.loop else _rows(shape)
    nodes = tuple(
        NodeStep(step.kernel, step.level, np.array(step.rows, np.int64).reshape(-1, 3), f"NODES_{shape.index}_{q}")
        for q, step in enumerate(shape.steps)
    )
    first, basis_terms, factors = _basis(shape)
    return ShapeTables(shape, classes, terms, nodes, _adjoint(shape), first, basis_terms, factors)


def _rows(shape: ShapePlan) -> tuple[tuple[RowClass, ...], np.ndarray]:
    """Unrolled shapes: one row a tile."""
    terms: list[tuple[int, int]] = []
    found: dict[int, list[tuple[int, ...]]] = {}
    for row in (row for block in shape.rows for row in block):
        found.setdefault(row.components, []).append((len(terms), len(terms) + len(row.terms), row.offset))
        terms += [(column, c) for c, column in row.terms]
    return _classes({(1, n): tiles for n, tiles in found.items()}), np.array(terms, np.int64).reshape(-1, 2)


def _tiled(shape: ShapePlan) -> tuple[tuple[RowClass, ...], np.ndarray]:
    terms: list[tuple[int, int]] = []
    found: dict[tuple[int, int], list[tuple[int, ...]]] = {}
    for tile in shape.tiles:
        at, c = tile.first_index, tile.first_coefficient
        for _ in range(tile.n_tiles):
            n = int(shape.index_stream[at])
            rows = shape.index_stream[at + 1 : at + 1 + tile.rows].tolist()
            columns = shape.index_stream[at + 1 + tile.rows : at + 1 + tile.rows + n].tolist()
            found.setdefault((tile.rows, tile.components), []).append((len(terms), len(terms) + n, *rows))
            for column in columns:
                terms.append((column, c))
                c += tile.rows * shape.n_densities
            at += 1 + tile.rows + n
    return _classes(found), np.array(terms, np.int64).reshape(-1, 2)


def _classes(found: dict[tuple[int, int], list[tuple[int, ...]]]) -> tuple[RowClass, ...]:
    """Longest tiles first, so that no warp begins a long one when the others are done."""
    return tuple(
        RowClass(rows, components, np.array(sorted(tiles, key=lambda t: (t[0] - t[1], t)), np.int64))
        for (rows, components), tiles in sorted(found.items())
    )


def _adjoint(shape: ShapePlan) -> tuple[AdjointStep, ...]:
    """Highest level of the targets first: what flows into a node is complete before it flows on."""
    level_of = {row[2]: step.level for step in shape.steps for row in step.rows}
    starts = np.array(sorted(level_of), np.int64)

    def level(component: int) -> int:
        q = int(np.searchsorted(starts, component, "right")) - 1
        return 0 if q < 0 else level_of[int(starts[q])]

    found: dict[tuple[int, int, str], list[tuple[int, int, int]]] = {}
    load: dict[int, int] = {}
    for step in shape.steps:
        for a, b, out in step.rows:
            for side, (target, other) in enumerate(((a, b), (b, a))):
                found.setdefault((-level(target), side, step.kernel), []).append((target, other, out))
                load[target] = load.get(target, 0) + 1
    owner = _owners(load)
    steps: list[AdjointStep] = []
    for (minus, side, kernel), rows in sorted(found.items(), key=lambda item: (item[0][0], item[0][2], item[0][1])):
        rows.sort(key=lambda row: (owner[row[0]], row))
        owners = [owner[row[0]] for row in rows]
        first = tuple(int(n) for n in np.searchsorted(owners, np.arange(WARPS + 1)))
        name = f"ADJOINT_{shape.index}_{len(steps)}"
        steps.append(AdjointStep(kernel, side, -minus, np.array(rows, np.int64), first, name))
    return tuple(steps)


def _owners(load: dict[int, int]) -> dict[int, int]:
    """Rows dealt to warps, the most work first to whoever has least."""
    total = [0] * WARPS
    owner: dict[int, int] = {}
    for target in sorted(load, key=lambda t: (-load[t], t)):
        warp = min(range(WARPS), key=lambda w: (total[w], w))
        owner[target] = warp
        total[warp] += load[target]
    return owner


def _basis(shape: ShapePlan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Transposed: for each function its entries."""
    table, functions, values = shape.basis
    entry = np.repeat(np.arange(len(table)), table[:, 3] if len(table) else [])
    order = np.argsort(functions, kind="stable")
    counts = np.bincount(functions, minlength=shape.n_functions) if len(functions) else np.zeros(shape.n_functions)
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    chosen = entry[order]
    return first, table[chosen, :3].reshape(-1, 3), values[order]
