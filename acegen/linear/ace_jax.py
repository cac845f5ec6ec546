"""Stage 1 for ace-jax's `.npz` model files (ace_model.md S14): the arrays become the internal Potential.

Rows of B keep the order of the file, pair rows follow; weights are replaceable, as a fit will want them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from acegen.linear.archive import ANY, Archive, read_archive
from acegen.linear.products import Product, complex_terms
from acegen.linear.radial import Radial, many_body, n_radial, pair
from acegen.linear.shape import check_shapes
from acegen.pace.assemble import LARGEST, SQRT_4PI, c_identifier
from acegen.potential import BasisFunction, Bond, Centre, Channel, Embedding, Potential

_NOISE = 1e-13  # relative: entries of A2B below are cancellation noise

Key = tuple[int, int]  # (radial index, l) of a channel


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of B: channels (sorted keys, repeated as they occur), products over their distinct keys, values."""

    keys: tuple[Key, ...]
    products: tuple[Product, ...]
    values: tuple[float, ...]


def read_ace_jax(path: Path) -> Potential:
    """The model of an `.npz` file written by ace-jax.

    Args:
        path: the file.

    Raises:
        PotentialError: unreadable, not such a model, or with a part that cannot be reproduced exactly.
    """
    archive = read_archive(Path(path))
    species = _species(archive)
    check_shapes(archive, len(species))
    weights = archive.numbers("WB", ANY, len(species))
    pair_weights = archive.numbers("Wpair", ANY, len(species))
    rows = _rows(archive, len(weights))
    keys = sorted({key for row in rows for key in row.keys})
    used = sorted({radial for radial, _ in keys})
    radials = many_body(archive, len(species), used)
    pairs = pair(archive, len(species), len(pair_weights)) if len(pair_weights) else []
    bonds = _bonds(archive, radials, pairs)
    channels = _channels(radials, pairs, bonds, [(used.index(radial), l) for radial, l in keys])
    functions = _functions(archive, rows, keys, len(pair_weights), channels[0], species)
    e0 = archive.numbers("E0", len(species))
    both = np.concatenate([weights, pair_weights])
    if float(np.abs(both).max(initial=0.0)) > LARGEST:
        raise archive.fail("WB and Wpair", f"weights up to {LARGEST:g} eV", float(np.abs(both).max()))
    centres = tuple(
        Centre(float(e0[a]), channels[a], functions, both[:, a : a + 1].copy(), Embedding("linear"))
        for a in range(len(species))
    )
    return Potential(
        name=c_identifier(Path(path).stem),
        species=species,
        angular=_angular(archive),
        bonds=bonds,
        centres=centres,
        largest_cutoff=max(bond.cutoff for row in bonds for bond in row),
        source=Path(path).name,
        digest=hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        linear=True,
        replaceable=True,
    )


def _species(archive: Archive) -> tuple[str, ...]:
    numbers = archive.indices("elements", len(chemical_symbols), ANY).tolist()
    if not numbers or 0 in numbers or len(set(numbers)) != len(numbers):
        raise archive.fail("elements", "different atomic numbers", numbers)
    return tuple(chemical_symbols[z] for z in numbers)


def _angular(archive: Archive) -> str:
    kinds = {"real_solidharmonics": "solid", "real_sphericalharmonics": "spherical"}
    return kinds[archive.word("ybasis_kind", tuple(kinds))]


def _real_products(archive: Archive) -> list[tuple[tuple[int, int, int], ...]]:
    """The columns AA: factors (radial index, l, m)."""
    radial = archive.indices("aspec_r", n_radial(archive), ANY)
    harmonic = archive.indices("aspec_y", 10_000, len(radial))
    degree = np.sqrt(harmonic + 0.5).astype(int)
    factors = list(zip(radial.tolist(), degree.tolist(), (harmonic - degree * (degree + 1)).tolist(), strict=True))
    out = []
    order = 1
    while archive.has(f"aa_spec_{order}"):
        for indices in archive.indices(f"aa_spec_{order}", len(factors), ANY, order).tolist():
            out.append(tuple(factors[i] for i in indices))
        order += 1
    return out


def _couplings(archive: Archive, n_rows: int, n_columns: int) -> list[list[tuple[int, float]]]:
    """Per row of B its (column, value)."""
    if archive.has("A2B"):
        dense = archive.numbers("A2B", n_rows, n_columns)
        rows, columns = np.nonzero(dense)
        values = dense[rows, columns]
    else:
        shape = archive.numbers("A2B_shape", 2).astype(int).tolist()
        if shape != [n_rows, n_columns]:
            raise archive.fail("A2B_shape", f"[{n_rows}, {n_columns}], rows of WB and all aa_spec", shape)
        values = archive.numbers("A2B_vals", ANY)
        rows = archive.indices("A2B_rows", n_rows, len(values))
        columns = archive.indices("A2B_cols", n_columns, len(values))
    found: list[dict[int, float]] = [{} for _ in range(n_rows)]
    for row, column, value in zip(rows.tolist(), columns.tolist(), values.tolist(), strict=True):
        found[row][column] = found[row].get(column, 0.0) + value
    out = []
    for number, entries in enumerate(found):
        size = max((abs(value) for value in entries.values()), default=0.0)
        if size == 0.0:
            raise archive.fail(f"A2B, row {number}", "at least one product", "none")
        out.append(sorted((c, v) for c, v in entries.items() if abs(v) > _NOISE * size))
    return out


def _rows(archive: Archive, n_rows: int) -> list[_Row]:
    products = _real_products(archive)
    out = []
    for number, entries in enumerate(_couplings(archive, n_rows, len(products))):
        found = {tuple(sorted((r, l) for r, l, _ in products[column])) for column, _ in entries}
        if len(found) != 1:
            raise archive.fail(f"A2B, row {number}", "products of the same channels (n, l)", f"{len(found)} different")
        (keys,) = found
        slots = {key: slot for slot, key in enumerate(sorted(set(keys)))}
        factors = tuple(tuple(sorted((slots[r, l], m) for r, l, m in products[column])) for column, _ in entries)
        out.append(_Row(keys, factors, tuple(value for _, value in entries)))
    return out


def _bonds(archive: Archive, radials: list[list[Radial]], pairs: list[list[Radial]]) -> tuple[tuple[Bond, ...], ...]:
    """One cutoff a bond: the many-body functions vanish by themselves before it, pair functions must reach it."""
    out = []
    for a, row in enumerate(radials):
        bonds = []
        for b, radial in enumerate(row):
            if not pairs:
                bonds.append(Bond(radial.cutoff, (radial.family,)))
                continue
            pair_cutoff = pairs[a][b].cutoff
            if pair_cutoff < radial.cutoff * (1.0 - 1e-9):
                raise archive.fail(
                    f"pair_envelope[{a}, {b}]",
                    f"a cutoff not below the {radial.cutoff!r} of the many-body functions",
                    repr(pair_cutoff),
                )
            bonds.append(Bond(max(pair_cutoff, radial.cutoff), (radial.family, pairs[a][b].family)))
        out.append(tuple(bonds))
    return tuple(out)


def _channels(
    radials: list[list[Radial]], pairs: list[list[Radial]], bonds: tuple[tuple[Bond, ...], ...], keys: list[Key]
) -> list[tuple[Channel, ...]]:
    """Per centre the channels of the keys (place in the list of radial functions, l), then those of the pair rows.

    The factor sqrt(4 pi) of the latter cancels Y_00.
    """
    wanted = [(radials, 0, place, l, 1.0) for place, l in keys]
    if pairs:
        wanted += [(pairs, 1, k, 0, SQRT_4PI) for k in range(len(pairs[0][0].rows))]
    out: list[list[Channel]] = [[] for _ in radials]
    n_of: dict[tuple[int, int, int], int] = {}
    for source, family, place, l, unit in wanted:
        live = {b for row in source for b, radial in enumerate(row) if np.any(radial.rows[place])}
        neighbour = live.pop() if len(live) == 1 else -1
        n = n_of[family, neighbour, l] = n_of.get((family, neighbour, l), 0) + 1
        for a, row in enumerate(source):
            parts = []
            for b, radial in enumerate(row):
                whole = np.zeros(bonds[a][b].n_primitives)
                first = bonds[a][b].families[0].size if family else 0
                whole[first : first + radial.family.size] = unit * radial.rows[place]
                parts.append(whole)
            chosen = np.concatenate(parts) if neighbour < 0 else parts[neighbour]
            out[a].append(Channel(neighbour, n, l, tuple(chosen.tolist())))
    return [tuple(each) for each in out]


def _functions(
    archive: Archive,
    rows: list[_Row],
    keys: list[Key],
    n_pair: int,
    channels: tuple[Channel, ...],
    species: tuple[str, ...],
) -> tuple[BasisFunction, ...]:
    """All rows; the same for every centre."""
    labels = [f"({species[c.neighbour] if c.neighbour >= 0 else '*'} {c.n} {c.l})" for c in channels]
    place = {key: index for index, key in enumerate(keys)}
    out = []
    for number, row in enumerate(rows):
        terms = complex_terms(row.products, row.values, tuple(l for _, l in sorted(set(row.keys))))
        if terms is None:
            raise archive.fail(f"A2B, row {number}", "an invariant of rotation and inversion", "a sum that is none")
        indices = tuple(place[key] for key in row.keys)
        out.append(BasisFunction(indices, *terms, label="".join(labels[i] for i in indices)))
    no_m, one = np.zeros((1, 1), np.int16), np.ones(1)
    for index in range(len(keys), len(keys) + n_pair):
        out.append(BasisFunction((index,), no_m, one, pair=True, label=f"pair {labels[index]}"))
    return tuple(out)
