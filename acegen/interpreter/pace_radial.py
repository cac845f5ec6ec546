"""The radial primitives of PACE files, values and derivatives by their formulas (pace_format 4)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev

Array = np.ndarray
Radial = tuple[Array, Array]


def _halves(x: Array, dx: Array, degrees: range) -> Radial:
    """(1 - T_d(x))/2 and its r-derivative for the degrees, [n, len(degrees)]."""
    top = max(degrees, default=0)
    values = chebyshev.chebvander(x, top)
    slopes = (
        chebyshev.chebvander(x, top)
        @ np.array([np.append(chebyshev.chebder(row), np.zeros(min(1, top))) for row in np.eye(top + 1)]).T
    )
    pick = list(degrees)
    return 0.5 * (1.0 - values[:, pick]), -0.5 * slopes[:, pick] * dx[:, None]


def _times(g: Radial, factor: Array, slope: Array) -> Radial:
    return g[0] * factor[:, None], g[1] * factor[:, None] + g[0] * slope[:, None]


def chebexpcos(r: Array, p: dict[str, Any], size: int) -> Radial:
    """Chebyshev in an exponentially scaled distance, cosine cutoff, optional taper (4.1)."""
    lam, rc = p["lam"], p["rcut"]
    e, last = np.exp(-lam * r / rc), math.exp(-lam)
    x = 1.0 - 2.0 * (e - last) / (1.0 - last)
    dx = 2.0 * lam / rc * e / (1.0 - last)
    g = _halves(x, dx, range(size))
    g[0][:, :1] = 1.0  # g_1 is the bare cutoff function: (1 - T_0)/2 would be 0
    k = math.pi / rc
    g = _times(g, 0.5 * (1.0 + np.cos(k * r)), -0.5 * k * np.sin(k * r))
    if p["dcut"] > 0.0:
        k = math.pi / p["dcut"]
        t = np.maximum(r - rc + p["dcut"], 0.0)
        g = _times(g, 0.5 * (1.0 + np.cos(k * t)), -0.5 * k * np.sin(k * t))
    return g


def chebpow(r: Array, p: dict[str, Any], size: int) -> Radial:
    """Chebyshev in 1 - 2 (1 - r/rc)^lam (4.2)."""
    lam, rc = p["lam"], p["rcut"]
    y = 1.0 - r / rc
    return _halves(1.0 - 2.0 * y**lam, 2.0 * lam / rc * y ** (lam - 1.0), range(1, size + 1))


def cheblinear(r: Array, p: dict[str, Any], size: int) -> Radial:
    """Chebyshev in 1 - r/rc, not zero at the cutoff (4.3)."""
    rc = p["rcut"]
    return _halves(1.0 - r / rc, np.full_like(r, -1.0 / rc), range(1, size + 1))


def sbessel(r: Array, p: dict[str, Any], size: int) -> Radial:
    """Orthogonalised sums of two sinc functions (4.4)."""
    rc = p["rcut"]

    def sinc(a: int) -> Radial:
        k = a * math.pi / rc
        value = np.sinc(a * r / rc)
        return value, (np.cos(k * r) - value) / r

    g, dg = np.zeros((len(r), size)), np.zeros((len(r), size))
    d = 1.0
    for n in range(size):
        factor = (-1) ** n * math.sqrt(2.0) * math.pi / rc**1.5
        factor *= (n + 1) * (n + 2) / math.hypot(n + 1, n + 2)
        (one, done), (two, dtwo) = sinc(n + 1), sinc(n + 2)
        f, df = factor * (one + two), factor * (done + dtwo)
        if n == 0:
            g[:, 0], dg[:, 0] = f, df
            continue
        e = n**2 * (n + 2) ** 2 / (4.0 * (n + 1) ** 4 + 1.0)
        mix, d = math.sqrt(e / d), 1.0 - e / d
        g[:, n] = (f + mix * g[:, n - 1]) / math.sqrt(d)
        dg[:, n] = (df + mix * dg[:, n - 1]) / math.sqrt(d)
    return g, dg


def zero(r: Array, p: dict[str, Any], size: int) -> Radial:
    """The TEST_* bases of upstream: nothing (4.5)."""
    return np.zeros((len(r), size)), np.zeros((len(r), size))


def julia_polynomials(r: Array, p: dict[str, Any], size: int) -> Radial:
    """ACE.jl polynomials P_1..P_size (4.6); p also holds the integer options p, pl, pr."""
    power, pl, pr = p["p"], p["pl"], p["pr"]
    ratio = (1.0 + p["r0"]) / (1.0 + r)
    x, dx = ratio**power, -power * ratio**power / (1.0 + r)
    left, right = x - p["xl"], x - p["xr"]
    inside = ~(((left < 0.0) & (pl > 0)) | ((right > 0.0) & (pr > 0)))
    envelope = np.where(inside, left**pl * right**pr, 0.0)
    slope = np.zeros_like(r)
    if pl > 0:
        slope += pl * left ** (pl - 1) * right**pr
    if pr > 0:
        slope += pr * left**pl * right ** (pr - 1)
    slope = np.where(inside, slope, 0.0)
    a, b, c = p["A"], p["B"], p["C"]
    g, dg = np.zeros((len(r), size)), np.zeros((len(r), size))  # derivative in x until the last line
    g[:, 0], dg[:, 0] = a[0] * envelope, a[0] * slope
    for n in range(1, size):
        line = a[n] * x + b[n]
        g[:, n] = line * g[:, n - 1]
        dg[:, n] = a[n] * g[:, n - 1] + line * dg[:, n - 1]
        if n > 1:
            g[:, n] += c[n] * g[:, n - 2]
            dg[:, n] += c[n] * dg[:, n - 2]
    return g, dg * dx[:, None]
