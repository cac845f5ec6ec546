"""Product stage on a card as gather lists, every result written by one worker: a lane of each atom of a block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from acegen.plan.types import ShapePlan


@dataclass(frozen=True, slots=True, eq=False)
class RowClass:
    """Tiles of `rows` rows with `components` components each; a worker sums one tile at a time."""

    densities: int
    rows: int
    components: int
    tiles: np.ndarray  # [n, 2 + rows] first term, last term, rows
    first: tuple[int, ...]  # tile of each shape, and the end

    @property
    def name(self) -> str:
        """Suffix of its function and table."""
        return f"{self.densities}_{self.rows}x{self.components}"


@dataclass(frozen=True, slots=True, eq=False)
class NodeStep:
    """Products of one kernel at one level."""

    kernel: str
    level: int


@dataclass(frozen=True, slots=True, eq=False)
class AdjointStep:
    """Slopes of the first (or second) factors at one level of these factors."""

    kernel: str
    side: int
    level: int


@dataclass(frozen=True, slots=True, eq=False)
class ProductTables:
    """Product stages of all shapes: one sequence of steps, of which each shape has its own rows."""

    workers: int
    node_steps: tuple[NodeStep, ...]
    nodes: np.ndarray  # [n, 3] first, second, result
    first_node: np.ndarray  # [shape, step] flat, and the end
    adjoint_steps: tuple[AdjointStep, ...]
    adjoint: np.ndarray  # [n, 3] target, other factor, result; a target belongs to one worker
    first_adjoint: np.ndarray  # [shape, step, worker] flat, and the end
    terms: np.ndarray  # [n, 2] component, coefficient
    classes: tuple[RowClass, ...]
    linear: np.ndarray  # components with a term of their own
    first_linear: tuple[int, ...]
    folded: np.ndarray  # [n, 2] component, density of tabulated order-1 sums
    first_folded: tuple[int, ...]
    unwritten: np.ndarray  # components that no row of Y = C X writes
    first_unwritten: tuple[int, ...]
    basis_first: np.ndarray  # [function of all shapes] first term, and the end
    basis_terms: np.ndarray  # [n, 3] components (0: linear), x, y
    basis_factors: np.ndarray
    first_function: tuple[int, ...]


def product_tables(shapes: tuple[ShapePlan, ...], workers: int) -> ProductTables:
    """Gather lists of all shapes, dealt to the workers of a block."""
    node_steps, nodes, first_node = _nodes(shapes)
    adjoint_steps, adjoint, first_adjoint = _adjoint(shapes, workers)
    terms, classes = _classes(shapes)
    unwritten = [_unwritten(shape, classes) for shape in shapes]
    basis = [_basis(shape) for shape in shapes]
    counts = np.concatenate([np.diff(first) for first, _, _ in basis])
    return ProductTables(
        workers=workers,
        node_steps=node_steps,
        nodes=nodes,
        first_node=first_node,
        adjoint_steps=adjoint_steps,
        adjoint=adjoint,
        first_adjoint=first_adjoint,
        terms=terms,
        classes=classes,
        linear=_table([n for shape in shapes for n in shape.linear], 1).ravel(),
        first_linear=_starts([len(shape.linear) for shape in shapes]),
        folded=_table([pair for shape in shapes for pair in shape.folded], 2),
        first_folded=_starts([len(shape.folded) for shape in shapes]),
        unwritten=_table([n for left in unwritten for n in left], 1).ravel(),
        first_unwritten=_starts(map(len, unwritten)),
        basis_first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        basis_terms=np.concatenate([table for _, table, _ in basis]),
        basis_factors=np.concatenate([factors for _, _, factors in basis]),
        first_function=_starts([len(first) - 1 for first, _, _ in basis]),
    )


def _table(rows: Sequence[Sequence[int]] | Sequence[int], width: int) -> np.ndarray:
    return np.array(rows, np.int64).reshape(-1, width)


def _starts(lengths: Iterable[int]) -> tuple[int, ...]:
    return (0, *(int(n) for n in np.cumsum([*lengths])))


def _nodes(shapes: tuple[ShapePlan, ...]) -> tuple[tuple[NodeStep, ...], np.ndarray, np.ndarray]:
    steps = sorted({(step.level, step.kernel) for shape in shapes for step in shape.steps})
    rows: list[tuple[int, ...]] = []
    first = [0]
    for shape in shapes:
        for key in steps:
            rows += [row for step in shape.steps if (step.level, step.kernel) == key for row in step.rows]
            first.append(len(rows))
    return tuple(NodeStep(kernel, level) for level, kernel in steps), _table(rows, 3), np.array(first, np.int64)


def _classes(shapes: tuple[ShapePlan, ...]) -> tuple[np.ndarray, tuple[RowClass, ...]]:
    """Longest tiles first, so that no worker begins a long one when the others are done."""
    terms: list[tuple[int, int]] = []
    found: dict[tuple[int, int, int], dict[int, list[tuple[int, ...]]]] = {}
    for shape in shapes:
        for (rows, components), tiles in (_tiled if shape.loop else _rows)(shape, terms).items():
            tiles.sort(key=lambda t: (t[0] - t[1], t))
            found.setdefault((shape.n_densities, rows, components), {})[shape.index] = tiles
    classes = []
    for (densities, rows, components), by_shape in sorted(found.items()):
        tables = [by_shape.get(shape.index, []) for shape in shapes]
        joined = _table([tile for tiles in tables for tile in tiles], 2 + rows)
        classes.append(RowClass(densities, rows, components, joined, _starts(map(len, tables))))
    return _table(terms, 2), tuple(classes)


def _unwritten(shape: ShapePlan, classes: tuple[RowClass, ...]) -> list[int]:
    """Components in no row; the plan's ranges may hold some that are."""
    written = {
        at + m
        for c in classes
        for row in c.tiles[c.first[shape.index] : c.first[shape.index + 1], 2:]
        for at in row.tolist()
        for m in range(c.components)
    }
    return [n for start, length in shape.unwritten for n in range(start, start + length) if n not in written]


def _rows(shape: ShapePlan, terms: list[tuple[int, int]]) -> dict[tuple[int, int], list[tuple[int, ...]]]:
    """Unrolled shapes: one row a tile."""
    found: dict[tuple[int, int], list[tuple[int, ...]]] = {}
    for row in (row for block in shape.rows for row in block):
        tiles = found.setdefault((1, row.components), [])
        tiles.append((len(terms), len(terms) + len(row.terms), row.offset))
        terms += [(column, c) for c, column in row.terms]
    return found


def _tiled(shape: ShapePlan, terms: list[tuple[int, int]]) -> dict[tuple[int, int], list[tuple[int, ...]]]:
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
    return found


def _levels(shape: ShapePlan) -> Callable[[int], int]:
    """Level of the row that a component begins."""
    level_of = {row[2]: step.level for step in shape.steps for row in step.rows}
    starts = np.array(sorted(level_of), np.int64)

    def level(component: int) -> int:
        q = int(np.searchsorted(starts, component, "right")) - 1
        return 0 if q < 0 else level_of[int(starts[q])]

    return level


def _adjoint(shapes: tuple[ShapePlan, ...], workers: int) -> tuple[tuple[AdjointStep, ...], np.ndarray, np.ndarray]:
    """Highest level of the targets first: what flows into a node is complete before it flows on."""
    found: list[dict[tuple[int, str, int], list[tuple[int, int, int]]]] = []
    owners: list[dict[int, int]] = []
    for shape in shapes:
        level, own, load = _levels(shape), dict[tuple[int, str, int], list[tuple[int, int, int]]](), dict[int, int]()
        for step in shape.steps:
            for a, b, out in step.rows:
                for side, (target, other) in enumerate(((a, b), (b, a))):
                    own.setdefault((-level(target), step.kernel, side), []).append((target, other, out))
                    load[target] = load.get(target, 0) + 1
        found.append(own)
        owners.append(_owners(load, workers))
    steps = sorted({key for own in found for key in own})
    rows: list[tuple[int, int, int]] = []
    first = [0]
    for own, owner in zip(found, owners, strict=True):
        for key in steps:
            for worker in range(workers):
                rows += sorted(row for row in own.get(key, ()) if owner[row[0]] == worker)
                first.append(len(rows))
    return (
        tuple(AdjointStep(kernel, side, -minus) for minus, kernel, side in steps),
        _table(rows, 3),
        np.array(first, np.int64),
    )


def _owners(load: dict[int, int], workers: int) -> dict[int, int]:
    """Rows dealt to workers, the most work first to whoever has least."""
    total = [0] * workers
    owner: dict[int, int] = {}
    for target in sorted(load, key=lambda t: (-load[t], t)):
        worker = min(range(workers), key=lambda w: (total[w], w))
        owner[target] = worker
        total[worker] += load[target]
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
