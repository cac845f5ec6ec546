"""Stage 4, forward mode: tables for dB_f/dA_v of every basis function and for dA_v/dr_ij of every neighbour.

A function f depends on the amplitudes v = (channel, m) of its channels only: its *slots*, where

    J_fv = dB_f/dA_v      once per centre, by the adjoint of the products that f is made of
    D_v  = dA_v/dr_ij     once per neighbour (or per sum over neighbours), a row of tile values
    dB_f/dr_ij = sum_v J_fv D_v

Everything below says where those numbers are; the mathematics is that of the program (acegen.program).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from acegen.plan.design_products import Operations, add_function, entries_of, nodes_of
from acegen.plan.design_types import DesignCentre, DesignPattern, DesignPlan, DesignTable
from acegen.plan.plan import make_plan
from acegen.plan.types import Plan, Target
from acegen.potential import Bond, Centre, Embedding, Potential
from acegen.program.types import Program

CHUNK = 24  # functions contracted before they are written to memory: their sums stay in the L1 cache
_LINE = 8  # numbers of a line of the caches
_FEW_SLOTS = 3.0  # of a function, on average
_LOOPED = "unrolled"  # nothing of the bilinear form is printed: take the layout that is planned fastest


def linear_twin(potential: Potential) -> Potential:
    """The same basis without what B does not depend on: weights, embedding, core repulsion, reference energies."""
    bonds = tuple(tuple(replace(bond, core=None, switch_window=(0.0, 0.0)) for bond in row) for row in potential.bonds)
    centres = tuple(
        replace(
            centre,
            e0=0.0,
            weights=np.zeros((len(centre.functions), 1)),
            embedding=Embedding("linear"),
            core_cutoff=0.0,
            core_width=0.0,
        )
        for centre in potential.centres
    )
    return replace(potential, bonds=bonds, centres=centres, switching="none")


def make_design(twin: Potential, programs: tuple[Program, ...], command: str, templates: str) -> DesignPlan:
    """Lay out the forward-mode kernel of `linear_twin` and its programs."""
    plan = make_plan(twin, programs, Target(products=_LOOPED), command, templates)
    shapes = tuple(
        replace(shape, steps=tuple(replace(step, loop=True) for step in shape.steps)) for shape in plan.shapes
    )
    plan = replace(plan, shapes=shapes)
    names = [kernel.name for kernel in plan.kernels]
    tables = _Tables()
    centres, column, first_pair = [], 0, sum(_many_body(centre) for centre in twin.centres)
    for a, (centre, program) in enumerate(zip(twin.centres, programs, strict=True)):
        centres.append(_centre(plan, a, centre, twin.bonds[a], program, names, tables, (column, first_pair)))
        column += _many_body(centre)
        first_pair += len(centre.functions) - _many_body(centre)
    return DesignPlan(
        plan=plan,
        tables=tuple(tables.known.values()),
        chunk=CHUNK,
        early_lines=_early_lines(centres),
        centres=tuple(centres),
        n_parameters=first_pair,
        n_slots=max(centre.n_slots for centre in centres),
        n_buffer=max(centre.n_buffer for centre in centres),
        n_values=max(pattern.n_values for centre in centres for pattern in centre.patterns),
    )


def _early_lines(centres: list[DesignCentre]) -> int:
    """All lines of a chunk where sums take most of the time, one where writing does; measured at 6, 5 and 1 slots."""
    slots = [pattern.n_terms / max(centre.n_functions, 1) for centre in centres for pattern in centre.patterns]
    return CHUNK // _LINE if float(np.mean(slots)) > _FEW_SLOTS else 1


def _many_body(centre: Centre) -> int:
    return sum(not function.pair for function in centre.functions)


@dataclass
class _Tables:
    """Static arrays; equal ones are printed once (centres of a linear model share nearly all)."""

    known: dict[tuple[str, bytes], DesignTable] = field(default_factory=dict)

    def add(self, stem: str, ctype: str, values: list[int] | list[float]) -> str:
        array = np.array(values, float if ctype == "real" else np.int64)
        key = (stem, array.tobytes())
        if key not in self.known:
            number = sum(name == stem for name, _ in self.known)
            self.known[key] = DesignTable(f"{stem}_{number}", ctype, array)
        return self.known[key].name


def _centre(
    plan: Plan,
    a: int,
    centre: Centre,
    bonds: tuple[Bond, ...],
    program: Program,
    kernels: list[str],
    tables: _Tables,
    columns: tuple[int, int],
) -> DesignCentre:
    nodes = nodes_of(program, kernels)
    entries = entries_of(program)
    found = Operations()
    legs: list[list[tuple[int, int]]] = []  # per function: (channel, slot)
    for f, function in enumerate(centre.functions):
        channels = sorted(set(function.channels), key=lambda c: (centre.channels[c].neighbour, c))
        base, local = found.slots[-1], {}
        size = 0
        for c in channels:
            local[c] = size
            size += 2 * centre.channels[c].l + 1
        legs.append([(c, base + local[c]) for c in channels])
        found.slots.append(base + size)
        found.first += [len(found.integers), len(found.numbers)]
        if len(function.channels) == 1:
            found.integers += [size, size, 1, 0, 0]
            found.numbers.append(float(np.sum(function.coefficients)))
        else:
            add_function(found, centre, program, nodes, entries[f], local, size)
    patterns = [_pattern(plan, a, b, centre, bonds, program, legs, found.slots, tables) for b in range(len(bonds))]
    return DesignCentre(
        index=a,
        n_functions=len(centre.functions),
        n_many_body=_many_body(centre),
        first_column=columns[0],
        first_pair_column=columns[1],
        n_slots=found.slots[-1],
        n_buffer=found.largest,
        operations=tables.add("OPERATIONS", "uint32_t", found.integers),
        numbers=tables.add("FACTORS", "real", found.numbers),
        first=tables.add("FIRST_OPERATION", "uint32_t", found.first),
        slots=tables.add("SLOTS", "uint32_t", found.slots),
        patterns=tuple(patterns),
    )


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


def _without_gaps(legs: list[list[tuple[int, int]]], seen: set[int]) -> set[int]:
    """Channels that get rows of D: those seen, and zeros between them, for the slots of a function are one run."""
    kept = set(seen)
    while True:
        before = len(kept)
        for function in legs:
            inside = [k for k, (c, _) in enumerate(function) if c in kept]
            kept |= {c for c, _ in function[inside[0] : inside[-1] + 1]} if inside else set()
        if len(kept) == before:
            return kept


def _pattern(
    plan: Plan,
    a: int,
    b: int,
    centre: Centre,
    bonds: tuple[Bond, ...],
    program: Program,
    legs: list[list[tuple[int, int]]],
    slots: list[int],
    tables: _Tables,
) -> DesignPattern:
    """What the functions of centre a see of neighbours b: rows of D and, per function, the run of its slots."""
    channels: list[int] = []
    primitives: list[int] = []
    coefficients: list[float] = []
    row_of: dict[int, int] = {}
    n_values = 0
    terms = {c: _terms(centre, bonds, program, c, b) for c in sorted({c for function in legs for c, _ in function})}
    kept = _without_gaps(legs, {c for c, (numbers, _) in terms.items() if numbers})
    for c, (numbers, values) in terms.items():
        if c not in kept:
            continue
        l = centre.channels[c].l
        row_of[c] = n_values
        n_values += 2 * l + 1
        channels += [l, len(numbers)]
        primitives += numbers
        coefficients += values
    found: list[tuple[int, list[int]]] = []  # per function: its first slot, rows of D of all its slots
    for f, function in enumerate(legs):
        seen = [(c, slot) for c, slot in function if c in row_of]
        rows = [row_of[c] + m for c, _ in seen for m in range(2 * centre.channels[c].l + 1)]
        found.append((seen[0][1] if seen else slots[f], rows))
    sizes = [len(rows) for _, rows in found]
    functions = [n for (slot, _), row in zip(found, np.cumsum([0, *sizes]), strict=False) for n in (slot, int(row))]
    order = _order(sizes)
    bond = next(bond for bond in plan.bonds if (bond.centre, bond.neighbour) == (a, b))
    return DesignPattern(
        neighbour=b,
        n_channels=len(channels) // 2,
        n_values=n_values,
        n_primitives=plan.edges[bond.edge].n_primitives if bond.edge >= 0 else 0,
        n_terms=sum(sizes),
        channels=tables.add("CHANNELS", "uint16_t", channels),
        primitives=tables.add("PRIMITIVES", "uint16_t", primitives),
        coefficients=tables.add("COEFFICIENTS", "real", coefficients),
        chunks=tables.add("CHUNKS", "uint32_t", order.chunks),
        runs=tables.add("RUNS", "uint16_t", order.runs),
        members=tables.add("MEMBERS", "uint32_t", [n for f in order.functions for n in (found[f][0], f % CHUNK)]),
        values=tables.add("VALUES", "uint16_t", [row for f in order.functions for row in found[f][1]]),
        functions=tables.add("FUNCTIONS", "uint32_t", [*functions, slots[-1], sum(sizes)]),
        rows=tables.add("ROWS", "uint16_t", [row for _, rows in found for row in rows]),
    )


class _Order(NamedTuple):
    """The functions in the order of their contraction: inside a chunk by their number of slots."""

    functions: list[int]
    runs: list[int]  # per run of functions of one number of slots: that, how many
    chunks: list[int]  # per chunk: its first run, function of the order and row; one more at the end


def _order(n_slots: list[int]) -> _Order:
    """Contraction order of functions of so many slots.

    A loop that runs as often as the last time is predicted by the processor: half the time of the contraction.  And
    where its tables are read one entry after another, addresses are known early: another quarter.
    """
    order = _Order([], [], [])
    n_rows = 0
    for start in range(0, len(n_slots), CHUNK):
        order.chunks.extend((len(order.runs) // 2, len(order.functions), n_rows))
        members: dict[int, list[int]] = {}
        for f in range(start, min(start + CHUNK, len(n_slots))):
            members.setdefault(n_slots[f], []).append(f)
        for count in sorted(members):
            order.runs.extend((count, len(members[count])))
            order.functions.extend(members[count])
            n_rows += count * len(members[count])
    order.chunks.extend((len(order.runs) // 2, len(order.functions), n_rows))
    return order
