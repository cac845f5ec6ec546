"""Core repulsion of one ordered bond: exponential, ZBL and ACE.jl walls (pace_format 7 and 4.6)."""

from __future__ import annotations

from typing import Any

import numpy as np

from acegen.errors import PotentialError
from acegen.interpreter.pace_radial import julia_polynomials
from acegen.interpreter.switching import switch_off
from acegen.potential import Core

Array = np.ndarray

_ZBL_C = np.array([0.18175, 0.50986, 0.28022, 0.02817])
_ZBL_B = np.array([3.19980, 0.94229, 0.40290, 0.20162])
_COULOMB = 14.399645351950543  # eV angstrom


def _exponential(r: Array, p: dict[str, Any], switched: bool) -> tuple[Array, Array]:
    z = p["h"] * r**2
    e = np.where(z < 50.0, np.exp(-np.minimum(z, 50.0)), 0.0)
    bare = p["q"] * e / r
    dbare = -bare * (2.0 * p["h"] * r + 1.0 / r)
    k = np.pi / p["rcut"]
    fade, dfade = 0.5 * (1.0 + np.cos(k * r)), -0.5 * k * np.sin(k * r)
    value, slope = bare * fade, dbare * fade + bare * dfade
    if switched:
        on, don = switch_off(r, p["r_in"], p["d_in"])
        value, slope = value * on, slope * on + value * don
    return value, slope


def _screened(r: Array, length: float) -> tuple[Array, Array, Array]:
    """e(r) = phi(r/length)/r with first and second derivative."""
    terms = _ZBL_C * np.exp(-_ZBL_B * r[:, None] / length)
    phi, dphi, ddphi = (np.sum(terms * (-_ZBL_B / length) ** k, axis=1) for k in range(3))
    return phi / r, dphi / r - phi / r**2, ddphi / r - 2.0 * dphi / r**2 + 2.0 * phi / r**3


def _zbl(r: Array, p: dict[str, Any]) -> tuple[Array, Array]:
    length = 0.46850 / (p["za"] ** 0.23 + p["zb"] ** 0.23)
    outer, width = p["rcut"], p["dcut"]
    e1, e2, e3 = (float(v[0]) for v in _screened(np.array([outer]), length))
    cubic, quartic = 0.0, 0.0
    if width > 0.0:
        cubic, quartic = (-3.0 * e2 + width * e3) / width**2, (2.0 * e2 - width * e3) / width**3
    constant = -e1 + width * e2 / 2.0 - width**2 * e3 / 12.0
    t = np.maximum(r - (outer - width), 0.0)
    e, de, _ = _screened(r, length)
    value = e + constant + cubic / 3.0 * t**3 + quartic / 4.0 * t**4
    slope = de + cubic * t**2 + quartic * t**3
    on, don = switch_off(r, outer, width)
    strength = p["prehc"] * _COULOMB / 2.0 * p["za"] * p["zb"]
    return strength * value * on, strength * (slope * on + value * don)


def _julia(r: Array, p: dict[str, Any], repulsive: bool) -> tuple[Array, Array]:
    coefficients = np.array(p["coef"])
    g, dg = julia_polynomials(r, p, len(coefficients))
    value, slope = g @ coefficients, dg @ coefficients
    if repulsive:
        ri, a = p["ri"], p["rep_A"]
        wall = p["rep_B"] * np.exp(-a * (r / ri - 1.0)) * ri / r
        inside = r <= ri
        value = np.where(inside, p["e0"] + wall, value)
        slope = np.where(inside, -wall * (a / ri + 1.0 / r), slope)
    return 0.5 * value, 0.5 * slope


def core_energy(core: Core, r: Array) -> tuple[Array, Array]:
    """core(r) in eV and its derivative at distances r [n] < cutoff."""
    options, parameters = dict(core.options), dict(core.parameters)
    if core.kind == "exponential":
        return _exponential(r, parameters, bool(options["switched"]))
    if core.kind == "zbl":
        return _zbl(r, parameters)
    if core.kind == "acejl":
        return _julia(r, parameters | options, bool(options["repulsive"]))
    raise PotentialError(f"core repulsion {core.kind!r} is unknown to the interpreter")
