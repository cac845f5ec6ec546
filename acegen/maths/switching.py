"""PACE's switching polynomial P(x; x0, w) and its slope as a Section for scalar code (pace_format.md section 6)."""

from __future__ import annotations

from functools import lru_cache

import sympy

from acegen.maths.codes import Draft
from acegen.maths.inner import STEEPEST, rise
from acegen.maths.section import Section


@lru_cache
def switching_section() -> Section:
    """P(x; x0, w) = 1 for x <= x0 - w, 0 for x >= x0, a quintic between; outputs P and dP = dP/dx.

    Inputs x, constants x0 and w >= 0 in the unit of x; w = 0 is a step (P = 1 at x0 itself) with slope zero.
    """
    x, x0, w = sympy.symbols("x x0 w")
    draft = Draft()
    width = draft.name("width", sympy.Max(w, sympy.Float(1 / STEEPEST)), "w = 0: a step")
    inverse = draft.name("winv", 1 / width)
    line = draft.name("line", (x - x0 + w) * inverse)
    u = draft.name("u", sympy.Min(draft.name("upos", sympy.Max(line, 0)), 1), "0 at x0 - w, 1 at x0")
    v = draft.name("v", 1 - u)
    value = draft.name("P", rise(v))
    slope = draft.name("dP", -30 * u**2 * v**2 * inverse)
    formula = (
        "P(x; x0, w) = v^3 (10 - 15 v + 6 v^2),  v = 1 - u,  u = (x - x0 + w)/w clamped to [0, 1]",
        "dP/dx = -30 u^2 v^2/w",
    )
    return Section("switching polynomial", formula, (x,), (x0, w), tuple(draft.body), (value, slope))
