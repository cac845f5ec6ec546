"""Jinja filters that print radial functions and core repulsion.

A family with transcendental functions is printed in two parts: the start (exp, sin, cos of every slot, then the few
quantities the recurrence begins with) and the ladder (the recurrence itself).  Run one after the other over a block
of slots, several slots of the same short part are under way at once; in one piece each slot waits for its own chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import sympy

from acegen.emit.printer import statements
from acegen.maths.derivative import in_order, prune
from acegen.maths.section import Assign, Section
from acegen.plan.types import RadialPlan

_ASSUMED = frozenset({"r", "rinv", "x", "dx", "inside"})
_INSIDE = sympy.Symbol("inside")
_LONGEST_START = 6  # quantities handed from the start to the ladder; more cost more than they save


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is printed: `start` is empty where the family is one piece; `handed` goes from one to the other."""

    start: tuple[Assign, ...]
    handed: tuple[sympy.Symbol, ...]
    ladder: tuple[Assign, ...]


def tabulated(plan: RadialPlan) -> bool:
    """Whether the functions come out of a table."""
    return any(symbol.name == "S_1" for symbol in plan.section.inputs)


def without_inverse(section: Section) -> Section:
    """1/r is an argument of the kernel's functions."""
    r, rinv = sympy.symbols("r rinv")
    body = tuple(a for a in section.body if not (a.target == rinv and a.value == 1 / r))
    return Section(section.title, section.formula, section.inputs, section.constants, body, section.outputs)


def rows(body: tuple[Assign, ...], names: tuple[str, ...], pointer: str, kind: str) -> list[str]:
    """Read those of the named numbers that the statements use."""
    used = {symbol.name for assign in body for symbol in assign.value.free_symbols}
    return [f"const {kind} {name} = {pointer}[{q}];" for q, name in enumerate(names) if name in used]


def start_size(plan: RadialPlan) -> int:
    """Number of vectors handed from the start to the ladder; 0: the family is one piece."""
    return len(_parts(plan).handed)


@lru_cache(maxsize=64)
def head_statements(plan: RadialPlan) -> tuple[str, ...]:
    """Body of a transform r -> x, dx/dr."""
    if plan.head_gradient is None:
        return ()
    section = without_inverse(prune(plan.head_gradient))
    # the outputs are called x and dx like the arguments to store to: rename the inner ones
    inner = {sympy.Symbol("x"): sympy.Symbol("value"), sympy.Symbol("dx"): sympy.Symbol("slope")}
    body = tuple(Assign(inner.get(a.target, a.target), a.value.xreplace(inner), a.comment) for a in section.body)
    lines = rows(body, plan.head_constants, "bond", "real")
    targets = {"value": "*x", "slope": "*dx"}
    return (*lines, *statements(_with_body(section, body), "lanes", frozenset({"r", "rinv"}), targets))


@lru_cache(maxsize=64)
def start_statements(plan: RadialPlan) -> tuple[str, ...]:
    """Body of the start."""
    parts = _parts(plan)
    targets = {symbol.name: f"start[{q}]" for q, symbol in enumerate(parts.handed)}
    lines = rows(parts.start, plan.constants, "bond", "real")
    return (*lines, *statements(_with_body(plan.gradient, parts.start), "lanes", _ASSUMED, targets))


@lru_cache(maxsize=64)
def radial_statements(plan: RadialPlan) -> tuple[str, ...]:
    """Body of the ladder, or of the whole function: constants, formulas, outputs where they are known."""
    parts = _parts(plan)
    lines = rows(parts.ladder, plan.constants, "bond", "real")
    lanes = {*_ASSUMED, *(symbol.name for symbol in parts.handed)}
    if tabulated(plan):
        for pointer in ("S", "dS"):
            names = tuple(f"{pointer}_{k + 1}" for k in range(plan.size))
            lines += rows(parts.ladder, names, pointer, "vec")
            lanes |= set(names)
    lines += [f"const vec {symbol.name} = start[{q}];" for q, symbol in enumerate(parts.handed)]
    targets = _targets(plan)
    lines += [f"{targets[s.name]} = {s.name};" for s in parts.handed if s.name in targets]
    return (*lines, *statements(_with_body(plan.gradient, parts.ladder), "lanes", frozenset(lanes), targets))


@lru_cache(maxsize=64)
def series_statements(section: Section) -> tuple[str, ...]:
    """Body of a sum of radial functions."""
    lines = rows(section.body, tuple(symbol.name for symbol in section.inputs), "seeds", "vec")
    lines += rows(section.body, tuple(symbol.name for symbol in section.constants), "c", "real")
    # the outputs are called like the arguments to store to: rename the inner ones
    inner = {symbol: sympy.Symbol(f"{symbol.name}_r") for symbol in section.outputs}
    body = tuple(Assign(inner.get(a.target, a.target), a.value, a.comment) for a in section.body)
    targets = {inner[symbol].name: f"*{symbol.name}" for symbol in section.outputs}
    lanes = frozenset(symbol.name for symbol in section.inputs)
    return (*lines, *statements(_with_body(section, body), "lanes", lanes, targets))


def _targets(plan: RadialPlan) -> dict[str, str]:
    """Where each value and slope is stored."""
    values, slopes = plan.gradient.outputs[: plan.size], plan.gradient.outputs[plan.size :]
    scalar = plan.size == 1 and values[0].name == "core"
    return {
        symbol.name: f"*{name}" if scalar else f"{name}[{k}]"
        for name, outputs in (("g", values), ("dg", slopes))
        for k, symbol in enumerate(outputs)
    }


def _with_body(section: Section, body: tuple[Assign, ...]) -> Section:
    return Section(section.title, section.formula, section.inputs, section.constants, body, section.outputs)


@lru_cache(maxsize=64)
def _parts(plan: RadialPlan) -> _Parts:
    section = without_inverse(prune(plan.gradient))
    seeds = _seeds(section)
    section = _masked(section, seeds or section.outputs)
    pairs = zip(section.outputs[: plan.size], section.outputs[plan.size :], strict=True)
    section = in_order(section, [symbol for pair in pairs for symbol in pair])
    slow = any(a.value.has(sympy.exp, sympy.sin, sympy.cos) or _divides(a.value) for a in section.body)
    parts = _split(section.body, seeds)
    return parts if seeds and slow and len(parts.handed) <= _LONGEST_START else _Parts((), (), section.body)


def _divides(value: sympy.Expr) -> bool:
    """Divisions and powers that are not products."""
    return any(not power.exp.is_Integer or power.exp < 0 for power in value.atoms(sympy.Pow))


def _seeds(section: Section) -> tuple[sympy.Symbol, ...]:
    """The last quantity, and its slope, of which every output is a multiple; none where there is no such quantity.

    A recurrence is linear in its first member: masked there, it is exactly zero outside in all members.
    """
    if len(section.outputs) <= 2:
        return ()
    for assign in reversed(section.body):
        slope = sympy.Symbol(f"d{assign.target.name}")
        dead = {assign.target: sympy.Integer(0), slope: sympy.Integer(0)}
        for other in section.body:
            if other.target not in dead and dead.keys() & other.value.free_symbols and other.value.xreplace(dead) == 0:
                dead[other.target] = sympy.Integer(0)
        if all(output in dead for output in section.outputs):
            return assign.target, slope
    return ()


def _masked(section: Section, masked: tuple[sympy.Symbol, ...]) -> Section:
    """`masked` are kept where the mask `inside` is set, and zero elsewhere."""
    keep = sympy.Function("keep")
    return _with_body(
        section,
        tuple(Assign(a.target, keep(_INSIDE, a.value), a.comment) if a.target in masked else a for a in section.body),
    )


def _split(body: tuple[Assign, ...], seeds: tuple[sympy.Symbol, ...]) -> _Parts:
    """The ladder is all that depends on the seeds; the start all that does not, and the seeds themselves."""
    moving = set(seeds)
    late: set[sympy.Symbol] = set()
    for assign in body:
        if assign.target not in seeds and moving & assign.value.free_symbols:
            late.add(assign.target)
            moving.add(assign.target)
    lanes = _lane_symbols(body)
    while True:
        handed = _handed(body, late, lanes)
        # what follows from other quantities that are handed over anyway is computed again in the ladder
        cheap = [
            a.target for a in body
            if a.target in handed and a.target not in seeds and a.value.free_symbols & lanes <= set(handed) - {a.target}
        ]  # fmt: skip
        cheap = cheap[-1:] or _many_of_few(body, handed, seeds, lanes)
        if not cheap:
            break
        late.update(cheap)
    start = tuple(a for a in body if a.target not in late)
    plain = {a.target for a in body} - lanes  # numbers of the bond: where they are wanted
    ladder = tuple(a for a in body if a.target in late or a.target in plain)
    return _Parts(start, tuple(handed), ladder)


def _many_of_few(
    body: tuple[Assign, ...], handed: list[sympy.Symbol], seeds: tuple[sympy.Symbol, ...], lanes: set[sympy.Symbol]
) -> list[sympy.Symbol]:
    """Quantities that follow from fewer others, as all A_k x + B_k from x: these are handed over in their stead."""
    groups: dict[frozenset[sympy.Symbol], list[sympy.Symbol]] = {}
    for a in body:
        if a.target in handed and a.target not in seeds:
            groups.setdefault(frozenset(a.value.free_symbols & lanes), []).append(a.target)
    for sources, group in groups.items():
        if len(sources - set(handed)) < len(group):
            return group
    return []


def _handed(body: tuple[Assign, ...], late: set[sympy.Symbol], lanes: set[sympy.Symbol]) -> list[sympy.Symbol]:
    needed = {symbol for a in body if a.target in late for symbol in a.value.free_symbols}
    return [a.target for a in body if a.target in needed & lanes and a.target not in late]


def _lane_symbols(body: tuple[Assign, ...]) -> set[sympy.Symbol]:
    lanes = {sympy.Symbol(name) for name in _ASSUMED}
    for assign in body:
        if assign.value.free_symbols & lanes:
            lanes.add(assign.target)
    return lanes
