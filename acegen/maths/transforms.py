"""The normalised generalised Agnesi distance transform of ACEpotentials (ace_model.md S2).

s = (r - rin)/(r0 - rin),  g = s^q/(1 + s^(q-p)),  y = 1/(1 + a g),  x = -1 + 2 (1 - y)/(1 - y(rcut)), clamped;
a(p, q) puts the steepest point of y at r0.  Written with 1 - y = a s^q/(1 + s^(q-p) + a s^q): one division, and no
cancellation next to rin.
"""

from __future__ import annotations

import mpmath
import sympy

from acegen.errors import PotentialError
from acegen.maths.codes import Draft
from acegen.maths.family import Asked

_R = sympy.Symbol("r")


def steepness(p: int, q: int) -> sympy.Rational:
    """a(p, q) from y''(r0) = 0."""
    return sympy.Rational(4 * p * q - 2 * p - 2 * q, p * p + p + q * q + q)


def exponents(asked: Asked) -> tuple[int, int]:
    """(p, q), checked."""
    p, q = asked.integer("p"), asked.integer("q")
    if not 1 <= p <= q or q < 2:
        raise PotentialError(f"{asked.title}: options p, q are {p}, {q}, expected integers q >= p >= 1 and q >= 2")
    return p, q


def lengths(asked: Asked) -> tuple[mpmath.mpf, mpmath.mpf, mpmath.mpf]:
    """(rin, r0, rcut), checked."""
    rin, r0, rcut = asked.number("rin"), asked.number("r0"), asked.number("rcut")
    if not 0 <= rin < r0 < rcut:
        raise PotentialError(
            f"{asked.title}: parameters rin, r0, rcut are {float(rin)}, {float(r0)}, {float(rcut)}, "
            "expected 0 <= rin < r0 < rcut"
        )
    return rin, r0, rcut


def agnesi(draft: Draft, asked: Asked) -> sympy.Symbol:
    """Name x(r); exactly -1 up to rin, at most 1, with zero slope where clamped."""
    p, q = exponents(asked)
    rin, r0, rcut = lengths(asked)
    a = steepness(p, q)
    end = ((rcut - rin) / (r0 - rin)) ** q
    end_share = end / (1 + ((rcut - rin) / (r0 - rin)) ** (q - p) + mpmath.mpf(a.p) / a.q * end)
    start = draft.constant("rin", rin)
    inverse = draft.constant("s_scale", 1 / (r0 - rin), "1/(r0 - rin)")
    stretch = draft.constant("stretch", 2 / end_share, "2a/(1 - y(rcut))")
    steep = draft.constant("steep", 2 / end_share / (r0 - rin), "2a/(1 - y(rcut))/(r0 - rin)")
    free = draft.name("sfree", (_R - start) * inverse)
    s = draft.name("s", sympy.Max(free, 0), "s = (r - rin)/(r0 - rin)")
    low = draft.name("s_low", s ** (q - 1))  # 0 up to rin, as q >= 2
    top = draft.name("s_q", s * low)
    step: sympy.Expr = sympy.Integer(1)
    if p < q:
        step = low if p == 1 else draft.name("s_qp", s ** (q - p))
    inverse_bottom = draft.name(
        "dinv", 1 / draft.name("den", 1 + step + a * top), "1 - y = a s^q/(1 + s^(q-p) + a s^q)"
    )
    free_x = draft.name("xfree", stretch * top * inverse_bottom - 1, "x = -1 + 2 (1 - y)/(1 - y(rcut))")
    # of top/bottom all but one power cancels: d(1 - y)/ds = a s^(q-1) (q + p s^(q-p))/(1 + s^(q-p) + a s^q)^2
    share = draft.name("share", steep * low * (q + p * step), "dx/dr times the square of the denominator")
    draft.slopes[free_x] = share * inverse_bottom**2
    return draft.name("x", sympy.Min(free_x, 1))


def agnesi_inverse(asked: Asked, x: float) -> float:
    """The distance at which the transform is x, by bisection; angstrom, within [rin, rcut]."""
    p, q = exponents(asked)
    rin, r0, rcut = (float(value) for value in lengths(asked))
    a = float(steepness(p, q))

    def share(r: float) -> float:
        s = (r - rin) / (r0 - rin)
        return float(s**q / (1 + s ** (q - p) + a * s**q))

    target = (x + 1) / 2 * share(rcut)
    low, high = rin, rcut
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if share(middle) < target else (low, middle)
    return 0.5 * (low + high)
