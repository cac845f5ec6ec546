"""The radial primitives of linear ACE: envelope(r, x) times polynomials of the Agnesi distance (ace_model S2-S5)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev, legendre

from acegen.errors import PotentialError

Array = np.ndarray
Radial = tuple[Array, Array]


def _transform(r: Array, p: dict[str, Any]) -> Radial:
    """x(r) in [-1, 1] and dx/dr; -1 up to rin (S2)."""
    low, high, rin, r0 = p["p"], p["q"], p["rin"], p["r0"]
    a = (4 * low * high - 2 * low - 2 * high) / (low**2 + low + high**2 + high)

    def y_of(s: Array) -> Radial:
        s = np.maximum(s, 0.0)
        bottom = 1.0 + s ** (high - low)
        g = s**high / bottom
        # d/ds of s^q / (1 + s^(q-p)); with q = p the denominator is the constant 2.
        dbottom = (high - low) * s ** (high - low - 1) if high > low else np.zeros_like(s)
        dg = (high * s ** (high - 1) - g * dbottom) / bottom
        y = 1.0 / (1.0 + a * g)
        return y, -a * dg * y**2

    ycut = float(y_of(np.array([(p["rcut"] - rin) / (r0 - rin)]))[0][0])
    y, dy = y_of((r - rin) / (r0 - rin))
    x = -1.0 + 2.0 * (y - 1.0) / (ycut - 1.0)
    dx = 2.0 / (ycut - 1.0) * dy / (r0 - rin)
    free = (r > rin) & (x > -1.0) & (x < 1.0)
    return np.clip(x, -1.0, 1.0), np.where(free, dx, 0.0)


def _jacobi(x: Array, al: float, be: float, size: int) -> Radial:
    """Polynomials orthonormal under (1-x)^al (1+x)^be and their x-derivatives, by recurrence (S3)."""

    def norm(n: int) -> float:
        logs = math.lgamma(n + al + 1) + math.lgamma(n + be + 1) - math.lgamma(n + 1) - math.lgamma(n + al + be + 1)
        return math.sqrt(2.0 ** (al + be + 1) / (2 * n + al + be + 1) * math.exp(logs))

    classical = np.ones((len(x), size))
    slope = np.zeros((len(x), size))
    for n in range(1, size):
        if n == 1:
            classical[:, 1] = (al + 1) + (al + be + 2) * (x - 1) / 2
            slope[:, 1] = (al + be + 2) / 2
            continue
        s = 2 * n + al + be
        d = 2 * n * (n + al + be) * (s - 2)
        first, second = s * (s - 1) * (s - 2) / d, (al**2 - be**2) * (s - 1) / d
        third = -2 * (n + al - 1) * (n + be - 1) * s / d
        line = first * x + second
        classical[:, n] = line * classical[:, n - 1] + third * classical[:, n - 2]
        slope[:, n] = first * classical[:, n - 1] + line * slope[:, n - 1] + third * slope[:, n - 2]
    norms = np.array([norm(n) for n in range(size)])
    return classical / norms, slope / norms


def _given(x: Array, a: tuple[float, ...], b: tuple[float, ...], c: tuple[float, ...]) -> Radial:
    """P_0 = a_0, P_1 = a_1 x + b_1, P_k = (a_k x + b_k) P_k-1 + c_k P_k-2 and x-derivatives (S3)."""
    values, slopes = np.zeros((len(x), len(a))), np.zeros((len(x), len(a)))
    for k in range(len(a)):
        line = a[k] * x + b[k]
        if k == 0:
            values[:, 0] = a[0]
        elif k == 1:
            values[:, 1], slopes[:, 1] = line, a[1]
        else:
            values[:, k] = line * values[:, k - 1] + c[k] * values[:, k - 2]
            slopes[:, k] = a[k] * values[:, k - 1] + line * slopes[:, k - 1] + c[k] * slopes[:, k - 2]
    return values, slopes


def _given_spline(x: Array, c: Array) -> Radial:
    """The cubic B-spline with coefficients c [n_nodes + 2, size] on nodes from -1 to 1 (S5)."""
    n = len(c) - 2
    h = 2.0 / (n - 1)
    kappa = (x + 1.0) / h + 1.0
    i = np.clip(np.floor(kappa).astype(int), 1, n - 1)
    t = kappa - i
    u = 1.0 - t
    weights = np.stack([u**3, 4.0 - 6.0 * t**2 + 3.0 * t**3, 4.0 - 6.0 * u**2 + 3.0 * u**3, t**3], axis=1) / 6.0
    slopes = np.stack([-(u**2), -4.0 * t + 3.0 * t**2, 4.0 * u - 3.0 * u**2, t**2], axis=1) / (2.0 * h)
    rows = c[i[:, None] + np.arange(-1, 3)]
    return np.einsum("ev,evk->ek", weights, rows), np.einsum("ev,evk->ek", slopes, rows)


def _polynomials(x: Array, p: dict[str, Any], size: int) -> Radial:
    """Values and x-derivatives [n, size] of the polynomials of the options."""
    kind = p["polynomial"]
    if kind == "jacobi":
        return _jacobi(x, float(p["alpha"]), float(p["beta"]), size)
    if kind == "given":
        return _given(x, p["A"], p["B"], p["C"])
    if kind == "legendre":
        vander, derive = legendre.legvander, legendre.legder
        norms = np.sqrt(np.arange(size) + 0.5)
    elif kind == "chebyshev":
        vander, derive = chebyshev.chebvander, chebyshev.chebder
        norms = np.ones(size)
    else:
        raise PotentialError(f"polynomial {kind!r} is unknown to the interpreter")
    values = vander(x, size - 1)
    slopes = np.zeros_like(values)
    for n in range(1, size):
        series = derive(np.eye(size)[n])
        slopes[:, n] = values[:, : size - 1] @ series
    return values * norms, slopes * norms


def _natural_spline(x: Array, nodes: Array, values: Array) -> Radial:
    """Natural cubic spline through values [n_nodes, size] at equidistant nodes, by its second derivatives."""
    h = nodes[1] - nodes[0]
    n = len(nodes)
    system = np.eye(n)
    right = np.zeros_like(values)
    for k in range(1, n - 1):
        system[k, k - 1 : k + 2] = (1.0 / 6.0, 2.0 / 3.0, 1.0 / 6.0)
        right[k] = (values[k - 1] - 2.0 * values[k] + values[k + 1]) / h**2
    curvature = np.linalg.solve(system, right)
    k = np.clip(np.floor((x - nodes[0]) / h).astype(int), 0, n - 2)
    t = ((x - nodes[k]) / h)[:, None]
    u = 1.0 - t
    f0, f1, c0, c1 = values[k], values[k + 1], curvature[k], curvature[k + 1]
    value = u * f0 + t * f1 + h**2 / 6.0 * ((u**3 - u) * c0 + (t**3 - t) * c1)
    slope = (f1 - f0) / h + h / 6.0 * ((1.0 - 3.0 * u**2) * c0 + (3.0 * t**2 - 1.0) * c1)
    return value, slope


def _envelope(r: Array, x: Array, dx: Array, p: dict[str, Any]) -> Radial:
    """The envelope and its total r-derivative (S4)."""
    kind, rc = p["envelope"], p["rcut"]
    if kind == "none":
        return np.ones_like(r), np.zeros_like(r)
    if kind == "poly2sx":
        p1, p2, x1, x2 = p["p1"], p["p2"], p["x1"], p["x2"]
        inside = (x > x1) & (x < x2)
        left, right = np.where(inside, x - x1, 1.0), np.where(inside, x2 - x, 1.0)
        value = (abs(x2 - x1) / 2.0) ** -(p1 + p2) * left**p1 * right**p2
        slope = value * (p1 / left - p2 / right) * dx
        return np.where(inside, value, 0.0), np.where(inside, slope, 0.0)
    power = p["power"]
    if kind == "poly1sr":
        s = r / rc
        return (s**-power - 1.0) * (1.0 - s), (-power * s ** (-power - 1.0) * (1.0 - s) - (s**-power - 1.0)) / rc
    if kind == "ace1_poly1sr":
        s, last = r / p["r0"], rc / p["r0"]
        bend = power * last ** (-power - 1.0)
        value = s**-power - last**-power + bend * (s - last)
        return value, (bend - power * s ** (-power - 1.0)) / p["r0"]
    raise PotentialError(f"envelope {kind!r} is unknown to the interpreter")


def agnesi(r: Array, p: dict[str, Any], size: int) -> Radial:
    """g_k = envelope(r) P_{k-1}(x(r)) and dg_k/dr, [n, size]; p holds options and parameters of the family."""
    x, dx = _transform(r, p)
    if "spline" in p:
        value, slope = _given_spline(x, np.reshape(p["spline"], (int(p["spline_nodes"]) + 2, size)))
    elif p["spline_nodes"]:
        nodes = np.linspace(-1.0, 1.0, int(p["spline_nodes"]))
        value, slope = _natural_spline(x, nodes, _polynomials(nodes, p, size)[0])
    else:
        value, slope = _polynomials(x, p, size)
    envelope, denvelope = _envelope(r, x, dx, p)
    g = envelope[:, None] * value
    return g, denvelope[:, None] * value + envelope[:, None] * slope * dx[:, None]
