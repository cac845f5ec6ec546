"""Jinja filters that print Sections: harmonics and embedding."""

from __future__ import annotations

from functools import lru_cache

from acegen.emit.printer import statements
from acegen.emit.radial import rows
from acegen.maths.derivative import prune
from acegen.maths.harmonics import harmonics_section
from acegen.maths.section import Section
from acegen.program.types import component


def lane_names(section: Section, start: set[str]) -> set[str]:
    """Names of `start` and of all that depends on them."""
    lanes = set(start)
    for assign in section.body:
        if any(s.name in lanes for s in assign.value.free_symbols):
            lanes.add(assign.target.name)
    return lanes


def double_statements(section: Section, pointer: str) -> list[str]:
    """Scalar double code of an embedding or switching function."""
    names = tuple(symbol.name for symbol in section.constants)
    lines = rows(section.body, names, pointer, "double") if pointer else []
    return lines + list(statements(section, "double", frozenset()))


@lru_cache
def _harmonics(l_max: int, slopes: bool) -> Section:
    section = harmonics_section(l_max)
    keep = tuple(s for s in section.outputs if slopes or not s.name.startswith("dq_"))
    return prune(Section(section.title, section.formula, section.inputs, section.constants, section.body, keep))


def harmonics_formula(l_max: int) -> tuple[str, ...]:
    """Comment over the harmonics."""
    return harmonics_section(l_max).formula


def harmonics(l_max: int) -> list[str]:
    """Y_lm from q_lm, c_m and s_m."""
    section = _harmonics(l_max, False)
    lines = list(statements(section, "lanes", frozenset({"x", "y", "z"})))
    return lines + from_factors(l_max, "q", lane_names(section, {"x", "y", "z"}))


def from_factors(l_max: int, kind: str, lanes: set[str]) -> list[str]:
    """Products of factors called `kind`_l_m with c_m and s_m, stored; those not among `lanes` are plain numbers."""
    lines = []
    for l in range(l_max + 1):
        for m in range(l + 1):
            q = f"{kind}_{l}_{m}"
            row = f"{l * l} * block + {2 * l + 1} * slot + " if l else "slot + "
            at = component(m)
            if m == 0:
                lines.append(f"Y[{row}{at}] = {q if q in lanes else f'vec_of({q})'};")
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
