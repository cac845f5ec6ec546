"""PACE's SBessel radial primitives: orthonormalised combinations of spherical Bessel functions (pace_format.md 4.4)."""

from __future__ import annotations

from functools import lru_cache

import mpmath
import sympy

from acegen.maths.codes import Draft
from acegen.maths.family import Asked

_R = sympy.Symbol("r")


@lru_cache
def mixing(size: int) -> tuple[tuple[sympy.Expr, sympy.Expr, sympy.Expr], ...]:
    """Exact (a_n, b_n, d_n) of g_{n+1} = a_n s_{n+1} + b_n s_{n+2} + d_n g_n, s_n = sqrt(2/rcut) sin(n pi r/rcut)/r."""
    rows = []
    previous = sympy.Integer(1)
    for n in range(size):
        overlap = sympy.Rational(n**2 * (n + 2) ** 2, 4 * (n + 1) ** 4 + 1)
        rest = 1 - overlap / previous if n else sympy.Integer(1)
        length = rest * ((n + 1) ** 2 + (n + 2) ** 2)
        sign = (-1) ** n
        a = sign * sympy.sqrt(sympy.Integer((n + 2) ** 2) / length)
        b = sign * sympy.sqrt(sympy.Integer((n + 1) ** 2) / length)
        rows.append((a, b, sympy.sqrt(overlap / (previous * rest))))
        previous = rest
    return tuple(rows)


def sbessel(draft: Draft, asked: Asked, scale: sympy.Expr) -> tuple[sympy.Symbol, ...]:
    """One sin and one cos of t/2 = pi r/(2 rcut) in [0, pi/2]; sin(n t) by the Chebyshev recurrence."""
    rcut = asked.number("rcut")
    half = draft.constant("half", mpmath.pi / (2 * rcut), "pi/(2 rcut)")
    amplitude = draft.constant("amplitude", 2 * mpmath.sqrt(2 / rcut), "2 sqrt(2/rcut)")
    sine = draft.name("sh", sympy.sin(half * _R))
    cosine = draft.name("ch", sympy.cos(half * _R))
    rinv = draft.name("rinv", 1 / _R)
    twice = draft.name("c2", 2 - 4 * sine**2, "2 cos t, accurate for small t")
    waves = [draft.name("s_1", amplitude * scale * rinv * sine * cosine, "s_n = sqrt(2/rcut) sin(n t)/r")]
    waves.append(draft.name("s_2", twice * waves[0]))
    for n in range(3, asked.size + 2):
        waves.append(draft.name(f"s_{n}", twice * waves[-1] - waves[-2]))
    found: list[sympy.Symbol] = []
    for n, (a, b, d) in enumerate(mixing(asked.size)):
        value = a * waves[n] + b * waves[n + 1]
        found.append(draft.name(f"g_{n + 1}", value + d * found[-1] if n else value))
    return tuple(found)
