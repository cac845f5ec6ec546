"""Polynomial radial functions of old ACE.jl potentials (pace_format.md 4.6)."""

from __future__ import annotations

import sympy

from acegen.errors import PotentialError
from acegen.maths.codes import Draft
from acegen.maths.family import Asked

_R = sympy.Symbol("r")


def acejl(draft: Draft, asked: Asked, scale: sympy.Expr, name: str = "g") -> tuple[sympy.Symbol, ...]:
    """P_1 = A_1 fc, P_2 = (A_2 x + B_2) P_1, P_n = (A_n x + B_n) P_{n-1} + C_n P_{n-2}, all times `scale`."""
    x = _transform(draft, asked)
    factor = scale
    for side, key, power in (("left", "xl", asked.integer("pl")), ("right", "xr", asked.integer("pr"))):
        if power < 0:
            raise PotentialError(f"{asked.title}: option 'p{side[0]}' is {power}, expected an integer >= 0")
        if power:
            edge = draft.name(f"from_{key}", x - draft.constant(key, asked.number(key)))
            inside = sympy.Max(edge, 0) if side == "left" else sympy.Min(edge, 0)
            factor = factor * draft.name(side, inside) ** power
    rows = [asked.numbers(key, asked.size) for key in ("A", "B", "C")]
    found: list[sympy.Symbol] = []
    for k in range(asked.size):
        a = draft.constant(f"A_{k + 1}", rows[0][k])
        if k == 0:
            value = a * factor
        else:
            b = draft.constant(f"B_{k + 1}", rows[1][k])
            value = (a * x + b) * found[-1]
        if k > 1:
            value += draft.constant(f"C_{k + 1}", rows[2][k]) * found[-2]
        found.append(draft.name(f"{name}_{k + 1}", value))
    return tuple(found)


def _transform(draft: Draft, asked: Asked) -> sympy.Symbol:
    """x = ((1 + r0)/(1 + r))^p."""
    p, r0 = asked.integer("p"), asked.number("r0")
    if p > 0:
        shift = draft.constant("one_r0", 1 + r0, "1 + r0")
        base = draft.name("ratio", shift * draft.name("inv", 1 / draft.name("one_r", 1 + _R)))
    else:
        base = draft.name("ratio", (1 + _R) * draft.constant("one_r0", 1 / (1 + r0), "1/(1 + r0)"))
    return draft.name("x", base ** abs(p), "x = ((1 + r0)/(1 + r))^p")


def edges(asked: Asked) -> tuple[float, ...]:
    """Distances at which x passes xl or xr, where fc has a break."""
    p, r0 = asked.integer("p"), float(asked.number("r0"))
    found = []
    for key, power in (("xl", "pl"), ("xr", "pr")):
        x = float(asked.number(key))
        if asked.integer(power) and x > 0 and p:
            found.append((1 + r0) / x ** (1 / p) - 1)
    return tuple(found)
