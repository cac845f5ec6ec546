"""Envelopes of linear ACE radial functions (ace_model.md S4)."""

from __future__ import annotations

import sympy

from acegen.errors import PotentialError
from acegen.maths.codes import Draft
from acegen.maths.family import Asked

KINDS = ("poly2sx", "poly1sr", "ace1_poly1sr", "none")
_R = sympy.Symbol("r")


def envelope(draft: Draft, asked: Asked, x: sympy.Symbol) -> sympy.Expr:
    """Name the envelope of the family as a function of r or of the transformed distance x."""
    kind = asked.choice("envelope", KINDS)
    if kind == "poly2sx":
        return _two_sided(draft, asked, x)
    if kind == "poly1sr":
        return _one_sided(draft, asked)
    if kind == "ace1_poly1sr":
        return _one_sided_ace1(draft, asked)
    return sympy.Integer(1)


def _two_sided(draft: Draft, asked: Asked, x: sympy.Symbol) -> sympy.Expr:
    """s (x - x1)^p1 (x2 - x)^p2 for x1 < x < x2, else 0; s = (|x2 - x1|/2)^-(p1+p2)."""
    p1, p2 = asked.integer("p1"), asked.integer("p2")
    x1, x2 = asked.number("x1", -1.0), asked.number("x2", 1.0)
    if not x1 < x2 or p1 < 0 or p2 < 0:
        raise PotentialError(
            f"{asked.title}: x1, x2, p1, p2 are {float(x1)}, {float(x2)}, {p1}, {p2}, expected x1 < x2, p1, p2 >= 0"
        )
    left, right = draft.constant("x1", x1), draft.constant("x2", x2)
    scale = draft.constant("env_scale", ((x2 - x1) / 2) ** (-p1 - p2), "(|x2 - x1|/2)^-(p1+p2)")
    comment = "s (x - x1)^p1 (x2 - x)^p2 inside (x1, x2)"
    one, other = _side(draft, "from_x1", x - left, p1), _side(draft, "to_x2", right - x, p2)
    if min(p1, p2) < 2:
        return draft.name("env", scale * _power_of(one, p1) * _power_of(other, p2), comment)
    below = draft.name("below", one * other if p1 == p2 == 2 else one ** (p1 - 1) * other ** (p2 - 1))
    scaled = draft.name("scaled", scale * below)
    env = draft.name("env", scaled * (below if p1 == p2 == 2 else one * other), comment)
    # powers of at least 1 are left: zero outside without a case distinction
    inner = p1 * scaled * (other - one) if p1 == p2 else scaled * (p1 * other - p2 * one)
    draft.slopes[env] = inner * sympy.Symbol(f"d{x.name}")
    return env


def _side(draft: Draft, name: str, distance: sympy.Expr, power: int) -> sympy.Expr:
    """distance where positive, else 0; for power 0 its step."""
    distance = draft.name(f"{name}_line", distance)
    if power == 0:
        return draft.name(name, sympy.Piecewise((sympy.Integer(1), distance > 0), (sympy.Integer(0), True)))
    return draft.name(name, sympy.Max(distance, 0))


def _power_of(side: sympy.Expr, power: int) -> sympy.Expr:
    return side ** max(power, 1)


def _power(asked: Asked) -> int:
    power = asked.integer("power")
    if power < 1:
        raise PotentialError(f"{asked.title}: option 'power' is {power}, expected an integer >= 1")
    return power


def _one_sided(draft: Draft, asked: Asked) -> sympy.Expr:
    """((rcut/r)^p - 1)(1 - r/rcut)."""
    rcut = asked.number("rcut")
    cutoff = draft.constant("rcut", rcut)
    inverse = draft.constant("rcut_inv", 1 / rcut, "1/rcut")
    ratio = draft.name("ratio", cutoff * draft.name("rinv", 1 / _R))
    value = (ratio ** _power(asked) - 1) * (1 - _R * inverse)
    return draft.name("env", value, "((r/rcut)^-p - 1)(1 - r/rcut)")


def _one_sided_ace1(draft: Draft, asked: Asked) -> sympy.Expr:
    """s^-p - sc^-p + p sc^(-p-1) (s - sc) with s = r/r0, sc = rcut/r0."""
    power, r0, rcut = _power(asked), asked.number("r0"), asked.number("rcut")
    nearest, cutoff = draft.constant("r0", r0), draft.constant("rcut", rcut)
    value = draft.constant("env_end", (r0 / rcut) ** power, "(rcut/r0)^-p")
    slope = draft.constant("env_slope", power * (r0 / rcut) ** (power + 1) / r0, "p (rcut/r0)^(-p-1)/r0")
    ratio = draft.name("ratio", nearest * draft.name("rinv", 1 / _R))
    return draft.name("env", ratio**power - value + slope * (_R - cutoff), "s^-p - sc^-p + p sc^(-p-1) (s - sc)")
