"""PACE's Chebyshev radial primitives: ChebExpCos, ChebPow and ChebLinear (pace_format.md 4.1 to 4.3)."""

from __future__ import annotations

import mpmath
import sympy

from acegen.errors import PotentialError
from acegen.maths.codes import Draft
from acegen.maths.family import Asked

_R = sympy.Symbol("r")
_FLOOR = sympy.Float("1e-30")  # keeps (1 - r/rcut)^(lam-1), lam < 1, finite at the cutoff; 1 - r/rcut is never so small


def chebexpcos(draft: Draft, asked: Asked, scale: sympy.Expr) -> tuple[sympy.Symbol, ...]:
    """g_1 = C, g_k = C (1 - T_{k-1}(x))/2; cosines as squares of half angles, arguments in [0, pi/2]."""
    lam, rcut = asked.number("lam"), asked.number("rcut")
    if lam == 0:
        raise PotentialError(f"{asked.title}: parameter 'lam' is 0, expected a number other than 0")
    end = mpmath.exp(-lam)
    rate = draft.constant("rate", lam / rcut, "lam/rcut")
    tail = draft.constant("tail", end, "exp(-lam)")
    span = draft.constant("span", 2 / (1 - end), "2/(1 - exp(-lam))")
    e = draft.name("e", sympy.exp(-rate * _R))
    x = draft.name("x", 1 - span * (e - tail), "x = 1 - 2 (e^(-lam r/rcut) - e^-lam)/(1 - e^-lam)")
    taper = cosine_square(draft, "half", "s", "c", mpmath.pi / (2 * rcut), "pi/(2 rcut)", _R)
    cut = taper**2 * scale
    if asked.flag("taper"):
        dcut = asked.number("dcut")
        onset = draft.constant("onset", rcut - dcut, "rcut - dcut")
        inside = draft.name("u", sympy.Max(draft.name("beyond", _R - onset), 0))
        rest = mpmath.pi / (2 * dcut) if dcut else mpmath.mpf(0)
        cut *= cosine_square(draft, "steep", "su", "cu", rest, "pi/(2 dcut)", inside) ** 2
    first = draft.name("g_1", cut, "(1 + cos(pi r/rcut))/2, times the taper")
    return (first, *complements(draft, x, first, asked.size - 1, first_index=2))


def cosine_square(
    draft: Draft, constant: str, sine: str, cosine: str, rate: object, formula: str, argument: sympy.Expr
) -> sympy.Symbol:
    """Name sin and cos of rate * argument and return cos: (1 + cos 2a)/2 = cos^2 a has no cancellation."""
    factor = draft.constant(constant, rate, formula)
    draft.name(sine, sympy.sin(factor * argument))
    return draft.name(cosine, sympy.cos(factor * argument))


def complements(
    draft: Draft, x: sympy.Symbol, scale: sympy.Expr, count: int, first_index: int
) -> tuple[sympy.Symbol, ...]:
    """Name scale (1 - T_k(x))/2, k = 1..count, as g_first_index.. ; H_k = scale T_k/2 obeys the recurrence of T_k."""
    if count == 0:
        return ()
    half = draft.name("H_0", scale / 2, "H_k = T_k(x)/2 times the common factor")
    ladder = [half, draft.name("H_1", x * half)]
    twice = draft.name("x2", 2 * x) if count > 1 else x
    for k in range(2, count + 1):
        ladder.append(draft.name(f"H_{k}", twice * ladder[-1] - ladder[-2]))
    return tuple(draft.name(f"g_{first_index + k - 1}", half - ladder[k]) for k in range(1, count + 1))


def chebpow(draft: Draft, asked: Asked, scale: sympy.Expr) -> tuple[sympy.Symbol, ...]:
    """g_k = (1 - T_k(x))/2, x = 1 - 2 (1 - r/rcut)^lam; integer lam as products, else one pow per derivative."""
    lam, rcut, power = asked.number("lam"), asked.number("rcut"), asked.integer("power")
    if power and lam != power:
        raise PotentialError(f"{asked.title}: option 'power' is {power} but parameter 'lam' is {float(lam)}")
    inverse = draft.constant("inverse", 1 / rcut, "1/rcut")
    if power:
        y = draft.name("y", 1 - inverse * _R)
        tail = draft.name("t", y**power)
    else:
        exponent = draft.constant("lam", lam)
        y = draft.name("y", sympy.Max(draft.name("yfree", 1 - inverse * _R), _FLOOR))
        draft.name("t1", y ** (exponent - 1), "for the derivative")
        tail = draft.name("t", y**exponent)
    x = draft.name("x", 1 - 2 * tail, "x = 2 (1 - (1 - r/rcut)^lam) - 1")
    return complements(draft, x, scale, asked.size, first_index=1)


def cheblinear(draft: Draft, asked: Asked, scale: sympy.Expr) -> tuple[sympy.Symbol, ...]:
    """g_k = (1 - T_k(x))/2, x = 1 - r/rcut; discontinuous at rcut."""
    inverse = draft.constant("inverse", 1 / asked.number("rcut"), "1/rcut")
    x = draft.name("x", 1 - inverse * _R, "x = 1 - r/rcut")
    return complements(draft, x, scale, asked.size, first_index=1)
