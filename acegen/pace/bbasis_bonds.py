"""The bonds of a B-basis `.yaml` file, with the rules of dual blocks (pace_format 12.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acegen.errors import PotentialError
from acegen.pace.fields import Fields
from acegen.pace.radial import JULIA_PREFIX, check_inner_mode, check_radial_basis
from acegen.pace.records import BondRecord

# Keys of the outer radial part: a block states all of them or leaves them to its dual.
_OUTER = ("nradmaxi", "lmaxi", "nradbaseij", "radbase", "radparameters", "radcoefficients", "rcutij", "dcutij")


@dataclass(frozen=True, slots=True)
class Block:
    """One entry of `species`: the first symbol is the centre."""

    fields: Fields
    symbols: tuple[str, ...]

    @property
    def distinct(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.symbols))


@dataclass(frozen=True, slots=True)
class _Outer:
    """Radial basis of a block."""

    basis: str
    n_max: int
    l_max: int
    n_base: int
    lam: float
    rcut: float
    dcut: float
    coefficients: np.ndarray  # [n_max, l_max+1, n_base]

    def equals(self, other: _Outer) -> bool:
        """Whether both orders of a pair state the same."""
        mine = (self.basis, self.n_max, self.l_max, self.n_base, self.lam, self.rcut, self.dcut)
        theirs = (other.basis, other.n_max, other.l_max, other.n_base, other.lam, other.rcut, other.dcut)
        return mine == theirs and np.array_equal(self.coefficients, other.coefficients)


def _read_outer(fields: Fields) -> _Outer:
    basis = fields.text("radbase")
    place = f"{fields.file}: {fields.where('radbase')}"
    check_radial_basis(basis, place)
    if basis.startswith(JULIA_PREFIX):
        raise PotentialError(f"{place}: expected a basis with c_nlk in a .yaml file, found {basis!r}")
    n_max, l_max = fields.integer("nradmaxi"), fields.integer("lmaxi")
    n_base = fields.integer("nradbaseij")
    raw = fields.sequence("radcoefficients")
    if raw and not isinstance(raw[0], (list, tuple)):  # deprecated flat list: k slowest, then n, l fastest
        flat = np.array(fields.numbers("radcoefficients", n_base * n_max * (l_max + 1)))
        coefficients = flat.reshape(n_base, n_max, l_max + 1).transpose(1, 2, 0)
    else:
        coefficients = fields.grid("radcoefficients", (n_max, l_max + 1, n_base))
    return _Outer(
        basis=basis,
        n_max=n_max,
        l_max=l_max,
        n_base=n_base,
        lam=fields.numbers("radparameters", least=1)[0],
        rcut=fields.positive("rcutij"),
        dcut=fields.number("dcutij", least=0.0),
        coefficients=coefficients,
    )


def _choose_outer(own: Fields, dual: Fields) -> _Outer:
    """The block's own radial basis, or the one of the dual block when it has none."""
    stated = [fields for fields in (own, dual) if any(fields.has(key) for key in _OUTER)]
    if not stated:
        return _read_outer(own)  # raises: names the missing key
    outer = _read_outer(stated[0])
    if len(stated) == 2 and own is not dual and not outer.equals(_read_outer(dual)):
        raise PotentialError(f"{own.file}: {own.place}: expected the same radial basis as in {dual.place}")
    return outer


def _read_bond(own: Fields, dual: Fields) -> BondRecord:
    outer = _choose_outer(own, dual)
    # Without a core repulsion of its own a block takes the dual's, together with its inner cutoff.
    inner = own if own.has("core-repulsion") or not dual.has("core-repulsion") else dual
    prehc, lambdahc = inner.numbers("core-repulsion", 2) if inner.has("core-repulsion") else (0.0, 0.0)
    mode = inner.text("inner_cutoff_type", "density")
    check_inner_mode(mode, f"{inner.file}: {inner.where('inner_cutoff_type')}")
    return BondRecord(
        basis=outer.basis,
        n_max=outer.n_max,
        l_max=outer.l_max,
        n_base=outer.n_base,
        coefficients=outer.coefficients,
        lam=outer.lam,
        prehc=prehc,
        lambdahc=lambdahc,
        rcut=outer.rcut,
        dcut=outer.dcut,
        r_in=inner.number("r_in", 0.0),
        d_in=inner.number("delta_in", 0.0, least=0.0),
        inner=mode,
    )


def read_bonds(file: str, blocks: list[Block], elements: tuple[str, ...]) -> dict[tuple[int, int], BondRecord]:
    """All ordered bonds from the blocks of one and two elements.

    Raises:
        PotentialError: when a block is missing or two blocks contradict each other.
    """
    found: dict[tuple[str, str], Fields] = {}
    for block in blocks:
        if len(block.distinct) <= 2:
            pair = (block.distinct[0], block.distinct[-1])
            if pair in found:
                raise PotentialError(f"{file}: species: expected one block '{' '.join(pair)}', found two")
            found[pair] = block.fields
    bonds = {}
    for a, first in enumerate(elements):
        for b, second in enumerate(elements):
            if (first, second) not in found:
                name = first if a == b else f"{first} {second}"
                raise PotentialError(f"{file}: species: expected a block '{name}' for this bond, found none")
            own = found[first, second]
            bonds[a, b] = _read_bond(own, found.get((second, first), own))
    return bonds
