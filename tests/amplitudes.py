"""Plain NumPy amplitudes of random neighbourhoods; shares no code with acegen."""

from __future__ import annotations

import numpy as np
from scipy.special import sph_harm_y


def complex_harmonics(l_max: int, vectors: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Y_lm [n] with Condon-Shortley phase for every (l, m) of the directions [n, 3]."""
    unit = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    theta, phi = np.arccos(np.clip(unit[:, 2], -1, 1)), np.arctan2(unit[:, 1], unit[:, 0])
    return {(l, m): sph_harm_y(l, m, theta, phi) for l in range(l_max + 1) for m in range(-l, l + 1)}


def real_harmonics(l_max: int, vectors: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Real orthonormal harmonics without that phase; m < 0 are the sines."""
    table = complex_harmonics(l_max, vectors)
    result = {}
    for l, m in table:
        value = (-1) ** m * np.sqrt(2.0) * table[l, abs(m)]
        result[l, m] = table[l, 0].real if m == 0 else value.real if m > 0 else value.imag
    return result


def evaluate_complex(ms, coefficients, channels, ls, radial, vectors) -> float:
    """sum_q c_q Re prod_t A_{channel_t, ms[q, t]} with A_cm = sum_j radial[c, j] Y_lm(j); ls per channel."""
    table = complex_harmonics(max(ls), vectors)
    factors = [[(radial[c] * table[ls[c], m]).sum() for c, m in zip(channels, row, strict=True)] for row in ms]
    return float(np.asarray(coefficients) @ np.prod(np.array(factors), axis=1).real)


def random_rotation(stream: np.random.Generator, improper: bool) -> np.ndarray:
    """A random orthogonal matrix with determinant -1 or 1."""
    q, r = np.linalg.qr(stream.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    return q if (np.linalg.det(q) < 0) == improper else -q
