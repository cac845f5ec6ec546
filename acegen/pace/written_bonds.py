"""Bonds of a Potential as `.yace` records: the way back from families of primitives to PACE's names (pace_format 3, 4).

What PACE has no name for is refused with the key of the specification that stands in the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from acegen.errors import PotentialError
from acegen.pace.assemble import SQRT_4PI
from acegen.pace.records import BondRecord
from acegen.potential import Bond, Channel, Potential, RadialFamily

_NAMES = {"chebexpcos": "ChebExpCos", "chebpow": "ChebPow", "cheblinear": "ChebLinear", "sbessel": "SBessel"}
_SPEC = (".yaml", ".yml")  # B-bases have these endings too, and none of the families refused here


@dataclass
class WrittenBond:
    """One ordered bond while its functions are collected: R_nl rows in use, by l."""

    record: BondRecord  # without sizes and coefficients
    offsets: tuple[int, ...]  # number of primitives before each family
    size: int  # primitives, common to all families
    rows: dict[int, dict[bytes, int]] = field(default_factory=dict)  # l -> coefficients -> n, from 1

    def over_primitives(self, coefficients: np.ndarray) -> np.ndarray:
        """Coefficients [n_primitives of the bond] added up over families that are the same functions."""
        out = np.zeros(self.size)
        for first, end in zip(self.offsets, (*self.offsets[1:], len(coefficients)), strict=True):
            out[: end - first] += coefficients[first:end]
        return out

    def number_of(self, l: int, coefficients: np.ndarray) -> int:
        """n of the radial function with these coefficients over the primitives; 0 where it is zero."""
        row = self.over_primitives(coefficients) / SQRT_4PI
        if not np.any(row):
            return 0
        known = self.rows.setdefault(l, {})
        return known.setdefault(row.tobytes(), len(known) + 1)

    def complete(self) -> BondRecord:
        """The record with the sizes and c_nlk of the functions met so far."""
        n_max = max((len(known) for known in self.rows.values()), default=0)
        l_max = max(self.rows, default=0)
        coefficients = np.zeros((n_max, l_max + 1, self.size))
        for l, known in self.rows.items():
            for row, n in known.items():
                coefficients[n - 1, l] = np.frombuffer(row)
        return replace(self.record, n_max=n_max, l_max=l_max, n_base=self.size, coefficients=coefficients)


def start_bonds(potential: Potential) -> list[list[WrittenBond]]:
    """[centre][neighbour], before any function is collected.

    Raises:
        PotentialError: a radial basis or a core repulsion that PACE does not have.
    """
    mode = _mode(potential)
    names = potential.species
    return [
        [_start(potential, bond, f"{names[a]}-{names[b]}", mode) for b, bond in enumerate(row)]
        for a, row in enumerate(potential.bonds)
    ]


def parts_of(channel: Channel, bonds: Sequence[Bond]) -> list[tuple[int, np.ndarray]]:
    """(neighbour, coefficients over the primitives of that bond) of a channel."""
    row = np.asarray(channel.coefficients, float)
    if channel.neighbour >= 0:
        return [(channel.neighbour, row)]
    ends = np.cumsum([bond.n_primitives for bond in bonds])
    return list(enumerate(np.split(row, ends[:-1])))


def _mode(potential: Potential) -> str:
    """The inner cutoff mode, one for all bonds."""
    if potential.switching == "zbl":
        return "zbl"
    bonds = [bond for row in potential.bonds for bond in row]
    modes = {dict(family.options).get("inner") for bond in bonds for family in bond.families}
    cores = [dict(bond.core.options) for bond in bonds if bond.core is not None]
    switched = "switch" in modes or any(options.get("switched") for options in cores)
    if switched and ("step" in modes or not all(options.get("switched") for options in cores)):
        raise PotentialError(
            f"{potential.source}: expected one inner cutoff mode for all bonds of a .yace file, found two"
        )
    return "distance" if switched else "density"


def _start(potential: Potential, bond: Bond, pair: str, mode: str) -> WrittenBond:
    first = bond.families[0]
    for number, family in enumerate(bond.families):
        key = ("radial.kind", "pair.kind")[min(number, 1)] if potential.source.endswith(_SPEC) else "radial functions"
        if family.kind not in _NAMES:
            raise PotentialError(
                f"{potential.source}: {key}: expected a radial basis of PACE ({', '.join(_NAMES.values())}) to write "
                f"a .yace file, found {family.kind!r} for {pair}"
            )
        if (family.kind, family.options, family.parameters) != (first.kind, first.options, first.parameters):
            raise PotentialError(
                f"{potential.source}: {key}: expected the radial basis of the many-body functions to write a .yace "
                f"file, which has one per bond, found another for {pair}"
            )
    offsets = tuple(int(sum(family.size for family in bond.families[:k])) for k in range(len(bond.families)))
    size = max(1, *(family.size for family in bond.families))
    record = _with_core(potential, bond, pair, _plain_record(first, bond, mode))
    return WrittenBond(record, offsets, size)


def _plain_record(family: RadialFamily, bond: Bond, mode: str) -> BondRecord:
    numbers = {key: value for key, value in family.parameters if isinstance(value, float)}
    window = bond.switch_window if mode == "zbl" else (numbers.get("r_in", 0.0), numbers.get("d_in", 0.0))
    return BondRecord(
        basis=_NAMES[family.kind],
        n_max=0,
        l_max=0,
        n_base=0,
        coefficients=np.zeros((0, 1, 0)),
        lam=numbers.get("lam", 0.0),
        lambdahc=1.0,
        rcut=bond.cutoff,
        dcut=numbers.get("dcut", 0.0),
        r_in=window[0],
        d_in=window[1],
        inner=mode,
    )


def _with_core(potential: Potential, bond: Bond, pair: str, record: BondRecord) -> BondRecord:
    if bond.core is None:
        return record
    numbers = {key: value for key, value in bond.core.parameters if isinstance(value, float)}
    if bond.core.kind == "zbl":
        return replace(record, prehc=numbers["prehc"], dcut=numbers["dcut"])
    if bond.core.kind == "exponential":
        window = (numbers.get("r_in", record.r_in), numbers.get("d_in", record.d_in))
        return replace(record, prehc=numbers["q"], lambdahc=numbers["h"], r_in=window[0], d_in=window[1])
    raise PotentialError(
        f"{potential.source}: expected a core repulsion that a .yace file can hold, found {bond.core.kind!r} for {pair}"
    )
