"""Jinja filters: numbers and tables to C text. Layout only, no mathematics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from acegen.emit.printer import number, real
from acegen.emit.radial import head_statements, radial_statements, start_statements, tabulated
from acegen.plan.types import BondPlan, Plan, PoolTile, Row, ShapePlan, TablePlan

_WIDTH = 100
_VECTOR = 16  # lanes of the widest vectors
_FEW = 3  # functions of a table that are read power by power


def fill(items: Iterable[str], indent: str = "    ") -> str:
    """Comma-separated items on lines of at most 100 columns, no trailing comma."""
    lines: list[str] = []
    current = indent
    for item in items:
        piece = item + ", "
        if len(current) + len(piece) > _WIDTH + 1 and current.strip():
            lines.append(current.rstrip())
            current = indent
        current += piece
    lines.append(current.rstrip())
    return "\n".join(lines).rstrip(",")


def table(values: Sequence[float] | np.ndarray) -> str:
    """Kernel numbers, filled lines."""
    return fill(real(float(v)) for v in np.ravel(np.asarray(values)))


def integers(values: Any) -> str:
    """Integers, filled lines."""
    return fill(str(int(v)) for v in np.ravel(np.asarray(values)))


def doubles(values: Sequence[float]) -> str:
    """Doubles on one line."""
    return ", ".join(number(v) for v in values)


def padded(values: np.ndarray) -> str:
    """Rows of a lookup table; whole vectors are read, so the last row is followed by zeros."""
    return table(np.append(np.ravel(values), np.zeros(_VECTOR)))


def padded_size(values: np.ndarray) -> int:
    """Number of entries of `padded`."""
    return int(values.size) + _VECTOR


def few(size: int) -> bool:
    """Tables of few functions: the powers of one function are neighbours in memory."""
    return size <= _FEW


def row_length(degree: int) -> int:
    """Numbers kept for the degree + 1 coefficients of one function: whole 16 bytes."""
    return -(-(degree + 1) // 4) * 4


def table_rows(t: TablePlan) -> np.ndarray:
    """Coefficients in the order in which the lookup reads them."""
    if not few(t.size):
        return t.values
    rows = np.zeros((len(t.values), t.size, row_length(t.degree)))
    rows[:, :, : t.degree + 1] = np.swapaxes(t.values, 1, 2)
    return rows


def table_shapes(tables: Sequence[TablePlan]) -> list[tuple[int, int]]:
    """Distinct (degree, size)."""
    return sorted({(t.degree, t.size) for t in tables})


def home(t: TablePlan) -> int:
    """The segment around two thirds of the range, where most neighbours are."""
    start, inverse, bins, _ = t.segments[-1]
    middle = t.segments[0][0] + 2 / 3 * (start + bins / inverse - t.segments[0][0])
    return max(q for q, segment in enumerate(t.segments) if q == 0 or segment[0] <= middle)


def _constant(constants: tuple[tuple[float, str], ...], index: int) -> str:
    """Name of a tensor constant; 1 needs none."""
    return "" if constants[index][1] == "1" else f"c{_numbers(constants)[index]}"


def _numbers(constants: tuple[tuple[float, str], ...]) -> dict[int, int]:
    named = [q for q, (_, text) in enumerate(constants) if text != "1"]
    return {q: n for n, q in enumerate(named)}


def _signed(parts: list[tuple[int, str]]) -> str:
    """Sum of signed terms, the leading sign written only when negative."""
    if not parts:
        return "(vec){0}"
    out = ""
    for q, (sign, text) in enumerate(parts):
        out += ("-" if sign < 0 else "") + text if q == 0 else (" - " if sign < 0 else " + ") + text
    return out


def named_constants(constants: tuple[tuple[float, str], ...]) -> list[tuple[str, float, str]]:
    """(name, value, exact text) of the constants that need a name."""
    return [(f"c{n}", constants[q][0], constants[q][1]) for q, n in _numbers(constants).items()]


def products(terms: tuple[tuple[int, int, int, int], ...], constants: tuple[tuple[float, str], ...]) -> str:
    """One result of a product kernel: sum of +-c p_ij."""
    parts = []
    for i, j, c, sign in terms:
        name = _constant(constants, c)
        parts.append((sign, f"{name} * p{i}_{j}" if name else f"p{i}_{j}"))
    return _signed(parts)


def slopes(terms: tuple[tuple[int, int, int], ...], constants: tuple[tuple[float, str], ...]) -> str:
    """Adjoint of one product p_ij: sum of +-c g[out]."""
    parts = []
    for out, c, sign in terms:
        name = _constant(constants, c)
        parts.append((sign, f"{name} * g[{out}]" if name else f"g[{out}]"))
    return _signed(parts)


def select_first(pairs: Sequence[tuple[int, int]], i: int) -> list[int]:
    """Partners of x_i."""
    return [q for p, q in pairs if p == i]


def select_second(pairs: Sequence[tuple[int, int]], j: int) -> list[int]:
    """Partners of y_j."""
    return [p for p, q in pairs if q == j]


def terms(row: Row, density: int, component: int) -> str:
    """Right-hand side of one unrolled row; long sums in groups, so that chains stay short."""
    pieces = [f"c[{c + density}] * X[{column + component}]" for c, column in row.terms]
    groups = [pieces[q : q + 4] for q in range(0, len(pieces), 4)]
    if len(groups) == 1:
        return " + ".join(pieces)
    joined = "\n        + ".join("(" + " + ".join(group) + ")" for group in groups)
    return joined


def folds(plan: Plan) -> bool:
    """Whether any order-1 part is summed in a table."""
    return any(shape.folded for shape in plan.shapes)


def has_committee(plan: Plan) -> bool:
    """Whether site energies are linear in the coefficients and nothing else adds to them: then many sets may share."""
    return not embedded(plan) and not plan.cores and plan.switching == "none"


def embedded(plan: Plan) -> bool:
    """Whether any species has an embedding other than F = rho."""
    return not all(centre.unit for centre in plan.centres)


def uses(plan: Plan, name: str) -> bool:
    """Whether any radial or core function calls `name`; the functions of vec_pow and vec_sin call others."""
    implied = {
        "vec_sin_cos": ("vec_sin_cos", "vec_sin_cos_beyond", "vec_sin", "vec_cos"),
        "vec_exp": ("vec_exp", "vec_pow"),
        "ROUNDER": ("vec_exp", "vec_pow"),
    }
    functions = (radial_statements, start_statements, head_statements)
    seeds = (series.seeds for series in plan.series)
    lines = [line for f in (*plan.radials, *plan.cores, *seeds) for body in functions for line in body(f)]
    return any(f"{word}(" in line for line in lines for word in implied.get(name, (name,)))


def index_bits(plan: Plan) -> int:
    """Narrowest unsigned type that holds every component offset."""
    return 16 if plan.max_components < 65536 else 32


def tile_shapes(shape: ShapePlan) -> list[tuple[int, int]]:
    """Distinct (rows, components)."""
    return sorted({(t.rows, t.components) for t in shape.tiles})


def pool_shapes(plan: Plan) -> list[tuple[int, int]]:
    """Distinct (rows, columns) of the pooling tiles."""
    return sorted({(t.rows, t.columns) for e in plan.edges for t in e.tiles})


def table_number(radials: Sequence[tuple[int, int, int, int]], plan: Plan, position: int) -> int:
    """Which of a bond's tables the family at `position` reads."""
    return sum(tabulated(plan.radials[index]) for index, *_ in radials[:position])


def harmonic_start(tile: PoolTile, block: int) -> int:
    """Where the harmonics of a tile start in Y[l][slot][2l+1]."""
    return tile.l**2 * block + tile.harmonic - tile.l**2


def combination_shapes(plan: Plan) -> list[int]:
    """Distinct numbers of rows of the combinations."""
    return sorted({c.rows for e in plan.edges for c in e.combinations})


def contraction_shapes(plan: Plan) -> list[tuple[int, int]]:
    """Distinct contractions: number of columns, and the first column with an angular part (1 if l = 0 comes first)."""
    return sorted({(t.columns, int(t.harmonic == 0)) for e in plan.edges for t in e.contractions})


def mix_shapes(plan: Plan) -> list[int]:
    """Distinct row lengths of the mixing."""
    return sorted({mix.components for centre in plan.centres for mix in centre.mixes})


def harmonic_degrees(plan: Plan) -> list[int]:
    """Every l_max an edge function needs."""
    return sorted({e.l_max for e in plan.edges if e.tiles})


def of_centre(bonds: Sequence[BondPlan], centre: int) -> list[BondPlan]:
    """Bonds of one centre species."""
    return [bond for bond in bonds if bond.centre == centre]


def ampersands(names: Sequence[str]) -> str:
    """Addresses."""
    return ", ".join(f"&{name}" for name in names)
