"""Three-term recurrences of orthogonal polynomials, exact: P_0 = A_0, P_k = (A_k x + B_k) P_{k-1} + C_k P_{k-2}."""

from __future__ import annotations

from functools import lru_cache

import sympy

from acegen.errors import PotentialError
from acegen.maths.codes import DIGITS, Draft

Coefficients = tuple[sympy.Expr, sympy.Expr, sympy.Expr]

KINDS = ("legendre", "jacobi", "chebyshev", "given")  # "given": coefficients stated by a file, see `given`


@lru_cache
def recurrence(kind: str, size: int, alpha: float = 0.0, beta: float = 0.0) -> tuple[Coefficients, ...]:
    """Recurrence coefficients (A_k, B_k, C_k), k = 0..size-1.

    "legendre" is orthonormal on [-1, 1]; "jacobi" is orthonormal under (1-x)^alpha (1+x)^beta; "chebyshev" is the
    classical T_k.  P_1 = A_1 x + B_1 does not multiply P_0, so that A_0 normalises P_0 alone.
    """
    if kind == "legendre":
        rows = [_legendre(k) for k in range(size)]
    elif kind == "chebyshev":
        one, zero = sympy.Integer(1), sympy.Integer(0)
        rows = [(one, zero, zero), (one, zero, zero), *[(2 * one, zero, -one)] * max(0, size - 2)][:size]
    elif kind == "jacobi":
        rows = [_jacobi(k, _number(alpha), _number(beta)) for k in range(size)]
    else:
        raise PotentialError(f"radial polynomial '{kind}' is unknown, expected one of {', '.join(KINDS)}")
    return tuple(rows)


def given(a: tuple[float, ...], b: tuple[float, ...], c: tuple[float, ...]) -> tuple[Coefficients, ...]:
    """Coefficients that are doubles already; integers are exact, so that nothing is multiplied by 0 or 1."""

    def exact(value: float) -> sympy.Expr:
        return sympy.Integer(int(value)) if value == int(value) else sympy.Float(value)

    return tuple((exact(x), exact(y), exact(z)) for x, y, z in zip(a, b, c, strict=True))


def _number(value: float) -> sympy.Expr:
    """Integers and halves stay exact, other exponents become long decimals."""
    rational = sympy.Rational(value)
    return rational if rational.q <= 2 else sympy.Float(value, DIGITS)


def _legendre(k: int) -> Coefficients:
    zero = sympy.Integer(0)
    if k < 2:
        return sympy.sqrt(sympy.Rational(2 * k + 1, 2)), zero, zero
    a = sympy.sqrt(sympy.Integer((2 * k - 1) * (2 * k + 1))) / k
    c = -sympy.Rational(k - 1, k) * sympy.sqrt(sympy.Rational(2 * k + 1, 2 * k - 3))
    return a, zero, c


def _norm_ratio(n: int, back: int, al: sympy.Expr, be: sympy.Expr) -> sympy.Expr:
    """g_{n-back}/g_n with g the square root of the classical norm h_n."""
    return sympy.sqrt(
        sympy.nsimplify(_norm(n - back, al, be) / _norm(n, al, be))
        if _exact(al, be)
        else _norm(n - back, al, be) / _norm(n, al, be)
    )


def _exact(al: sympy.Expr, be: sympy.Expr) -> bool:
    return bool(al.is_Rational and be.is_Rational)


@lru_cache
def _norm(n: int, al: sympy.Expr, be: sympy.Expr) -> sympy.Expr:
    """h_n of the classical Jacobi polynomials."""
    power = 2 ** (al + be + 1)
    top = sympy.gamma(n + al + 1) * sympy.gamma(n + be + 1)
    # n = 0: (al+be+1) Gam(al+be+1) = Gam(al+be+2), finite also for al + be = -1
    bottom = sympy.gamma(al + be + 2) if n == 0 else (2 * n + al + be + 1) * sympy.gamma(n + al + be + 1)
    return power * top / (sympy.factorial(n) * bottom)


def _jacobi(n: int, al: sympy.Expr, be: sympy.Expr) -> Coefficients:
    zero = sympy.Integer(0)
    if n == 0:
        return 1 / sympy.sqrt(_norm(0, al, be)), zero, zero
    if n == 1:
        g = sympy.sqrt(_norm(1, al, be))
        return (al + be + 2) / (2 * g), (al - be) / (2 * g), zero
    s = 2 * n + al + be
    d = 2 * n * (n + al + be) * (s - 2)
    first, second = _norm_ratio(n, 1, al, be), _norm_ratio(n, 2, al, be)
    a = s * (s - 1) * (s - 2) / d * first
    b = (al**2 - be**2) * (s - 1) / d * first
    c = -2 * (n + al - 1) * (n + be - 1) * s / d * second
    return a, b, c


def ladder(
    draft: Draft, x: sympy.Expr, scale: sympy.Expr, rows: tuple[Coefficients, ...], name: str = "g"
) -> tuple[sympy.Symbol, ...]:
    """Name scale * P_{k-1}(x) as name_k, k = 1..len(rows).

    The recurrence is linear, so the common factor (envelope, switching) enters once, at its start.
    """
    found: list[sympy.Symbol] = []
    multiples: dict[sympy.Expr, sympy.Expr] = {sympy.Integer(1): x}
    for k, (a, b, c) in enumerate(rows):
        if k == 0:
            value = a * scale
        else:
            if a not in multiples and k + 1 < len(rows) and rows[k + 1][0] == a:
                multiples[a] = draft.name(f"lead_{k + 1}", a * x)  # every step takes the same multiple
            line = multiples.get(a, a * x) + b
            value = (line if line.is_Symbol else draft.name(f"t_{k + 1}", line)) * (found[-1] if k > 1 else scale)
        if k > 1:
            value += c * found[-2]
        found.append(draft.name(f"{name}_{k + 1}", value))
    return tuple(found)
