"""Derivatives by extrapolated central differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

STEPS = (1.0, 2.0, 4.0)
# D(h), D(2h), D(4h) combined so that errors in h^2 and h^4 cancel
FACTORS = (64.0 / 45.0, -20.0 / 45.0, 1.0 / 45.0)


def directional(values: Callable[[list[float]], np.ndarray], step: float) -> np.ndarray:
    """d/dt at t = 0, error of order step^6.

    Args:
        values: t [6] -> array [6, ...], called once so that all displacements can be one batch.
    """
    offsets = [sign * k * step for k in STEPS for sign in (1.0, -1.0)]
    found = values(offsets)
    total = np.zeros_like(found[0])
    for k, factor in enumerate(FACTORS):
        total += factor * (found[2 * k] - found[2 * k + 1]) / (2.0 * STEPS[k] * step)
    return total
