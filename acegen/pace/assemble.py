"""Stage 1 end: the records of a PACE file become the internal Potential (conventions in acegen.potential)."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from acegen.errors import PotentialError
from acegen.names import reserved
from acegen.pace.radial import global_mode, is_julia, make_bonds
from acegen.pace.records import EmbeddingRecord, FunctionRecord, Records
from acegen.potential import BasisFunction, Bond, Centre, Channel, Embedding, Potential

# PACE harmonics have Y_00 = 1: sqrt(4 pi) times the orthonormal ones (pace_format 5).  One factor per A.
SQRT_4PI = math.sqrt(4.0 * math.pi)

LARGEST = 1e30  # coefficient of a function, in eV for linear embeddings; more would overflow in single precision

# (neighbour, rank 1?, l, n): the rank-1 channels, which are bare primitives, come last.
ChannelKey = tuple[int, int, int, int]


def c_identifier(stem: str) -> str:
    """A C identifier made of a file stem: other characters become underscores."""
    name = re.sub(r"\W", "_", stem, flags=re.ASCII)
    if reserved(name):
        return f"potential_{name}"
    return name if name and not name[0].isdigit() else f"ace_{name}"


def make_embedding(record: EmbeddingRecord) -> Embedding:
    """The embedding; kind "linear" where every F_p is exactly the identity (section 9, exponent 1)."""
    if record.kind == "FinnisSinclair":
        linear = all(m == 1.0 for m in record.exponents)
    else:
        linear = all(abs(m - 1.0) < 1e-10 for m in record.exponents)
    return Embedding("linear" if linear else record.kind, record.scales, record.exponents)


def _channel_keys(function: FunctionRecord) -> list[ChannelKey]:
    if len(function.mus) == 1:
        return [(1, function.mus[0], 0, function.ns[0])]
    return [(0, mu, l, n) for mu, n, l in zip(function.mus, function.ns, function.ls, strict=True)]


def _make_channel(key: ChannelKey, records: Records, a: int, size: int) -> Channel:
    bare, b, l, n = key
    record = records.bonds[a, b]
    row = np.zeros(size)
    if bare or is_julia(record):  # R_nl = g_n for every l with ACE.jl polynomials
        row[n - 1] = 1.0
    elif n <= record.n_max and l <= record.l_max:  # beyond the bond's own sizes c_nlk is zero (section 3)
        row[: record.n_base] = record.coefficients[n - 1, l]
    return Channel(b, n, l, tuple((SQRT_4PI * row).tolist()))


def _label(function: FunctionRecord, elements: tuple[str, ...]) -> str:
    factors = zip(function.mus, function.ns, function.ls, strict=True)
    return "".join(f"({elements[mu]} {n} {l})" for mu, n, l in factors) + function.note


def make_centre(records: Records, a: int, size: int) -> Centre:
    """Channels, functions and weights of one centre species."""
    functions = records.functions[a]
    keys = sorted({key for function in functions for key in _channel_keys(function)})
    place = {key: index for index, key in enumerate(keys)}
    rows = tuple(
        BasisFunction(
            channels=tuple(place[key] for key in _channel_keys(function)),
            ms=function.ms,
            coefficients=function.coefficients,
            label=_label(function, records.elements),
        )
        for function in functions
    )
    embedding = records.embeddings[a]
    weights = np.array([function.weights for function in functions], dtype=np.float64)
    return Centre(
        e0=records.e0[a],
        channels=tuple(_make_channel(key, records, a, size) for key in keys),
        functions=rows,
        weights=weights.reshape(len(functions), len(embedding.scales)),
        embedding=make_embedding(embedding),
        core_cutoff=embedding.core_cutoff,
        core_width=embedding.core_width,
    )


def _switching(mode: str, bonds: tuple[tuple[Bond, ...], ...], centres: tuple[Centre, ...]) -> str:
    """How the embedded energy fades: "none" when P(0; cutoff, width) = 1 and there is no core."""
    if mode == "zbl":
        return "zbl"
    silent = all(bond.core is None for row in bonds for bond in row)
    untouched = all(centre.core_cutoff - centre.core_width >= 0.0 for centre in centres)
    return "none" if silent and untouched else "density"


def make_potential(records: Records, path: Path) -> Potential:
    """The internal model of a file already read into records.

    Raises:
        PotentialError: an element is no chemical symbol, or a coefficient is out of range.
    """
    for symbol in records.elements:
        if atomic_numbers.get(symbol, 0) < 1:
            raise PotentialError(f"{path.name}: elements: expected chemical symbols, found {symbol!r}")
    bonds = make_bonds(records)
    size = bonds[0][0].n_primitives
    centres = tuple(make_centre(records, a, size) for a in range(len(records.elements)))
    largest = max((float(np.abs(centre.weights).max(initial=0.0)) for centre in centres), default=0.0)
    if largest > LARGEST:
        raise PotentialError(
            f"{path.name}: functions: expected coefficients up to {LARGEST:g} in magnitude, found {largest:g}"
        )
    switching = _switching(global_mode(records), bonds, centres)
    plain = all(c.embedding.kind == "linear" and c.embedding.scales == (1.0,) for c in centres)
    silent = all(bond.core is None for row in bonds for bond in row)
    return Potential(
        name=c_identifier(path.stem),
        species=records.elements,
        angular="spherical",
        bonds=bonds,
        centres=centres,
        switching=switching,
        largest_cutoff=max(bond.cutoff for row in bonds for bond in row),
        source=path.name,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        linear=plain and silent and switching == "none",
    )
