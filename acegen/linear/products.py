"""Rows of B given over products of real A functions become sums of Re prod A over m-tuples (acegen.potential).

With Y_lm and S_lm as there:  S_l0 = Y_l0,  S_lm = ((-1)^m Y_lm + Y_l-m)/sqrt2,  S_l-m = -i ((-1)^m Y_lm - Y_l-m)/sqrt2
for m > 0.  A row that is invariant under rotation and inversion has real terms with sum m = 0 only, and the raising
operator J+ Y_lm = sqrt((l-m)(l+m+1)) Y_l,m+1, acting as a derivation, annihilates it.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import product

import numpy as np

Product = tuple[tuple[int, int], ...]  # factors (slot, m), sorted; equal channels share a slot

NEGLIGIBLE = 1e-12  # relative: below are rounding errors of the file, exact entries exceed it by far
TOLERANCE = 1e-9  # relative: forbidden terms above say that the row is no invariant


@cache
def _complex_parts(m: int) -> tuple[tuple[int, complex], ...]:
    """S_lm = 2^(-1/2) sum phase Y_l,mu for m != 0: pairs (mu, phase)."""
    if m == 0:
        return ((0, 1.0 + 0.0j),)
    sign = complex((-1) ** m)
    return ((m, sign), (-m, 1.0 + 0.0j)) if m > 0 else ((-m, -1j * sign), (m, 1j))


@cache
def _expansion(factors: Product) -> tuple[tuple[Product, complex], ...]:
    """One real product in complex ones."""
    scale = 0.5 ** (0.5 * sum(m != 0 for _, m in factors))
    total: dict[Product, complex] = {}
    for choice in product(*(_complex_parts(m) for _, m in factors)):
        phase = complex(1.0)
        for _, part in choice:
            phase *= part
        key = tuple(sorted((slot, mu) for (slot, _), (mu, _) in zip(factors, choice, strict=True)))
        total[key] = total.get(key, 0j) + phase
    return tuple((key, value * scale) for key, value in total.items() if value)


@cache
def complex_terms(
    products: tuple[Product, ...], values: tuple[float, ...], degrees: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray] | None:
    """ms [n_terms, order] and coefficients [n_terms] of sum values prod S, as a `BasisFunction` has them.

    Factors are ordered by (slot, m); `degrees` are the l of the slots.  Of a tuple and its negative one is kept, with
    twice the coefficient.

    Returns:
        None: the sum is not invariant under rotation and inversion.
    """
    total: dict[Product, complex] = {}
    for factors, number in zip(products, values, strict=True):
        for key, coefficient in _expansion(factors):
            total[key] = total.get(key, 0j) + number * coefficient
    size = max(abs(value) for value in values)
    if not _invariant(total, degrees, TOLERANCE * size):
        return None
    kept: dict[Product, float] = {}
    for key in sorted(total):
        value = total[key].real
        partner = tuple(sorted((slot, -m) for slot, m in key))
        if sum(m for _, m in key) == 0 and key >= partner and abs(value) > NEGLIGIBLE * size:
            kept[key] = value if key == partner else 2.0 * value
    ms = np.array([[m for _, m in key] for key in kept], dtype=np.int16).reshape(len(kept), len(products[0]))
    coefficients = np.array(list(kept.values()))
    ms.setflags(write=False)
    coefficients.setflags(write=False)
    return ms, coefficients


def _invariant(terms: dict[Product, complex], degrees: tuple[int, ...], tolerance: float) -> bool:
    """Whether forbidden terms, and the terms after J+, stay below the tolerance."""
    raised: dict[Product, complex] = {}
    for key, value in terms.items():
        if (abs(value) if sum(m for _, m in key) else abs(value.imag)) > tolerance:
            return False
        for t, (slot, m) in enumerate(key):
            l = degrees[slot]
            if m < l:
                up = tuple(sorted((*key[:t], (slot, m + 1), *key[t + 1 :])))
                raised[up] = raised.get(up, 0j) + value * math.sqrt((l - m) * (l + m + 1))
    return all(abs(value) <= 10.0 * tolerance for value in raised.values())
