"""Stage 4, forward mode: which tile values the functions of a centre are sums over, for every neighbour species."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from acegen.plan.design_blocks import NO_BLOCKS, make_blocks
from acegen.plan.design_types import DesignPattern, DesignTable
from acegen.plan.types import Plan
from acegen.potential import Bond, Centre
from acegen.program.types import Program

CHUNK = 24  # functions contracted before they are written to memory: their sums stay in the L1 cache


@dataclass(frozen=True, slots=True)
class Legs:
    """What every function of one centre is a sum over; those that are kept follow once more as rows of their own.

    A leg is (source, slot): a channel, with the slots of its 2l+1 components side by side, or one slot of the k-th
    kept function, numbered n_channels + k.
    """

    rows: list[list[tuple[int, int]]]  # legs of each
    slots: list[int]  # first slot of each row, one more at the end
    stages: list[list[int]]  # rows of the kept functions, those first that others of them are made of


@dataclass
class Tables:
    """Static arrays; equal ones are printed once (centres of a linear model share nearly all)."""

    cards: bool  # for CUDA
    blocks: bool  # functions side by side are looked at as well
    known: dict[tuple[str, bytes], DesignTable] = field(default_factory=dict)

    def add(self, stem: str, ctype: str, values: list[int] | list[float]) -> str:
        """Name of the array."""
        array = np.array(values, float if ctype == "real" else np.int64)
        key = (stem, array.tobytes())
        if key not in self.known:
            number = sum(name == stem for name, _ in self.known)
            self.known[key] = DesignTable(f"{stem}_{number}", ctype, array)
        return self.known[key].name


def _row_of(centre: Centre, bonds: tuple[Bond, ...], c: int, b: int) -> np.ndarray:
    """Coefficients of a channel over the primitives of the bond to species b; zero where it does not see b."""
    channel = centre.channels[c]
    row = np.asarray(channel.coefficients)
    if channel.neighbour == b:
        return row
    if channel.neighbour >= 0:
        return np.zeros(0)
    ends = np.cumsum([bond.n_primitives for bond in bonds])
    return np.asarray(np.split(row, ends[:-1])[b])


def _terms(centre: Centre, bonds: tuple[Bond, ...], program: Program, c: int, b: int) -> tuple[list[int], list[float]]:
    """R_c as a sum of radial functions that the edge stage leaves behind: (numbers, coefficients)."""
    l, leaf = centre.channels[c].l, program.leaf_offset[c]
    if leaf >= 0 and centre.channels[c].neighbour == b:
        for pool in program.pools:
            if (pool.neighbour, pool.l) == (b, l):
                for k in pool.primitives:
                    if pool.row(k) == leaf:
                        return [k], [1.0]
    row = _row_of(centre, bonds, c, b)
    chosen = np.flatnonzero(row)
    return chosen.tolist(), row[chosen].tolist()


def _without_gaps(rows: list[list[tuple[int, int]]], seen: set[int]) -> set[int]:
    """Sources that get tile values: those seen, and zeros between them, for the slots of a function are one run."""
    kept = set(seen)
    while True:
        before = len(kept)
        for legs in rows:
            inside = [k for k, (source, _) in enumerate(legs) if source in kept]
            kept |= {source for source, _ in legs[inside[0] : inside[-1] + 1]} if inside else set()
        if len(kept) == before:
            return kept


class _Amplitudes(NamedTuple):
    """Tile values that are derivatives of amplitudes: the radial functions of their channels."""

    first: dict[int, int]  # channel -> first tile value
    n_values: int
    n_scalars: int  # of degree 0
    channels: list[int]  # per channel: l, number of radial functions
    primitives: list[int]
    coefficients: list[float]


def _amplitudes(
    centre: Centre, bonds: tuple[Bond, ...], program: Program, legs: Legs, b: int, scalars_first: bool
) -> _Amplitudes:
    used = sorted({source for row in legs.rows for source, _ in row if source < len(centre.channels)})
    terms = {c: _terms(centre, bonds, program, c, b) for c in used}
    seen = _without_gaps(legs.rows, {c for c, (numbers, _) in terms.items() if numbers})
    first: dict[int, int] = {}
    n_values = 0
    channels: list[int] = []
    primitives: list[int] = []
    coefficients: list[float] = []
    for c in sorted(seen, key=lambda c: (scalars_first and centre.channels[c].l > 0, c)):
        numbers, values = terms[c]
        first[c] = n_values
        n_values += 2 * centre.channels[c].l + 1
        channels += [centre.channels[c].l, len(numbers)]
        primitives += numbers
        coefficients += values
    return _Amplitudes(
        first, n_values, sum(centre.channels[c].l == 0 for c in seen), channels, primitives, coefficients
    )


def make_pattern(
    plan: Plan,
    a: int,
    b: int,
    centre: Centre,
    bonds: tuple[Bond, ...],
    program: Program,
    legs: Legs,
    tables: Tables,
) -> DesignPattern:
    """What the functions of centre a see of neighbours b: tile values and, per function, the run of its slots."""
    n_channels, n_functions = len(centre.channels), len(centre.functions)
    amplitudes = _amplitudes(centre, bonds, program, legs, b, not tables.cards)
    value_of, n_values = dict(amplitudes.first), amplitudes.n_values  # source -> its first tile value
    groups = [list(range(f, min(f + CHUNK, n_functions))) for f in range(0, n_functions, CHUNK)]
    stages: list[list[int]] = []
    place = {row: k for group in groups for k, row in enumerate(group)}  # of the result of a row
    for stage in legs.stages:
        seen = [row for row in stage if any(source in value_of for source, _ in legs.rows[row])]
        for row in seen:
            value_of[n_channels + row - n_functions] = n_values
            place[row] = n_values - amplitudes.n_values
            n_values += 1
        stages += [seen] if seen else []
    groups += stages
    found: list[tuple[int, list[int]]] = []  # per row: its first slot, tile values of all its slots
    for row_legs, slot in zip(legs.rows, legs.slots, strict=False):
        run = [leg for leg in row_legs if leg[0] in value_of]
        widths = [2 * centre.channels[c].l + 1 if c < n_channels else 1 for c, _ in run]
        values = [value_of[c] + m for (c, _), width in zip(run, widths, strict=True) for m in range(width)]
        found.append((run[0][1] if run else slot, values))
    blocks = NO_BLOCKS
    if tables.blocks:
        rows_of = {row: value_of[n_channels + row - n_functions] for stage in stages for row in stage}
        blocks = make_blocks(found, n_functions, amplitudes.n_scalars, stages, rows_of)
    bond = next(bond for bond in plan.bonds if (bond.centre, bond.neighbour) == (a, b))
    return DesignPattern(
        neighbour=b,
        n_channels=len(amplitudes.channels) // 2,
        n_amplitudes=amplitudes.n_values,
        n_scalars=amplitudes.n_scalars,
        n_values=n_values,
        n_stages=len(stages),
        n_primitives=plan.edges[bond.edge].n_primitives if bond.edge >= 0 else 0,
        n_terms=sum(len(found[row][1]) for group in groups for row in group),
        channels=tables.add("CHANNELS", "uint16_t", amplitudes.channels),
        primitives=tables.add("PRIMITIVES", "uint16_t", amplitudes.primitives),
        coefficients=tables.add("COEFFICIENTS", "real", amplitudes.coefficients),
        blocks=blocks,
        **(_in_order_of_columns(found, legs, tables) if tables.cards else _in_chunks(found, groups, place, tables)),
    )


def _in_order_of_columns(found: list[tuple[int, list[int]]], legs: Legs, tables: Tables) -> dict[str, Any]:
    """For cards: one function after another."""
    sizes = [len(values) for _, values in found]
    starts = np.cumsum([0, *sizes]).tolist()
    functions = [n for (slot, _), start in zip(found, starts, strict=False) for n in (slot, start)]
    return {
        "functions": tables.add("FUNCTIONS", "uint32_t", [*functions, legs.slots[-1], starts[-1]]),
        "rows": tables.add("ROWS", "uint16_t", [value for _, values in found for value in values]),
    }


def _in_chunks(
    found: list[tuple[int, list[int]]], groups: list[list[int]], place: dict[int, int], tables: Tables
) -> dict[str, Any]:
    """For hosts: the rows of each group by their number of slots, then by their first tile value.

    A loop that runs as often as the last time is predicted by the processor: half the time of the contraction.  And
    where its tables are read one entry after another, addresses are known early: another quarter.  A first value that
    stays the same is read once.
    """
    order: list[int] = []
    runs: list[int] = []
    chunks: list[int] = []
    n_values = 0
    for group in [*groups, []]:
        chunks += [len(runs) // 2, len(order), n_values]
        by_slots: dict[tuple[int, int], list[int]] = {}
        for row in group:
            values = found[row][1]
            by_slots.setdefault((len(values), values[0] if len(values) > 1 else 0), []).append(row)
        for (count, _), rows in sorted(by_slots.items()):
            runs += [count, len(rows)]
            order += rows
            n_values += count * len(rows)
    return {
        "chunks": tables.add("CHUNKS", "uint32_t", chunks),
        "runs": tables.add("RUNS", "uint16_t", runs),
        "members": tables.add("MEMBERS", "uint32_t", [n for row in order for n in (found[row][0], place[row])]),
        "values": tables.add("VALUES", "uint16_t", [value for row in order for value in found[row][1]]),
    }
