"""The way back: a Potential whose radial functions PACE knows becomes the text of a `.yace` file (pace_format 12.1).

Exact: the file read again has the same energies to rounding.  Order-1 rows and pair rows become rank-1 functions, one
per primitive; rows of B with equal factors become one function; channels over all species one per species.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from acegen.aside import written_aside
from acegen.errors import PotentialError
from acegen.pace.assemble import SQRT_4PI
from acegen.pace.records import BondRecord
from acegen.pace.written_bonds import WrittenBond, parts_of, start_bonds
from acegen.potential import BasisFunction, Centre, Potential

Factor = tuple[int, int, int]  # (mu, n, l)
Terms = dict[tuple[int, ...], np.ndarray]  # m-tuple -> coefficients [n_densities]

BINS = 0.001  # angstrom, deltaSplineBins: tables of the programs that read the file
_NEVER = (200000.0, 250.0)  # rho_core_cutoff and width that switch nothing off


def yace_text(potential: Potential) -> str:
    """The potential as text.

    Raises:
        PotentialError: a part of it is nothing a `.yace` file can hold; the message names the key.
    """
    if potential.angular != "spherical" and any(c.l for centre in potential.centres for c in centre.channels):
        raise PotentialError(
            f"{potential.source}: angular: expected spherical to write a .yace file, found {potential.angular}"
        )
    bonds = start_bonds(potential)
    functions = [list(_functions(potential, a, bonds[a])) for a in range(len(potential.species))]
    lines = [
        f"elements: [{', '.join(potential.species)}]",
        f"E0: {_list(centre.e0 for centre in potential.centres)}",
        f"deltaSplineBins: {_number(BINS)}",
        "embeddings:",
        *(f"  {a}: {_embedding(centre)}" for a, centre in enumerate(potential.centres)),
        "bonds:",
        *(f"  [{a}, {b}]: {_bond(bond.complete())}" for a, row in enumerate(bonds) for b, bond in enumerate(row)),
        "functions:",
    ]
    for a, texts in enumerate(functions):
        lines.append(f"  {a}:" if texts else f"  {a}: []")
        lines += [f"    - {text}" for text in texts]
    return "\n".join(lines) + "\n"


def write_yace(potential: Potential, path: Path) -> None:
    """Write the text aside, then rename it to `path`.

    Raises:
        PotentialError: see `yace_text`; or the file cannot be written.
    """
    if path.suffix != ".yace":
        raise PotentialError(f"{path}: expected a file name ending in .yace, found {path.suffix!r}")
    text = yace_text(potential)
    try:
        with written_aside(path, PotentialError) as file:
            file.write(text.encode())
    except OSError as error:
        raise PotentialError(f"{path}: cannot be written ({error.strerror or error})") from error


def _functions(potential: Potential, a: int, bonds: list[WrittenBond]) -> Iterator[str]:
    """One text per function of centre a: rank 1 first, then by rank and factors."""
    centre = potential.centres[a]
    single: dict[tuple[int, int], np.ndarray] = {}
    found: dict[tuple[Factor, ...], Terms] = {}
    for function, weights in zip(centre.functions, centre.weights, strict=True):
        if len(function.channels) == 1:
            _collect_single(potential, a, function, weights, bonds, single)
        else:
            _collect_product(potential, a, function, weights, bonds, found)
    for (mu, n), values in sorted(single.items()):
        yield _function(a, ((mu, n, 0),), {(0,): values})
    for factors in sorted(found, key=lambda key: (len(key), key)):
        yield _function(a, factors, found[factors])


def _collect_single(
    potential: Potential,
    a: int,
    function: BasisFunction,
    weights: np.ndarray,
    bonds: list[WrittenBond],
    into: dict[tuple[int, int], np.ndarray],
) -> None:
    """Order 1: sums of bare primitives, without R_nl (pace_format 10.1)."""
    channel = potential.centres[a].channels[function.channels[0]]
    factor = float(np.sum(function.coefficients)) / SQRT_4PI
    for b, coefficients in parts_of(channel, potential.bonds[a]):
        row = bonds[b].over_primitives(coefficients)
        for k in np.flatnonzero(row).tolist():
            key = (b, k + 1)
            into[key] = into.get(key, np.zeros(len(weights))) + factor * row[k] * weights


def _collect_product(
    potential: Potential,
    a: int,
    function: BasisFunction,
    weights: np.ndarray,
    bonds: list[WrittenBond],
    into: dict[tuple[Factor, ...], Terms],
) -> None:
    channels = [potential.centres[a].channels[c] for c in function.channels]
    choices = []
    for channel in channels:
        parts = [(b, bonds[b].number_of(channel.l, row), channel.l) for b, row in parts_of(channel, potential.bonds[a])]
        choices.append([part for part in parts if part[1]])
    for factors in itertools.product(*choices):
        order = sorted(range(len(factors)), key=lambda t: factors[t])
        sorted_factors = tuple(factors[t] for t in order)
        terms = into.setdefault(sorted_factors, {})
        for ms, coefficient in zip(function.ms.tolist(), function.coefficients.tolist(), strict=True):
            key = _canonical(sorted_factors, [ms[t] for t in order])
            terms[key] = terms.get(key, np.zeros(len(weights))) + coefficient * weights


def _canonical(factors: tuple[Factor, ...], ms: list[int]) -> tuple[int, ...]:
    """The m-tuple with m ascending among equal factors, or its negative (the same real part): the larger of the two."""

    def ordered(values: list[int]) -> tuple[int, ...]:
        return tuple(m for _, m in sorted(zip(factors, values, strict=True)))

    return max(ordered(ms), ordered([-m for m in ms]))


def _function(a: int, factors: tuple[Factor, ...], terms: Terms) -> str:
    keys = sorted(terms)
    n_densities = len(terms[keys[0]]) if keys else 1
    mus, ns, ls = zip(*factors, strict=True)
    return (
        f"{{mu0: {a}, rank: {len(factors)}, ndensity: {n_densities}, num_ms_combs: {len(keys)}, "
        f"mus: {_list(mus)}, ns: {_list(ns)}, ls: {_list(ls)}, ms_combs: {_list(m for key in keys for m in key)}, "
        f"ctildes: {_list(float(value) for key in keys for value in terms[key])}}}"
    )


def _embedding(centre: Centre) -> str:
    own = centre.embedding
    kind = "FinnisSinclairShiftedScaled" if own.kind == "linear" else own.kind
    exponents = (1.0,) * own.n_densities if own.kind == "linear" else own.exponents
    pairs = [value for pair in zip(own.scales, exponents, strict=True) for value in pair]
    cutoff, width = (centre.core_cutoff, centre.core_width) if centre.core_cutoff > 0.0 else _NEVER
    return (
        f"{{ndensity: {own.n_densities}, FS_parameters: {_list(pairs)}, npoti: {kind}, "
        f"rho_core_cutoff: {_number(cutoff)}, drho_core_cutoff: {_number(width)}}}"
    )


def _bond(record: BondRecord) -> str:
    rows = ", ".join("[" + ", ".join(_list(cell.tolist()) for cell in row) + "]" for row in record.coefficients)
    return (
        f"{{nradmax: {record.n_max}, lmax: {record.l_max}, nradbasemax: {record.n_base}, "
        f"radbasename: {record.basis}, radparameters: [{_number(record.lam)}], radcoefficients: [{rows}], "
        f"prehc: {_number(record.prehc)}, lambdahc: {_number(record.lambdahc)}, rcut: {_number(record.rcut)}, "
        f"dcut: {_number(record.dcut)}, rcut_in: {_number(record.r_in)}, dcut_in: {_number(record.d_in)}, "
        f"inner_cutoff_type: {record.inner}}}"
    )


def _list(values: Iterable[float]) -> str:
    return "[" + ", ".join(_number(value) for value in values) + "]"


def _number(value: float) -> str:
    """Shortest text that reads back as the same double, with the dot that YAML wants in floats."""
    text = repr(value if isinstance(value, int) else float(value))
    return text.replace("e", ".0e") if "e" in text and "." not in text else text
