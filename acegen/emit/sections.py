"""Jinja filters that print Sections: radial functions, harmonics, embedding."""

from __future__ import annotations

from functools import lru_cache

import sympy

from acegen.emit.printer import Printer, statements
from acegen.maths.derivative import prune
from acegen.maths.harmonics import harmonics_section
from acegen.maths.section import Assign, Section
from acegen.plan.types import RadialPlan
from acegen.program.types import component

_ASSUMED = frozenset({"r", "rinv", "x", "dx"})


def _without_inverse(section: Section) -> Section:
    """1/r is an argument of the kernel's functions."""
    r, rinv = sympy.symbols("r rinv")
    body = tuple(a for a in section.body if not (a.target == rinv and a.value == 1 / r))
    return Section(section.title, section.formula, section.inputs, section.constants, body, section.outputs)


def _used(section: Section) -> set[str]:
    names = {s.name for a in section.body for s in a.value.free_symbols}
    return names | {s.name for s in section.outputs}


def _rows(section: Section, names: tuple[str, ...], pointer: str, kind: str) -> list[str]:
    used = _used(section)
    return [f"const {kind} {n} = {pointer}[{q}];" for q, n in enumerate(names) if n in used]


def tabulated(plan: RadialPlan) -> bool:
    """Whether the functions come out of a table."""
    return any(symbol.name == "S_1" for symbol in plan.section.inputs)


def radial_statements(plan: RadialPlan, gradient: bool) -> list[str]:
    """Body of a radial function: constants, formulas, masked outputs."""
    section = _without_inverse(prune(plan.gradient if gradient else plan.section))
    lines = _rows(section, plan.constants, "bond", "real")
    lanes = set(_ASSUMED)
    if tabulated(plan):
        columns = tuple(f"S_{k + 1}" for k in range(plan.size))
        slopes = tuple(f"dS_{k + 1}" for k in range(plan.size))
        lines += _rows(section, columns, "S", "vec")
        lines += _rows(section, slopes, "dS", "vec") if gradient else []
        lanes |= {*columns, *slopes}
    values, derivatives = section.outputs[: plan.size], section.outputs[plan.size :]
    lines += statements(section, "lanes", frozenset(lanes))
    printer = Printer("lanes", frozenset(_lane_names(section, lanes)))
    scalar = plan.size == 1 and values[0].name == "core"
    for name, outputs in (("g", values), ("dg", derivatives)):
        for k, symbol in enumerate(outputs):
            target = f"*{name}" if scalar else f"{name}[{k}]"
            lines.append(f"{target} = vec_keep(inside, {printer(symbol, as_lane=True)});")
    return lines


def _lane_names(section: Section, start: set[str]) -> set[str]:
    lanes = set(start)
    for assign in section.body:
        if any(s.name in lanes for s in assign.value.free_symbols):
            lanes.add(assign.target.name)
    return lanes


def head_statements(plan: RadialPlan) -> list[str]:
    """Body of a transform r -> x, dx/dr."""
    assert plan.head_gradient is not None  # only called for functions with a head
    section = _without_inverse(prune(plan.head_gradient))
    lines = _rows(section, plan.head_constants, "bond", "real")
    # the output is called x like the argument to store to: rename the inner one
    inner = {sympy.Symbol("x"): sympy.Symbol("value"), sympy.Symbol("dx"): sympy.Symbol("slope")}
    body = tuple(Assign(inner.get(a.target, a.target), a.value.xreplace(inner), a.comment) for a in section.body)
    renamed = Section(section.title, section.formula, section.inputs, section.constants, body, ())
    lines += statements(renamed, "lanes", frozenset({"r", "rinv"}))
    printer = Printer("lanes", frozenset(_lane_names(renamed, {"r", "rinv"})))
    for target, symbol in zip(("*x", "*dx"), section.outputs, strict=True):
        lines.append(f"{target} = {printer(inner.get(symbol, symbol), as_lane=True)};")
    return lines


def double_statements(section: Section, pointer: str) -> list[str]:
    """Scalar double code of an embedding or switching function."""
    names = tuple(symbol.name for symbol in section.constants)
    lines = _rows(section, names, pointer, "double") if pointer else []
    return lines + list(statements(section, "double", frozenset()))


@lru_cache
def _harmonics(l_max: int, slopes: bool) -> Section:
    section = harmonics_section(l_max)
    keep = tuple(s for s in section.outputs if slopes or not s.name.startswith("dq_"))
    return prune(Section(section.title, section.formula, section.inputs, section.constants, section.body, keep))


def harmonics_formula(l_max: int) -> tuple[str, ...]:
    """Comment over the harmonics."""
    return harmonics_section(l_max).formula


def _scalars(l_max: int, slopes: bool) -> set[str]:
    """Names among q and dq that are plain numbers: those do not depend on z."""
    section = _harmonics(l_max, slopes)
    lanes = _lane_names(section, {"x", "y", "z"})
    return {a.target.name for a in section.body if a.target.name not in lanes}


def harmonics(l_max: int) -> list[str]:
    """Y_lm from q_lm, c_m and s_m."""
    lines = list(statements(_harmonics(l_max, False), "lanes", frozenset({"x", "y", "z"})))
    scalars = _scalars(l_max, False)
    for l in range(l_max + 1):
        for m in range(l + 1):
            q = f"q_{l}_{m}"
            row = f"{l * l} * block + {2 * l + 1} * slot + " if l else "slot + "
            at = component(m)
            if m == 0:
                lines.append(f"Y[{row}{at}] = {f'vec_of({q})' if q in scalars else q};")
            else:
                lines.append(f"Y[{row}{at}] = {q} * c_{m};")
                lines.append(f"Y[{row}{at + 1}] = {q} * s_{m};")
    return lines


def harmonics_adjoint(l_max: int) -> list[str]:
    """Sums over l for each m first, then c_m and s_m once: three multiply-adds per (l, m)."""
    lines = list(statements(_harmonics(l_max, True), "lanes", frozenset({"x", "y", "z"})))
    zero = {a.target.name for a in _harmonics(l_max, True).body if a.value == 0}

    def total(kind: str, array: str, m: int, sine: bool) -> str:
        parts = []
        for l in range(m, l_max + 1):
            name = f"{kind}_{l}_{m}"
            if name not in zero:
                parts.append(f"{name} * {array}[{l * l + component(m) + (1 if sine else 0)}]")
        return " + ".join(parts)

    lines.append(f"vec sum_r = {total('q', 'D', 0, False)};")
    if l_max > 0:
        lines.append(f"vec sum_z = {total('dq', 'H', 0, False)};")
    for m in range(1, l_max + 1):
        lines.append(f"const vec hc_{m} = {total('q', 'H', m, False)};")
        lines.append(f"const vec hs_{m} = {total('q', 'H', m, True)};")
        if m == 1:
            lines.append("vec sum_x = hc_1, sum_y = hs_1;")
        else:
            factor = f"REAL({m}.0) * "
            lines.append(f"sum_x += {factor}(hc_{m} * c_{m - 1} + hs_{m} * s_{m - 1});")
            lines.append(f"sum_y += {factor}(hs_{m} * c_{m - 1} - hc_{m} * s_{m - 1});")
        if m < l_max:
            lines.append(f"sum_z += ({total('dq', 'H', m, False)}) * c_{m} + ({total('dq', 'H', m, True)}) * s_{m};")
        lines.append(f"sum_r += ({total('q', 'D', m, False)}) * c_{m} + ({total('q', 'D', m, True)}) * s_{m};")
    gradient = "*tx = sum_x, *ty = sum_y, *tz = sum_z" if l_max > 0 else "*tx = *ty = *tz = (vec){0}"
    lines.append(f"{gradient}, *radial = sum_r;")
    return [line for line in lines if not any(f" {name} =" in line for name in zero)]
