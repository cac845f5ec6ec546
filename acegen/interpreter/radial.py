"""Radial primitives of a bond: every family kind by name, with inner switching (pace_format 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from acegen.errors import PotentialError
from acegen.interpreter.agnesi import agnesi
from acegen.interpreter.pace_radial import chebexpcos, cheblinear, chebpow, julia_polynomials, sbessel, zero
from acegen.interpreter.switching import switch_off
from acegen.potential import Bond, RadialFamily

Array = np.ndarray

FAMILIES: dict[str, Callable[[Array, dict[str, Any], int], tuple[Array, Array]]] = {
    "acejl": julia_polynomials,
    "agnesi": agnesi,
    "chebexpcos": chebexpcos,
    "cheblinear": cheblinear,
    "chebpow": chebpow,
    "sbessel": sbessel,
    "zero": zero,
}


def family_values(family: RadialFamily, r: Array) -> tuple[Array, Array]:
    """g_k(r) and dg_k/dr of one family, [n, size], at distances r [n] below the cutoff (angstrom)."""
    formula = FAMILIES.get(family.kind)
    if formula is None:
        raise PotentialError(f"radial family {family.kind!r} is unknown to the interpreter")
    numbers: dict[str, Any] = dict(family.options) | dict(family.parameters)
    if family.size == 0 or len(r) == 0:
        return np.zeros((len(r), family.size)), np.zeros((len(r), family.size))
    g, dg = formula(r, numbers, family.size)
    inner = numbers.get("inner", "none")
    if inner == "none":
        return g, dg
    if inner not in ("switch", "step"):
        raise PotentialError(f"inner switching {inner!r} is unknown to the interpreter")
    outside = (r > numbers["r_in"] - numbers["d_in"])[:, None]
    if inner == "switch":
        off, doff = switch_off(r, numbers["r_in"], numbers["d_in"])
        dg = dg * (1.0 - off)[:, None] - g * doff[:, None]
        g = g * (1.0 - off)[:, None]
    return np.where(outside, g, 0.0), np.where(outside, dg, 0.0)


def bond_values(bond: Bond, r: Array) -> tuple[Array, Array]:
    """All primitives of a bond through its families in order, [n, n_primitives], and their derivatives."""
    parts = [family_values(family, r) for family in bond.families]
    return np.hstack([g for g, _ in parts]), np.hstack([dg for _, dg in parts])
