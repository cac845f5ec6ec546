"""Exact Clebsch-Gordan coefficients as sign * sqrt(p/q), and coupling tensors of real harmonics.

Condon-Shortley phase for the complex harmonics; the real harmonics are orthonormal without that phase, index
l*l + l + m (`acegen.potential` states the unitary map between the two).  Racah's finite sum is evaluated in
integers, so nothing is rounded before the last square root.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
import sympy


@dataclass(frozen=True, slots=True)
class SignedRoot:
    """The exact number sign * sqrt(square); sign is -1, 0 or 1."""

    sign: int
    square: Fraction

    @property
    def value(self) -> float:
        """The nearest double (to one unit in the last place)."""
        return self.sign * math.sqrt(self.square)

    @property
    def exact(self) -> sympy.Expr:
        """The same number for SymPy."""
        return self.sign * sympy.sqrt(sympy.Rational(self.square.numerator, self.square.denominator))


ZERO = SignedRoot(0, Fraction(0))


@cache
def clebsch_gordan(l1: int, m1: int, l2: int, m2: int, L: int, M: int) -> SignedRoot:
    """<l1 m1 l2 m2 | L M> for integer arguments; zero outside the selection rules (Racah's formula)."""
    outside = abs(m1) > l1 or abs(m2) > l2 or abs(M) > L
    if outside or m1 + m2 != M or not abs(l1 - l2) <= L <= l1 + l2:
        return ZERO
    f = math.factorial
    total = Fraction(0)
    for k in range(l1 + l2 - L + 1):
        lower = (k, l1 + l2 - L - k, l1 - m1 - k, l2 + m2 - k, L - l2 + m1 + k, L - l1 - m2 + k)
        if min(lower) >= 0:
            total += Fraction((-1) ** k, math.prod(f(value) for value in lower))
    triangle = Fraction((2 * L + 1) * f(L + l1 - l2) * f(L - l1 + l2) * f(l1 + l2 - L), f(l1 + l2 + L + 1))
    projections = f(L + M) * f(L - M) * f(l1 - m1) * f(l1 + m1) * f(l2 - m2) * f(l2 + m2)
    sign = (total > 0) - (total < 0)
    return SignedRoot(sign, triangle * projections * total * total)


def wigner_3j(l1: int, l2: int, l3: int, m1: int, m2: int, m3: int) -> SignedRoot:
    """Wigner 3j symbol (l1 l2 l3; m1 m2 m3) from <l1 m1 l2 m2 | l3 -m3>."""
    root = clebsch_gordan(l1, m1, l2, m2, l3, -m3)
    return SignedRoot((-1) ** (l1 - l2 - m3) * root.sign, root.square / (2 * l3 + 1))


def real_parts(m: int) -> tuple[tuple[int, complex], ...]:
    """Y_lm = 2^(-1/2) * sum phase * S_l,mu for m != 0 (Y_l0 = S_l0): pairs (mu, phase), phase in +-1, +-i."""
    if m == 0:
        return ((0, 1),)
    sign = (-1) ** m if m > 0 else 1
    return ((abs(m), sign), (-abs(m), 1j * sign if m > 0 else -1j * sign))


@cache
def real_coupling_terms(l1: int, l2: int, L: int) -> tuple[tuple[int, int, int, SignedRoot], ...]:
    """Nonzero entries (m1, m2, M, C) of `real_coupling`, exact, in ascending (M, m1, m2)."""
    phases: dict[tuple[int, int, int], complex] = {}
    squares: dict[tuple[int, int, int], Fraction] = {}
    for m1 in range(-l1, l1 + 1):
        for m2 in range(max(-l2, -L - m1), min(l2, L - m1) + 1):
            root = clebsch_gordan(l1, m1, l2, m2, L, m1 + m2)
            if not root.sign:
                continue
            for u1, c1 in real_parts(m1):
                for u2, c2 in real_parts(m2):
                    for u3, c3 in real_parts(m1 + m2):
                        key = (u1, u2, u3)
                        # All complex terms of one real entry share |m1|, |m2|, |M|, hence |C|: only phases add.
                        phases[key] = phases.get(key, 0) + root.sign * c1 * c2 * complex(c3).conjugate()
                        halvings = sum(m != 0 for m in (m1, m2, m1 + m2))
                        squares[key] = root.square / 2**halvings
    odd = (l1 + l2 + L) % 2  # then all entries are imaginary: the factor -i makes them real
    terms = []
    for u1, u2, u3 in sorted(phases, key=lambda key: (key[2], key[0], key[1])):
        phase = phases[u1, u2, u3] * (-1j if odd else 1)
        weight = round(phase.real)
        if weight:
            root = SignedRoot(1 if weight > 0 else -1, squares[u1, u2, u3] * weight * weight)
            terms.append((u1, u2, u3, root))
    return tuple(terms)


def real_coupling(l1: int, l2: int, L: int) -> np.ndarray:
    """Real coupling tensor C [2 l1+1, 2 l2+1, 2L+1], every index running over m = -l..l.

    X_M = sum_{m1 m2} C[m1, m2, M] U_m1 V_m2 transforms like the real harmonics of degree L whenever U and V do so
    with degrees l1 and l2.  Columns are orthonormal: sum_{m1 m2} C[m1, m2, M] C[m1, m2, M'] = delta_MM'.  For odd
    l1 + l2 + L (a pseudo-tensor, e.g. a cross product) the phase is fixed by the factor -i.
    """
    tensor = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * L + 1))
    for m1, m2, m3, root in real_coupling_terms(l1, l2, L):
        tensor[l1 + m1, l2 + m2, L + m3] = root.value
    return tensor
