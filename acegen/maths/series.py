"""A sum of many radial functions of one family as one function: a Chebyshev series in x and one for its slope.

sum_k c_k g_k(r) = env(r) p(x(r)) with one polynomial p, whose coefficients follow from the c_k once.  Even and odd
part are series in y = T_2(x) = 2 x^2 - 1, since T_2j(x) = T_j(y): half as many steps one after the other,

    p  = sum_j u_j T_j(y) + x sum_j v_j T_j(y),      dp/dx = sum_j du_j T_j(y) + x sum_j dv_j T_j(y)

and no step loses digits (|T_j| <= 1).
"""

from __future__ import annotations

from functools import lru_cache

import mpmath
import numpy as np
import sympy

from acegen.maths.codes import DIGITS, Draft
from acegen.maths.polynomials import Coefficients
from acegen.maths.section import Section

INPUTS = ("x", "env", "dx", "denv")
OUTPUTS = ("phi", "dphi")


def _lengths(size: int) -> tuple[int, int, int, int]:
    """Numbers of coefficients u, v, du, dv of a polynomial with `size` coefficients."""
    slope = max(size - 1, 1)
    return (size + 1) // 2, size // 2, (slope + 1) // 2, slope // 2


def n_coefficients(size: int) -> int:
    """How many numbers describe the sum of `size` functions."""
    return sum(_lengths(size))


@lru_cache
def series_section(size: int) -> Section:
    """phi = env p(x) and dphi/dr from x, env and their slopes; constants are u, v, du, dv in this order."""
    x, env, dx, denv = sympy.symbols(INPUTS)
    draft = Draft()
    y = draft.name("y", 2 * x * x - 1, "T_2(x)")
    twice = draft.name("y2", 2 * y)
    t: list[sympy.Expr] = [sympy.Integer(1), y]
    for j in range(2, _lengths(size)[0]):
        t.append(draft.name(f"T_{j}", twice * t[-1] - t[-2]))
    parts = []
    constants: list[sympy.Symbol] = []
    for name, length in zip(("u", "v", "du", "dv"), _lengths(size), strict=True):
        symbols = sympy.symbols(f"{name}_0:{length}") if length else ()
        constants += symbols
        value: sympy.Expr = sympy.Integer(0)
        for j, symbol in enumerate(symbols):
            value = draft.name(f"{name}{j}", value + symbol * t[j]) if j else symbol
        parts.append(value)
    p = draft.name("p", parts[0] + x * parts[1], "p(x)")
    slope = draft.name("dp", parts[2] + x * parts[3], "dp/dx")
    phi, dphi = sympy.symbols(OUTPUTS)
    draft.name("phi", env * p)
    draft.name("dphi", denv * p + env * draft.name("slope", dx * slope))
    formula = (
        "phi = env(r) p(x(r)),  p = sum_j u_j T_j(y) + x sum_j v_j T_j(y),  y = T_2(x)",
        "dp/dx = sum_j du_j T_j(y) + x sum_j dv_j T_j(y)",
    )
    return Section(
        f"sum of {size} radial functions", formula, (x, env, dx, denv), tuple(constants), tuple(draft.body), (phi, dphi)
    )


def series_matrix(rows: tuple[Coefficients, ...]) -> np.ndarray:
    """[n_coefficients, len(rows)]: u, v, du, dv of sum_k c_k P_k-1(x) from the c_k, P by its recurrence."""
    with mpmath.workdps(DIGITS):
        columns = []
        for series in _chebyshev(rows):
            slope = _slope(series)
            parts = (*_halves(series), *_halves(slope))
            columns.append(
                [
                    float(part[j]) if j < len(part) else 0.0
                    for part, length in zip(parts, _lengths(len(rows)), strict=True)
                    for j in range(length)
                ]
            )
    return np.array(columns).T


def _chebyshev(rows: tuple[Coefficients, ...]) -> list[list[mpmath.mpf]]:
    """Coefficients over T_0, T_1, ... of every polynomial of the recurrence."""
    out: list[list[mpmath.mpf]] = []
    for k, row in enumerate(rows):
        a, b, c = (mpmath.mpf(str(sympy.N(value, DIGITS))) for value in row)
        if k == 0:
            out.append([a])
            continue
        before = out[-1] if k > 1 else [mpmath.mpf(1)]
        new = [b * value for value in before] + [mpmath.mpf(0)]
        for j, value in enumerate(before):  # x T_j = (T_j+1 + T_|j-1|)/2
            new[j + 1] += a * value / 2
            new[abs(j - 1)] += a * value / 2
        for j, value in enumerate(out[-2] if k > 1 else ()):
            new[j] += c * value
        out.append(new)
    return out


def _slope(series: list[mpmath.mpf]) -> list[mpmath.mpf]:
    """The derivative: T_n' = 2 n (T_n-1 + T_n-3 + ...), the last one halved where it is T_0."""
    out = [mpmath.mpf(0)] * max(len(series) - 1, 1)
    for n, value in enumerate(series):
        for j in range(n - 1, -1, -2):
            out[j] += (n if j == 0 else 2 * n) * value
    return out


def _halves(series: list[mpmath.mpf]) -> tuple[list[mpmath.mpf], list[mpmath.mpf]]:
    """(u, v) of sum_n a_n T_n(x): T_2j(x) = T_j(y), and T_2j+1(x) = x (2 T_j(y) - 2 T_j-1(y) + ... +- 1)."""
    odd = series[1::2]
    v = [mpmath.mpf(0)] * len(odd)
    for j, value in enumerate(odd):
        for i in range(j + 1):
            v[i] += (-1) ** (j - i) * (1 if i == 0 else 2) * value
    return series[::2], v
