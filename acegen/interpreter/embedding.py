"""Embedding functions F(rho) of PACE and their derivatives (pace_format 9)."""

from __future__ import annotations

import numpy as np

from acegen.errors import PotentialError
from acegen.potential import Embedding

Array = np.ndarray

_W = 1.0e6  # FinnisSinclair turns linear below |rho| ~ 1/W


def _finnis_sinclair(rho: Array, m: float) -> tuple[Array, Array]:
    """sgn(rho)|rho|^m, linear for |rho| << 1e-6."""
    slope = _W ** (1.0 - m)
    z = np.abs(rho)
    safe = np.where(z > 1e-10, z, 1.0)
    cube = (_W * safe) ** 3
    g = np.where(cube > 30.0, 0.0, np.exp(-np.minimum(cube, 30.0)))
    value = np.sign(rho) * ((1.0 - g) * safe**m + slope * g * safe)
    change = 3.0 * _W**3 * safe**2 * g
    derivative = m * safe ** (m - 1.0) * (1.0 - g) + change * (safe**m - slope * safe) + slope * g
    return np.where(z > 1e-10, value, slope * rho), np.where(z > 1e-10, derivative, slope)


def _shifted_scaled(rho: Array, m: float) -> tuple[Array, Array]:
    """sgn(rho) [(|rho| + c1 e^-|rho|)^m - c2 e^-|rho|]."""
    if abs(m - 1.0) < 1e-10:
        return rho, np.ones_like(rho)
    q = 1.0 / m
    c1, c2 = q ** (q / (1.0 - q)), q ** (1.0 / (1.0 - q))
    z = np.abs(rho)
    e = np.exp(-z)
    base = z + c1 * e
    derivative = m * (1.0 - c1 * e) * base ** (m - 1.0) + c2 * e
    return np.sign(rho) * (base**m - c2 * e), derivative


def embed(embedding: Embedding, rho: Array) -> tuple[Array, Array]:
    """F [n] in eV and dF/drho_p [n, n_densities] from rho [n, n_densities]."""
    total, slopes = np.zeros(len(rho)), np.empty_like(rho)
    for p, (scale, exponent) in enumerate(zip(embedding.scales, embedding.exponents, strict=True)):
        if embedding.kind == "linear":
            value, slope = rho[:, p], np.ones(len(rho))
        elif embedding.kind == "FinnisSinclair":
            value, slope = _finnis_sinclair(rho[:, p], exponent)
        elif embedding.kind == "FinnisSinclairShiftedScaled":
            value, slope = _shifted_scaled(rho[:, p], exponent)
        else:
            raise PotentialError(f"embedding {embedding.kind!r} is unknown to the interpreter")
        total += scale * value
        slopes[:, p] = scale * slope
    return total, slopes
