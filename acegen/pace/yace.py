"""Stage 1 for `.yace` files: the C-tilde YAML of pacemaker becomes records (pace_format 12.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from acegen.errors import PotentialError
from acegen.pace.fields import Fields, show, to_integer
from acegen.pace.functions import Limits, check_tuples, global_limits, split_densities
from acegen.pace.julia import JuliaPart, read_julia_bond, read_julia_part
from acegen.pace.loader import load_yaml
from acegen.pace.radial import JULIA_PREFIX, check_inner_mode, check_radial_basis
from acegen.pace.records import BondRecord, EmbeddingRecord, FunctionRecord, Records

EMBEDDINGS = ("FinnisSinclair", "FinnisSinclairShiftedScaled")


def read_elements(top: Fields) -> tuple[str, ...]:
    """The element symbols, refused when one appears twice."""
    elements = tuple(top.sequence("elements", least=1))
    for symbol in elements:
        if not isinstance(symbol, str):
            raise top.fail("elements", "element symbols", symbol)
        if elements.count(symbol) > 1:
            raise PotentialError(f"{top.file}: elements: expected different elements, found {symbol!r} twice")
    return elements


def pair_embedding(kind: str, numbers: tuple[float, ...], place: str, cutoff: float, width: float) -> EmbeddingRecord:
    """The embedding of the flat list w_1, m_1, w_2, m_2, ...; `place` opens a message."""
    if kind not in EMBEDDINGS:
        raise PotentialError(f"{place}.npoti: expected {' or '.join(EMBEDDINGS)}, found {kind!r}")
    scales, exponents = numbers[0::2], numbers[1::2]
    for exponent in exponents:
        if exponent <= 0.0:
            raise PotentialError(f"{place}: expected exponents m > 0, found {exponent!r}")
    return EmbeddingRecord(kind, scales, exponents, cutoff, width)


def _read_embedding(fields: Fields) -> EmbeddingRecord:
    n_densities = fields.integer("ndensity", least=1)
    return pair_embedding(
        fields.text("npoti"),
        fields.numbers("FS_parameters", 2 * n_densities),
        f"{fields.file}: {fields.place}",
        fields.number("rho_core_cutoff"),
        fields.number("drho_core_cutoff", least=0.0),
    )


def _read_bond(fields: Fields, julia: JuliaPart, pair: tuple[int, int]) -> BondRecord:
    basis = fields.text("radbasename")
    check_radial_basis(basis, f"{fields.file}: {fields.where('radbasename')}")
    if basis.startswith(JULIA_PREFIX):
        return read_julia_bond(fields, julia, pair)
    n_max, l_max = fields.integer("nradmax"), fields.integer("lmax")
    n_base = fields.integer("nradbasemax")
    inner = fields.text("inner_cutoff_type", "density")  # absent means density: old files (T4)
    check_inner_mode(inner, f"{fields.file}: {fields.where('inner_cutoff_type')}")
    shape = (n_max, l_max + 1, n_base)
    return BondRecord(
        basis=basis,
        n_max=n_max,
        l_max=l_max,
        n_base=n_base,
        coefficients=fields.grid("radcoefficients", shape),
        lam=fields.numbers("radparameters", least=1)[0],
        prehc=fields.number("prehc"),
        lambdahc=fields.number("lambdahc"),
        rcut=fields.positive("rcut"),
        dcut=fields.number("dcut", least=0.0),
        r_in=fields.number("rcut_in", 0.0),
        d_in=fields.number("dcut_in", 0.0, least=0.0),
        inner=inner,
    )


def _pair_key(fields: Fields, key: Any, n: int) -> tuple[int, int]:
    numbers = tuple(to_integer(k) for k in key) if isinstance(key, tuple) else ()
    if len(numbers) != 2 or any(k is None or not 0 <= k < n for k in numbers):
        raise PotentialError(
            f"{fields.file}: {fields.place}: expected keys [a, b] with elements from 0 to {n - 1}, found {show(key)}"
        )
    return int(numbers[0] or 0), int(numbers[1] or 0)


def read_bonds(top: Fields, julia: JuliaPart, elements: tuple[str, ...]) -> dict[tuple[int, int], BondRecord]:
    """All ordered bonds; every pair must be there."""
    fields = top.block("bonds")
    bonds = {}
    for key in fields.content:
        pair = _pair_key(fields, key, len(elements))
        place = f"bonds.[{pair[0]}, {pair[1]}]"
        block = fields.block(key)
        bonds[pair] = _read_bond(Fields(top.file, place, block.content), julia, pair)
    for a, first in enumerate(elements):
        for b, second in enumerate(elements):
            if (a, b) not in bonds:
                raise PotentialError(
                    f"{top.file}: bonds: expected every ordered pair, [{a}, {b}] ({first}-{second}) is missing"
                )
    return bonds


def _read_function(fields: Fields, a: int, n_densities: int, limits: Limits) -> list[FunctionRecord]:
    rank, n_terms = fields.integer("rank", least=1), fields.integer("num_ms_combs")
    if fields.integer("mu0") != a:
        raise fields.fail("mu0", f"{a}, the element it is listed under", fields.get("mu0"))
    if fields.integer("ndensity") != n_densities:
        raise fields.fail("ndensity", f"{n_densities}, as in the embedding", fields.get("ndensity"))
    mus, ns, ls = (fields.integers(key, rank) for key in ("mus", "ns", "ls"))
    place = f"{fields.file}: {fields.place}"
    limits.check(place, mus, ns, ls)
    ms = np.array(fields.integers("ms_combs", n_terms * rank), dtype=np.int64).reshape(n_terms, rank)
    check_tuples(place, ls, ms)
    c = np.array(fields.numbers("ctildes", n_terms * n_densities)).reshape(n_terms, n_densities)
    return split_densities(mus, ns, ls, ms, c)


def _read_functions(top: Fields, a: int, embedding: EmbeddingRecord, limits: Limits) -> tuple[FunctionRecord, ...]:
    block = top.block("functions")
    if not block.has(a):  # an element without functions is legal here (T15)
        return ()
    out: list[FunctionRecord] = []
    for index, entry in enumerate(block.sequence(a)):
        place = f"functions.{a}[{index}]"
        if not isinstance(entry, dict):
            raise PotentialError(f"{top.file}: {place}: expected a map, found {show(entry)}")
        out += _read_function(Fields(top.file, place, entry), a, len(embedding.scales), limits)
    return tuple(out)


def _check_numbering(fields: Fields, n: int) -> None:
    for key in fields.content:
        if isinstance(key, bool) or not isinstance(key, int) or not 0 <= key < n:
            raise PotentialError(
                f"{fields.file}: {fields.place}: expected element numbers from 0 to {n - 1} as keys, found {show(key)}"
            )


def read_yace(path: Path, text: str) -> Records:
    """The records of a `.yace` file.

    Args:
        path: the file, for messages.
        text: its content.

    Raises:
        PotentialError: when a key is missing, of a wrong type or length, or out of range.
    """
    top = Fields(path.name, "", load_yaml(path, text))
    elements = read_elements(top)
    n = len(elements)
    e0 = top.numbers("E0", n)
    embeddings_block = top.block("embeddings")
    _check_numbering(embeddings_block, n)
    _check_numbering(top.block("functions"), n)
    embeddings = tuple(_read_embedding(embeddings_block.block(a)) for a in range(n))
    julia = read_julia_part(top)
    bonds = read_bonds(top, julia, elements)
    limits = global_limits(bonds, n, julia.l_max)
    functions = tuple(_read_functions(top, a, embeddings[a], limits) for a in range(n))
    return Records(path.name, elements, e0, embeddings, bonds, functions)
