"""Complex orthonormal spherical harmonics with Condon-Shortley phase, and their gradients on the unit sphere.

Y_lm(u) = Q_lm(z) (x + i y)^m for m >= 0 with the recurrences of pace_format 5, divided by sqrt(4 pi);
Y_l,-m = (-1)^m conj(Y_lm).
"""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray


def _legendre_part(l_max: int, z: Array) -> tuple[dict[tuple[int, int], Array], dict[tuple[int, int], Array]]:
    """Q_lm(z) and dQ_lm/dz for 0 <= m <= l <= l_max."""
    zero = np.zeros_like(z)
    q = {(0, 0): np.full_like(z, 1.0 / math.sqrt(4.0 * math.pi))}
    dq = {(0, 0): zero}
    for m in range(l_max + 1):
        if m > 0:
            q[m, m] = -math.sqrt((2 * m + 1) / (2 * m)) * q[m - 1, m - 1]
            dq[m, m] = zero
        for l in range(m + 1, l_max + 1):
            a = math.sqrt((4 * l * l - 1) / (l * l - m * m))
            b = math.sqrt(((l - 1) ** 2 - m * m) / (4 * (l - 1) ** 2 - 1))
            below, dbelow = (q[l - 2, m], dq[l - 2, m]) if l > m + 1 else (zero, zero)
            q[l, m] = a * (z * q[l - 1, m] - b * below)
            dq[l, m] = a * (q[l - 1, m] + z * dq[l - 1, m] - b * dbelow)
    return q, dq


def harmonics(l_max: int, u: Array) -> tuple[list[Array], list[Array]]:
    """Harmonics of unit vectors.

    Args:
        l_max: largest l.
        u: [n, 3] unit vectors.

    Returns:
        Per l: values [n, 2l+1] for m = -l..l, and tangential gradients [n, 2l+1, 3] (times 1/r for d/dr_vec).
    """
    x, y, z = u.T
    q, dq = _legendre_part(l_max, z)
    powers = [np.ones(len(u), dtype=complex)]
    for _ in range(l_max):
        powers.append(powers[-1] * (x + 1j * y))
    values, gradients = [], []
    for l in range(l_max + 1):
        value = np.zeros((len(u), 2 * l + 1), dtype=complex)
        gradient = np.zeros((len(u), 2 * l + 1, 3), dtype=complex)
        for m in range(l + 1):
            value[:, l + m] = q[l, m] * powers[m]
            inner = m * powers[m - 1] * q[l, m] if m > 0 else np.zeros(len(u), dtype=complex)
            free = np.stack([inner, 1j * inner, powers[m] * dq[l, m]], axis=1)
            gradient[:, l + m] = free - np.sum(free * u, axis=1, keepdims=True) * u
            sign = (-1) ** m
            value[:, l - m] = sign * np.conj(value[:, l + m]) if m else value[:, l]
            gradient[:, l - m] = sign * np.conj(gradient[:, l + m]) if m else gradient[:, l]
        values.append(value)
        gradients.append(gradient)
    return values, gradients
