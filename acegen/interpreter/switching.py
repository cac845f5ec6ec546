"""The quintic switching polynomial P(x; x0, w) of PACE (pace_format 6)."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def switch_off(x: Array, x0: Array | float, width: Array | float) -> tuple[Array, Array]:
    """P = 1 for x <= x0 - width, 0 for x >= x0, a C2 quintic between; a step at x0 for width 0.

    Returns:
        P and dP/dx, of the shape of x.
    """
    x = np.asarray(x, dtype=float)
    safe = np.where(np.asarray(width) == 0.0, 1.0, width)
    s = np.clip(1.0 - 2.0 * (1.0 + (x - x0) / safe), -1.0, 1.0)
    value = 0.5 + 15.0 / 4.0 * (s / 4.0 - s**3 / 6.0 + s**5 / 20.0)
    slope = -15.0 / (8.0 * safe) * (1.0 - s**2) ** 2
    low = x <= x0 - width
    high = ~low & (x >= x0)
    return np.where(low, 1.0, np.where(high, 0.0, value)), np.where(low | high, 0.0, slope)
