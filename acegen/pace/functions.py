"""Checks shared by the readers of basis functions, and the split of C-tilde columns into rows of B."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acegen.errors import PotentialError
from acegen.pace.records import BondRecord, FunctionRecord

# Columns count as proportional when the product coefficient * weight gives every stored number back to this
# many units in the last place: the writers form each number as such a product, rounded once or twice.
PROPORTIONAL_ULPS = 4.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest quantum numbers a function may use: global maxima over the bonds (pace_format 3)."""

    n_elements: int
    n_base: int
    n_max: int
    l_max: int

    def check(self, place: str, mus: Sequence[int], ns: Sequence[int], ls: Sequence[int]) -> None:
        """Refuse species, n or l out of range; `place` opens the message."""
        largest_n = self.n_base if len(mus) == 1 else self.n_max
        largest_l = 0 if len(mus) == 1 else self.l_max
        for key, values, low, high in (
            ("mus", mus, 0, self.n_elements - 1),
            ("ns", ns, 1, largest_n),
            ("ls", ls, 0, largest_l),
        ):
            for value in values:
                if not low <= value <= high:
                    raise PotentialError(f"{place}.{key}: expected integers from {low} to {high}, found {value}")


def global_limits(bonds: dict[tuple[int, int], BondRecord], n_elements: int, l_max: int | None = None) -> Limits:
    """The maxima over bonds; ACE.jl files state l_max themselves."""
    return Limits(
        n_elements,
        max(bond.n_base for bond in bonds.values()),
        max(bond.n_max for bond in bonds.values()),
        max(bond.l_max for bond in bonds.values()) if l_max is None else l_max,
    )


def check_tuples(place: str, ls: Sequence[int], ms: np.ndarray) -> None:
    """Refuse m-tuples with |m| > l or a sum that is not zero."""
    beyond = np.abs(ms) > np.asarray(ls)
    if beyond.any():
        row = int(np.nonzero(beyond.any(axis=1))[0][0])
        raise PotentialError(f"{place}.ms_combs: expected |m| <= l for l = {list(ls)}, found {ms[row].tolist()}")
    unbalanced = ms.sum(axis=1) != 0
    if unbalanced.any():
        row = int(np.nonzero(unbalanced)[0][0])
        raise PotentialError(f"{place}.ms_combs: expected tuples that sum to 0, found {ms[row].tolist()}")


def _as_product(c: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """coefficients [n_terms] and weights [n_densities] with c = outer product to rounding, or None."""
    if len(c) == 1:
        return np.ones(1), c[0]
    row, column = np.unravel_index(int(np.argmax(np.abs(c))), c.shape)
    coefficients = c[:, column]
    if coefficients[row] == 0.0:
        return None
    weights = c[row] / coefficients[row]
    allowed = PROPORTIONAL_ULPS * np.spacing(np.abs(c))
    if np.all(np.abs(np.outer(coefficients, weights) - c) <= np.where(c == 0.0, 0.0, allowed)):
        return coefficients, weights
    return None


def split_densities(
    mus: Sequence[int], ns: Sequence[int], ls: Sequence[int], ms: np.ndarray, c: np.ndarray
) -> list[FunctionRecord]:
    """Rows of B of one C-tilde function.

    Args:
        mus, ns, ls: [rank] species, n (1-based) and l of the factors.
        ms: [n_terms, rank] the m-tuples.
        c: [n_terms, n_densities] coefficients, in eV or in the unit of the density.

    Returns:
        One row when all densities share the coefficients up to a factor, else one row per density that is not
        zero; none at all when every coefficient is zero.
    """
    key = (tuple(mus), tuple(ns), tuple(ls))
    if not c.any():
        return []
    product = _as_product(c)
    if product is not None:
        return [FunctionRecord(*key, ms, product[0], tuple(product[1].tolist()))]
    out = []
    for p in range(c.shape[1]):
        if c[:, p].any():
            unit = tuple(float(p == other) for other in range(c.shape[1]))
            kept = c[:, p] != 0.0
            out.append(FunctionRecord(*key, ms[kept], c[kept, p], unit, f" density {p + 1}"))
    return out
