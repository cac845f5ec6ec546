"""Stage 2, real form: a basis function as a polynomial in the real A functions, and the sizes of a basis.

Real A functions of a centre are numbered channel by channel, m = -l..l inside each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, product

import numpy as np

from acegen.basis.product import bodies
from acegen.maths.coupling import NEGLIGIBLE, Groups, half_terms
from acegen.maths.wigner import real_parts
from acegen.potential import BasisFunction, Channel, Potential
from acegen.spec.model import BasisSpec

Monomial = tuple[tuple[int, int], ...]  # (slot, m) sorted; equal channels share a slot
Terms = tuple[tuple[Monomial, float], ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """Sizes of one centre's basis: channels and A functions in use, real products AA, rows of B, pair rows."""

    n_channels: int
    n_A: int
    n_AA: int
    n_B: int
    n_pair: int


def real_offsets(channels: Sequence[Channel]) -> tuple[int, ...]:
    """Index of m = -l of every channel in the list of real A functions; the last entry is their number."""
    return tuple(accumulate((2 * channel.l + 1 for channel in channels), initial=0))


@cache
def _expansion(ms: tuple[int, ...], slots: tuple[int, ...]) -> tuple[tuple[Monomial, float], ...]:
    """Re prod_t A_{slot_t, m_t} in real A functions."""
    scale = 0.5 ** (0.5 * sum(m != 0 for m in ms))
    total: dict[Monomial, float] = {}
    for choice in product(*(real_parts(m) for m in ms)):
        phase = complex(1.0)
        for _, factor in choice:
            phase *= factor
        if phase.real != 0.0:
            key = tuple(sorted((slot, mu) for slot, (mu, _) in zip(slots, choice, strict=True)))
            total[key] = total.get(key, 0.0) + phase.real
    return tuple((key, count * scale) for key, count in total.items() if count)


def real_polynomial(ms: np.ndarray, coefficients: np.ndarray, slots: tuple[int, ...]) -> dict[Monomial, float]:
    """Collected real monomials; cancellation noise is dropped."""
    total: dict[Monomial, float] = {}
    for row, coefficient in zip(ms.tolist(), coefficients.tolist(), strict=True):
        for key, value in _expansion(tuple(row), slots):
            total[key] = total.get(key, 0.0) + coefficient * value
    return {key: value for key, value in sorted(total.items()) if abs(value) > NEGLIGIBLE}


@cache
def _pattern(shape: tuple[int, ...], ms: bytes, kind: str, coefficients: bytes, slots: tuple[int, ...]) -> Terms:
    """`real_polynomial` of a function given by its bytes: bodies that differ only in n share it."""
    rows = np.frombuffer(ms, kind).reshape(shape)
    return tuple(real_polynomial(rows, np.frombuffer(coefficients, np.float64), slots).items())


def _polynomial(function: BasisFunction) -> tuple[list[int], Terms]:
    """(distinct channels, ascending; real monomials over their positions)."""
    distinct = sorted(set(function.channels))
    slots = tuple(distinct.index(channel) for channel in function.channels)
    ms, coefficients = function.ms, np.asarray(function.coefficients, np.float64)
    return distinct, _pattern(ms.shape, ms.tobytes(), ms.dtype.str, coefficients.tobytes(), slots)


def n_real_products(function: BasisFunction) -> int:
    """Number of real products in one function."""
    return len(_polynomial(function)[1])


def real_products(
    function: BasisFunction, channels: Sequence[Channel]
) -> tuple[tuple[tuple[int, ...], ...], np.ndarray]:
    """(AA tuples of real A indices, coefficients [n]): B = sum coefficients prod A; exact for any basis function."""
    offsets = real_offsets(channels)
    distinct, polynomial = _polynomial(function)
    first = [offsets[c] + channels[c].l for c in distinct]
    tuples = tuple(tuple(first[slot] + m for slot, m in key) for key, _ in polynomial)
    return tuples, np.array([value for _, value in polynomial])


@cache
def _n_monomials(groups: Groups) -> int:
    """Number of real products in all rows of a body together."""
    slots = tuple(slot for slot, (_, k) in enumerate(groups) for _ in range(k))
    keys: set[Monomial] = set()
    for ms, coefficients in half_terms(groups):
        keys.update(real_polynomial(ms, coefficients, slots))
    return len(keys)


def counts(basis: BasisSpec | Potential, centre: int = 0) -> Counts:
    """Sizes for one centre species, from a spec (combinatorial, nothing is built) or from any potential."""
    if isinstance(basis, Potential):
        return _counts_of_potential(basis, centre)
    used: set[tuple[int, int]] = set()
    n_AA = n_B = 0
    for body in bodies(basis):
        used.update(body.factors)
        n_AA += _n_monomials(body.groups)
        n_B += body.n_rows
    n_pair = basis.pair.n_functions if basis.pair else 0
    return Counts(len(used), sum(2 * l + 1 for _, l in used), n_AA, n_B, n_pair)


def _counts_of_potential(potential: Potential, centre: int) -> Counts:
    owner = potential.centres[centre]
    many_body = [function for function in owner.functions if not function.pair]
    used = sorted({channel for function in many_body for channel in function.channels})
    bodies_found: dict[tuple[int, ...], list[Terms]] = {}
    for function in many_body:
        bodies_found.setdefault(tuple(sorted(function.channels)), []).append(_polynomial(function)[1])
    n_AA = sum(
        len(parts[0]) if len(parts) == 1 else len({key for part in parts for key, _ in part})
        for parts in bodies_found.values()
    )
    return Counts(
        n_channels=len(used),
        n_A=sum(2 * owner.channels[channel].l + 1 for channel in used),
        n_AA=n_AA,
        n_B=len(many_body),
        n_pair=len(owner.functions) - len(many_body),
    )
