"""Ground floor: the embedding functions F(rho) of PACE in NumPy, for those who need them without a kernel.

F of one density with its exponent m (pace_format 9); the scale of the density multiplies both value and slope.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

KINDS = ("linear", "FinnisSinclair", "FinnisSinclairShiftedScaled")
_W = 1.0e6  # FinnisSinclair turns linear below |rho| ~ 1/W


def embedding_function(kind: str, rho: Array, m: float) -> tuple[Array, Array]:
    """F and dF/drho of one density; kind is one of KINDS.

    Args:
        kind: "linear" is F = rho whatever m.
        rho: [n].
        m: exponent.
    """
    if kind == "FinnisSinclair":
        return _finnis_sinclair(rho, m)
    if kind == "FinnisSinclairShiftedScaled":
        return _shifted_scaled(rho, m)
    return rho, np.ones_like(rho)


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
