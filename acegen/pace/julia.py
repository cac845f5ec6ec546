"""The ACE.jl part of a `.yace` file: polynomial radial basis, pair potential and repulsion (pace_format 4.6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acegen.errors import PotentialError
from acegen.pace.fields import Fields, to_integer
from acegen.pace.records import BondRecord, JuliaPair, JuliaPolynomials

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class JuliaPart:
    """The top-level keys of ACE.jl files; all empty in other files."""

    l_max: int | None
    polynomials: JuliaPolynomials | None
    coefficients: dict[Pair, tuple[float, ...]]
    repulsion: dict[Pair, tuple[float, float, float, float]]


def _read_polynomials(fields: Fields) -> JuliaPolynomials:
    size = fields.integer("maxn", least=1)
    recursion = fields.block("recursion_coefficients")
    return JuliaPolynomials(
        p=fields.integer("p", least=1),
        pl=fields.integer("pl"),
        pr=fields.integer("pr"),
        r0=fields.number("r0"),
        xl=fields.number("xl"),
        xr=fields.number("xr"),
        rcut=fields.positive("rcut"),
        a=recursion.numbers("A", size),
        b=recursion.numbers("B", size),
        c=recursion.numbers("C", size),
    )


def _pairs(fields: Fields) -> dict[Pair, object]:
    """The keys of a map by ordered pair, with the original key as value."""
    out: dict[Pair, object] = {}
    for key in fields.content:
        numbers = [to_integer(k) for k in key] if isinstance(key, tuple) else []
        if len(numbers) != 2 or None in numbers:
            raise PotentialError(f"{fields.file}: {fields.place}: expected keys [a, b], found {key!r}")
        out[int(numbers[0] or 0), int(numbers[1] or 0)] = key
    return out


def read_julia_part(top: Fields) -> JuliaPart:
    """lmax, polypairpot and reppot of the file."""
    l_max = top.integer("lmax") if top.has("lmax") else None
    if not top.has("polypairpot"):
        if top.has("reppot"):
            raise PotentialError(f"{top.file}: reppot: expected a polypairpot to go with it, found none")
        return JuliaPart(l_max, None, {}, {})
    block = top.block("polypairpot")
    polynomials = _read_polynomials(block)
    listed = block.block("coefficients")
    coefficients = {pair: listed.numbers(key, polynomials.size) for pair, key in _pairs(listed).items()}
    repulsion = {}
    if top.has("reppot"):
        walls = top.block("reppot").block("coefficients")
        for pair, key in _pairs(walls).items():
            wall = walls.block(key)
            repulsion[pair] = (wall.positive("ri"), wall.number("e0"), wall.number("A"), wall.number("B"))
    return JuliaPart(l_max, polynomials, coefficients, repulsion)


def read_julia_bond(fields: Fields, part: JuliaPart, pair: Pair) -> BondRecord:
    """One bond with ACE.jl polynomials; R_nl = g_n for every l, so there are no c_nlk."""
    if part.l_max is None:
        raise PotentialError(f"{fields.file}: lmax: required key is missing (radbasename starts with ACE.jl)")
    polynomials = _read_polynomials(fields)
    pair_part = None
    if part.polynomials is not None:
        coefficients = part.coefficients.get(pair, (0.0,) * part.polynomials.size)
        pair_part = JuliaPair(part.polynomials, coefficients, part.repulsion.get(pair))
    return BondRecord(
        basis=fields.text("radbasename"),
        n_max=polynomials.size,
        l_max=part.l_max,
        n_base=polynomials.size,
        coefficients=np.zeros((0, 0, 0)),
        rcut=polynomials.rcut,
        julia=polynomials,
        pair=pair_part,
    )
