"""Stage 4, forward mode: tables for dB_f/dA_v of every basis function and for dA_v/dr_ij of every neighbour.

A function f depends on the amplitudes v = (channel, m) of its channels only: its *slots*, where

    J_fv = dB_f/dA_v      once per centre, by the adjoint of the products that f is made of
    D_v  = dA_v/dr_ij     once per neighbour (or per sum over neighbours), a row of tile values
    dB_f/dr_ij = sum_v J_fv D_v

On hosts, a function that is a shorter one times an amplitude has two slots, that amplitude and the shorter one, whose
gradient is then a tile value as well: *kept*.  Everything below says where those numbers are; the mathematics is that
of the program (acegen.program).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from acegen.plan.design_blocks import BLOCK, Block
from acegen.plan.design_patterns import CHUNK, Legs, Tables, make_pattern
from acegen.plan.design_products import Operations, Products
from acegen.plan.design_shorter import Shorter, levels, shorter_functions
from acegen.plan.design_types import DesignCentre, DesignPlan
from acegen.plan.plan import make_plan
from acegen.plan.types import Plan, Target
from acegen.potential import Bond, Centre, Embedding, Potential
from acegen.program.types import Program

_LINE = 8  # numbers of a line of the caches
_FEW_SLOTS = 3.0  # of a function, on average
_FEW_FOURS = 1.4  # a function: gradients take 0.6 to 0.8 of the time of tiles up to 1.3, as much at 1.5, more from 2 on
_MOST_BLOCKS = 1000  # printed: gcc takes 2.5 ms for each
_MOST_FOURS = 512  # of a centre, half of the L1 cache: no gain from about 800 on, and the text grows with them
_MOST_VALUES = 65535  # of a tile: their numbers are 16 bits wide
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


def make_design(
    twin: Potential, programs: tuple[Program, ...], command: str, templates: str, *, cards: bool = False
) -> DesignPlan:
    """Lay out the forward-mode kernel of `linear_twin` and its programs.

    Args:
        twin: the bare basis.
        programs: of its centres, in the coupled form.
        command, templates: as the head of the source names them.
        cards: for CUDA, where every function is a sum over amplitudes and goes to its column at once.
    """
    plan = make_plan(twin, programs, Target(products=_LOOPED), command, templates)
    shapes = tuple(
        replace(shape, steps=tuple(replace(step, loop=True) for step in shape.steps)) for shape in plan.shapes
    )
    plan = replace(plan, shapes=shapes)
    least = min(len(centre.functions) for centre in twin.centres)
    tables = Tables(cards, blocks=not cards and least >= BLOCK)
    centres, column, first_pair = [], 0, sum(_many_body(centre) for centre in twin.centres)
    for a, (centre, program) in enumerate(zip(twin.centres, programs, strict=True)):
        centres.append(_centre(plan, a, centre, twin.bonds[a], program, tables, (column, first_pair)))
        column += _many_body(centre)
        first_pair += len(centre.functions) - _many_body(centre)
    gradients: list[tuple[Block, ...]] = []
    if tables.blocks and _by_functions(centres):
        centres = [_with_gradients(centre, tables, gradients) for centre in centres]
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
        n_scalars=max(pattern.n_scalars for centre in centres for pattern in centre.patterns),
        n_vectors=max(pattern.n_values - pattern.n_scalars for centre in centres for pattern in centre.patterns),
        n_fours=max(map(_n_fours, centres)),
        gradients=tuple(gradients),
    )


def _by_functions(centres: list[DesignCentre]) -> bool:
    """Whether gradients of functions side by side take less time than those of neighbours side by side."""
    patterns = [(centre, pattern) for centre in centres for pattern in centre.patterns if pattern.n_amplitudes]
    shares = [pattern.blocks.n_fours / centre.n_functions for centre, pattern in patterns]
    printed = {pattern.blocks.blocks for _, pattern in patterns}
    if not shares or max(map(_n_fours, centres)) > _MOST_FOURS or sum(map(len, printed)) > _MOST_BLOCKS:
        return False
    return float(np.mean(shares)) < _FEW_FOURS


def _n_fours(centre: DesignCentre) -> int:
    return sum(pattern.blocks.n_fours for pattern in centre.patterns)


def _with_gradients(centre: DesignCentre, tables: Tables, gradients: list[tuple[Block, ...]]) -> DesignCentre:
    """With tables for functions side by side; equal ones are one function of the kernel."""
    patterns, first = [], 0
    for pattern in centre.patterns:
        blocks = pattern.blocks
        if blocks.n_fours:
            if blocks.blocks not in gradients:
                gradients.append(blocks.blocks)
            pattern = replace(
                pattern,
                gradients=gradients.index(blocks.blocks),
                places=tables.add("PLACES", "uint32_t", [n for place in blocks.places for n in place]),
                first_four=first,
            )
        first += blocks.n_fours
        patterns.append(pattern)
    return replace(centre, patterns=tuple(patterns))


def _early_lines(centres: list[DesignCentre]) -> int:
    """All lines of a chunk where sums take most of the time, one where writing does; measured at 6, 5 and 1 slots."""
    slots = [pattern.n_terms / max(centre.n_functions, 1) for centre in centres for pattern in centre.patterns]
    return CHUNK // _LINE if float(np.mean(slots)) > _FEW_SLOTS else 1


def _many_body(centre: Centre) -> int:
    return sum(not function.pair for function in centre.functions)


def _centre(
    plan: Plan,
    a: int,
    centre: Centre,
    bonds: tuple[Bond, ...],
    program: Program,
    tables: Tables,
    columns: tuple[int, int],
) -> DesignCentre:
    shorter = {} if tables.cards else shorter_functions(centre)
    if sum(2 * channel.l + 1 for channel in centre.channels) + len(shorter) > _MOST_VALUES:
        shorter = {}
    kept = levels(shorter)
    products = Products(centre, program, [kernel.name for kernel in plan.kernels], plan.max_components)
    found = Operations()
    n_functions, first_kept = len(centre.functions), len(centre.channels)
    source = {g: first_kept + k for k, g in enumerate(kept)}
    rows: list[list[tuple[int, int]]] = []
    for f in range(n_functions):
        if f in kept:  # the kept gradient as it is
            rows.append([(source[f], found.slots[-1])])
            found.constant(1.0)
        else:
            rows.append(_add(found, products, f, shorter, source))
    rows += [_add(found, products, g, shorter, source) for g in kept]
    stages: list[list[int]] = [[] for _ in range(max(kept.values(), default=-1) + 1)]
    for k, level in enumerate(kept.values()):
        stages[level].append(n_functions + k)
    legs = Legs(rows, found.slots, stages)
    return DesignCentre(
        index=a,
        n_functions=n_functions,
        n_kept=len(kept),
        n_many_body=_many_body(centre),
        first_column=columns[0],
        first_pair_column=columns[1],
        n_slots=found.slots[-1],
        n_buffer=found.largest,
        operations=tables.add("OPERATIONS", "uint32_t", found.integers),
        numbers=tables.add("FACTORS", "real", found.numbers),
        first=tables.add("FIRST_OPERATION", "uint32_t", found.first),
        slots=tables.add("SLOTS", "uint32_t", found.slots),
        patterns=tuple(make_pattern(plan, a, b, centre, bonds, program, legs, tables) for b in range(len(bonds))),
    )


def _add(
    found: Operations, products: Products, f: int, shorter: dict[int, Shorter], source: dict[int, int]
) -> list[tuple[int, int]]:
    """Operations of one function; its legs: (source, slot)."""
    base = found.slots[-1]
    if f in shorter:
        entry = shorter[f]
        products.add_shorter(found, entry)
        return [(entry.channel, base), (source[entry.function], base + 1)]
    return [(c, base + start) for c, start in products.add_function(found, f).items()]
