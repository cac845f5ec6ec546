"""Real orthonormal spherical harmonics, no Condon-Shortley phase, index l*l + l + m, factorised on the unit sphere.

S_lm = q_lm(z) c_m(x,y) and S_l,-m = q_lm(z) s_m(x,y) with c_m + i s_m = (x + iy)^m and q_lm a polynomial in z:
q_lm = N_lm d^m P_l/dz^m, N_l0 = sqrt((2l+1)/4pi), N_lm = sqrt(2 (2l+1)/4pi (l-m)!/(l+m)!) for m > 0
(Schlegel and Frenkel's factorisation at r = 1; integral of S^2 over the sphere is 1).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import sympy

from acegen.maths.codes import Draft
from acegen.maths.evaluation import evaluate
from acegen.maths.section import Section


def q_symbol(l: int, m: int) -> sympy.Symbol:
    """Name of q_lm."""
    return sympy.Symbol(f"q_{l}_{m}")


def dq_symbol(l: int, m: int) -> sympy.Symbol:
    """Name of d q_lm / dz."""
    return sympy.Symbol(f"dq_{l}_{m}")


def diagonal(m: int) -> sympy.Expr:
    """q_mm, a number: N_mm (2m-1)!!, exact."""
    norm = sympy.Rational(2 * m + 1, 4) / sympy.pi * (2 if m else 1) / sympy.factorial(2 * m)
    return sympy.sqrt(norm) * sympy.factorial2(2 * m - 1)


def recurrence(l: int, m: int) -> tuple[sympy.Expr, sympy.Expr]:
    """(a, b) of q_lm = a z q_{l-1,m} + b q_{l-2,m}, l > m; b is 0 for l = m + 1."""
    a = sympy.sqrt(sympy.Rational(4 * l * l - 1, l * l - m * m))
    if l == m + 1:
        return a, sympy.Integer(0)
    return a, -a * sympy.sqrt(sympy.Rational((l - 1) ** 2 - m * m, 4 * (l - 1) ** 2 - 1))


def slope(l: int, m: int) -> sympy.Expr:
    """The number d of dq_lm/dz = d q_{l,m+1}, m < l: a ratio of two normalisations."""
    return sympy.sqrt(sympy.Rational((l + m + 1) * (l - m), 1 if m else 2))


@lru_cache
def harmonics_section(l_max: int) -> Section:
    """Factors of all harmonics up to l_max.

    Args:
        l_max: largest degree, >= 0.

    Returns:
        Section of the unit vector (x, y, z); outputs q_l_m (l = 0..l_max, m = 0..l), then dq_l_m in the same
        order, then c_m (m = 1..l_max), then s_m.  c_0 = 1 and s_0 = 0 have no name.
    """
    if l_max < 0:
        raise ValueError(f"harmonics_section: l_max is {l_max}, expected an integer >= 0")
    x, y, z = sympy.symbols("x y z")
    draft = Draft()
    circles = _circles(draft, x, y, l_max)
    pairs = _pairs(l_max)
    for l, m in pairs:
        if l == m:
            draft.name(f"q_{l}_{m}", diagonal(m))
            continue
        a, b = recurrence(l, m)
        value = a * z * q_symbol(l - 1, m)
        if b != 0:
            value += b * q_symbol(l - 2, m)
        draft.name(f"q_{l}_{m}", value)
    for l, m in pairs:
        draft.name(f"dq_{l}_{m}", slope(l, m) * q_symbol(l, m + 1) if m < l else sympy.Integer(0))
    formula = (
        "S_lm = q_lm(z) c_m,  S_l-m = q_lm(z) s_m,  c_m + i s_m = (x + iy)^m,  x^2 + y^2 + z^2 = 1",
        "q_lm = sqrt((4l^2-1)/(l^2-m^2)) (z q_l-1,m - sqrt(((l-1)^2-m^2)/(4(l-1)^2-1)) q_l-2,m)",
        "dq_lm/dz = sqrt((l+m+1)(l-m)) q_l,m+1    (m > 0; over sqrt 2 for m = 0)",
    )
    outputs = tuple(q_symbol(l, m) for l, m in pairs) + tuple(dq_symbol(l, m) for l, m in pairs) + circles
    return draft.section(f"real harmonics up to l = {l_max}", formula, (x, y, z), outputs)


def _circles(draft: Draft, x: sympy.Symbol, y: sympy.Symbol, l_max: int) -> tuple[sympy.Symbol, ...]:
    """c_m and s_m by multiplication with x + iy."""
    cosines: list[sympy.Symbol] = []
    sines: list[sympy.Symbol] = []
    for m in range(1, l_max + 1):
        c_value, s_value = x, y
        if m > 1:
            c_value = x * cosines[-1] - y * sines[-1]
            s_value = x * sines[-1] + y * cosines[-1]
        cosines.append(draft.name(f"c_{m}", c_value, "(x + iy)^m" if m == 1 else ""))
        sines.append(draft.name(f"s_{m}", s_value))
    return tuple(cosines + sines)


def axial_slope(l: int, m: int) -> sympy.Expr:
    """The number d of dp_lm/dz = d p_{l-1,m}, m < l, for p_lm = r^(l-m) q_lm(z/r)."""
    return sympy.sqrt(sympy.Rational((2 * l + 1) * (l * l - m * m), 2 * l - 1))


def plane_slope(l: int, m: int) -> sympy.Expr:
    """The number d of dp_lm/dx = d x p_{l-1,m+1} and dp_lm/dy = d y p_{l-1,m+1}, m < l - 1."""
    return -sympy.sqrt(sympy.Rational((2 * l + 1) * (l - m) * (l - m - 1), (2 * l - 1) * (1 if m else 2)))


@lru_cache
def solid_section(l_max: int) -> Section:
    """Factors of r^l S_lm, polynomials in x, y, z, and their slopes: nothing is divided by r.

    Args:
        l_max: largest degree, >= 0.

    Returns:
        Section of (x, y, z, r2 = x^2 + y^2 + z^2); outputs p_l_m (l = 0..l_max, m = 0..l), then their slopes
        pz_l_m (m < l), then pr_l_m (m < l - 1; dp/dx = x pr, dp/dy = y pr), then c_m and s_m as in
        `harmonics_section`.  With c_m and s_m the slopes give whole gradients in space, not along the sphere.
    """
    if l_max < 0:
        raise ValueError(f"solid_section: l_max is {l_max}, expected an integer >= 0")
    x, y, z, r2 = sympy.symbols("x y z r2")
    draft = Draft()
    circles = _circles(draft, x, y, l_max)
    made: dict[tuple[int, int], sympy.Symbol] = {}
    for l, m in _pairs(l_max):
        value = diagonal(m)
        if l > m:
            a, b = recurrence(l, m)
            value = a * z * made[l - 1, m] + (b * r2 * made[l - 2, m] if b != 0 else 0)
        made[l, m] = draft.name(f"p_{l}_{m}", value)
    axial = [
        draft.name(f"pz_{l}_{m}", axial_slope(l, m) * made[l - 1, m]) for l, m in _pairs(l_max) if m < l
    ]  # fmt: skip
    plane = [
        draft.name(f"pr_{l}_{m}", plane_slope(l, m) * made[l - 1, m + 1]) for l, m in _pairs(l_max) if m < l - 1
    ]  # fmt: skip
    formula = (
        "r^l S_lm = p_lm c_m,  r^l S_l-m = p_lm s_m,  c_m + i s_m = (x + iy)^m,  p_lm = r^(l-m) q_lm(z/r)",
        "p_lm = sqrt((4l^2-1)/(l^2-m^2)) (z p_l-1,m - sqrt(((l-1)^2-m^2)/(4(l-1)^2-1)) r^2 p_l-2,m)",
        "dp_lm/dz = sqrt((2l+1)(l^2-m^2)/(2l-1)) p_l-1,m",
        "dp_lm/dx = -x sqrt((2l+1)(l-m)(l-m-1)/(2l-1)) p_l-1,m+1    (m > 0; over sqrt 2 for m = 0), y likewise",
    )
    outputs = (*made.values(), *axial, *plane, *circles)
    return draft.section(f"real solid harmonics up to l = {l_max}", formula, (x, y, z, r2), outputs)


def _pairs(l_max: int) -> list[tuple[int, int]]:
    """(l, m) with m >= 0."""
    return [(l, m) for l in range(l_max + 1) for m in range(l + 1)]


def real_harmonics(l_max: int, vectors: np.ndarray) -> np.ndarray:
    """All harmonics of directions.

    Args:
        l_max: largest degree.
        vectors: [n, 3], any length but zero.

    Returns:
        [n, (l_max+1)^2], column l*l + l + m.
    """
    vectors = np.asarray(vectors, dtype=float)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = evaluate(harmonics_section(l_max), {"x": unit[:, 0], "y": unit[:, 1], "z": unit[:, 2]})
    table = np.empty((len(unit), (l_max + 1) ** 2))
    for l in range(l_max + 1):
        for m in range(l + 1):
            q = found[f"q_{l}_{m}"]
            table[:, l * l + l + m] = q * found[f"c_{m}"] if m else q
            if m:
                table[:, l * l + l - m] = q * found[f"s_{m}"]
    return table
