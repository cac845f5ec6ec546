"""Jinja filters that print solid harmonics r^l Y_lm and their gradients in space."""

from __future__ import annotations

from functools import lru_cache

from acegen.emit.printer import statements
from acegen.emit.sections import from_factors, lane_names
from acegen.maths.derivative import prune
from acegen.maths.harmonics import solid_section
from acegen.maths.section import Section

_LANES = frozenset({"x", "y", "z", "r2"})


def solid_formula(l_max: int) -> tuple[str, ...]:
    """Comment over the harmonics."""
    return solid_section(l_max).formula


@lru_cache
def _solid(l_max: int, slopes: bool) -> Section:
    section = solid_section(l_max)
    keep = tuple(s for s in section.outputs if slopes or not s.name.startswith(("pz_", "pr_")))
    return prune(Section(section.title, section.formula, section.inputs, section.constants, section.body, keep))


def solid_harmonics(l_max: int) -> list[str]:
    """r^l Y_lm from p_lm, c_m and s_m."""
    section = _solid(l_max, False)
    return [*statements(section, "lanes", _LANES), *from_factors(l_max, "p", lane_names(section, set(_LANES)))]


def solid_adjoint(l_max: int) -> list[str]:
    """Sums over l for each m first, then c_m and s_m once; `along` is the part of the gradient along (x, y, 0)."""
    section = _solid(l_max, True)
    made = {a.target.name for a in section.body}
    lines = list(statements(section, "lanes", _LANES))

    def total(kind: str, array: str, m: int, sine: bool) -> str:
        terms = [
            f"{kind}_{l}_{m} * {array}[{l * l + (2 * m - 1 if m else 0) + sine}]"
            for l in range(m, l_max + 1)
            if f"{kind}_{l}_{m}" in made
        ]
        return " + ".join(terms)

    parts: dict[str, list[str]] = {"x": [], "y": [], "z": [], "along": [], "r": []}
    for m in range(l_max + 1):
        for name, kind, array in (("z", "pz", "H"), ("along", "pr", "H"), ("r", "p", "D")):
            cosine, sine = (total(kind, array, m, s) for s in (False, True))
            if cosine:
                parts[name].append(f"({cosine}) * c_{m} + ({sine}) * s_{m}" if m else cosine)
        if m:
            lines.append(f"const vec hc_{m} = {total('p', 'H', m, False)}, hs_{m} = {total('p', 'H', m, True)};")
            turned = (f"hc_{m} * c_{m - 1} + hs_{m} * s_{m - 1}", f"hs_{m} * c_{m - 1} - hc_{m} * s_{m - 1}")
            parts["x"].append("hc_1" if m == 1 else f"REAL({m}.0) * ({turned[0]})")
            parts["y"].append("hs_1" if m == 1 else f"REAL({m}.0) * ({turned[1]})")
    for name, terms in parts.items():
        first, *rest = terms or ["(vec){0}"]
        lines.append(f"vec sum_{name} = {first};")
        lines += [f"sum_{name} += {term};" for term in rest]
    return [*lines, "*tx = sum_x, *ty = sum_y, *tz = sum_z, *along = sum_along, *radial = sum_r;"]
