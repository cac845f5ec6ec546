"""The switching polynomial P(x; x0, w) of PACE and the inner cutoffs made of it (pace_format.md section 6).

With u = (x - x0 + w)/w clamped to [0, 1]:  1 - P = u^3 (10 - 15 u + 6 u^2),  P = v^3 (10 - 15 v + 6 v^2), v = 1 - u.
That is PACE's quintic, without its cancellation near either end.
"""

from __future__ import annotations

import mpmath
import sympy

from acegen.maths.codes import Draft

_R = sympy.Symbol("r")
STEEPEST = 1.0e30  # stands for 1/w at w = 0: u is then 0 or 1 for every double, and finite in float32


def rise(u: sympy.Expr) -> sympy.Expr:
    """u^3 (10 - 15 u + 6 u^2)."""
    return u**3 * (10 + u * (6 * u - 15))


def window(draft: Draft, x0: mpmath.mpf, w: mpmath.mpf, names: tuple[str, str, str]) -> sympy.Symbol:
    """Name u = (r - x0 + w)/w clamped to [0, 1]; names are those of (x0 - w, 1/w, u)."""
    low, inverse, name = names
    start = draft.constant(low, x0 - w, "x0 - w")
    steep = draft.constant(inverse, 1 / w if w else STEEPEST, "1/w")
    line = draft.name(f"{name}line", (_R - start) * steep)
    floored = draft.name(f"{name}pos", sympy.Max(line, 0))
    return draft.name(name, sympy.Min(floored, 1))


def inner_factor(draft: Draft, mode: str, r_in: mpmath.mpf, d_in: mpmath.mpf) -> sympy.Expr:
    """Factor of every g_k: 1, the rising quintic, or a step at r_in - d_in (g = 0 there and below)."""
    if mode == "switch":
        u = window(draft, r_in, d_in, ("in_start", "in_steep", "in_u"))
        return draft.name("sw", rise(u), "1 - P(r; r_in, d_in)")
    if mode == "step":
        start = draft.constant("in_start", r_in - d_in, "r_in - d_in")
        return draft.name("sw", sympy.Piecewise((sympy.Integer(0), start >= _R), (sympy.Integer(1), True)))
    return sympy.Integer(1)


def fall(draft: Draft, x0: mpmath.mpf, w: mpmath.mpf) -> sympy.Symbol:
    """Name P(r; x0, w): 1 up to x0 - w, 0 from x0 on."""
    u = window(draft, x0, w, ("out_start", "out_steep", "out_u"))
    v = draft.name("out_v", 1 - u)
    return draft.name("sw", rise(v), "P(r; x0, w)")
