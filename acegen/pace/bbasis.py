"""Stage 1 for `.yaml` files: pacemaker's B-basis becomes records (pace_format 12.2)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from acegen.errors import PotentialError
from acegen.pace.bbasis_bonds import Block, read_bonds
from acegen.pace.coupling import complete_intermediates, coupled_tuples, merge_equal_factors
from acegen.pace.fields import Fields, show, to_float
from acegen.pace.functions import Limits
from acegen.pace.loader import load_yaml
from acegen.pace.records import BondRecord, EmbeddingRecord, FunctionRecord, Records
from acegen.pace.yace import pair_embedding

Bonds = dict[tuple[int, int], BondRecord]


def _blocks(top: Fields) -> Iterator[Block]:
    for index, entry in enumerate(top.sequence("species", least=1)):
        place = f"species[{index}]"
        if not isinstance(entry, dict):
            raise PotentialError(f"{top.file}: {place}: expected a map, found {show(entry)}")
        fields = Fields(top.file, place, entry)
        symbols = fields.text("speciesblock").split()
        if not symbols:
            raise fields.fail("speciesblock", "element symbols", fields.get("speciesblock"))
        yield Block(Fields(top.file, f"{place} ({' '.join(symbols)})", entry), tuple(symbols))


def _read_embeddings(file: str, elements: tuple[str, ...], blocks: list[Block]) -> tuple[EmbeddingRecord, ...]:
    found: dict[str, EmbeddingRecord] = {}
    for block in blocks:
        if len(block.distinct) != 1:
            continue
        fields, symbol = block.fields, block.symbols[0]
        if symbol in found:
            raise PotentialError(f"{file}: species: expected one block for {symbol}, found two")
        n_densities = fields.integer("ndensityi", least=1)
        found[symbol] = pair_embedding(
            fields.text("npoti"),
            fields.numbers("parameters", 2 * n_densities),
            f"{file}: {fields.place}",
            fields.number("rho_core_cut", 100000.0),
            fields.number("drho_core_cut", 250.0, least=0.0),
        )
    for symbol in elements:
        if symbol not in found:
            raise PotentialError(f"{file}: species: expected a block '{symbol}' with its embedding, found none")
    return tuple(found[symbol] for symbol in elements)


def _coefficients(fields: Fields, n_densities: int) -> tuple[float, ...]:
    raw = fields.get("c")
    if isinstance(raw, (list, tuple)):
        return fields.numbers("c", n_densities)
    if to_float(raw) is None or n_densities != 1:
        raise fields.fail("c", f"a list of {n_densities} numbers", raw)
    return (fields.number("c"),)


def _quantum_numbers(fields: Fields, rank: int) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """n, l and LS of a function, with the sums checked."""
    ns, ls = fields.integers("nr", rank), fields.integers("nl", rank)
    if sum(ls) % 2:
        raise fields.fail("nl", "an even sum of l", list(ls))
    if rank < 3:
        if rank == 2 and ls[0] != ls[1]:
            raise fields.fail("nl", "two equal l", list(ls))
        return ns, ls, ()
    lint = complete_intermediates(ls, fields.integers("lint") if fields.has("lint") else ())
    if len(lint) != rank - 2:
        raise fields.fail("lint", f"{rank - 2} numbers", list(lint))
    return ns, ls, lint


def _read_function(
    fields: Fields, block: Block, numbers: dict[str, int], bonds: Bonds, n_densities: int
) -> tuple[tuple[object, ...], FunctionRecord] | None:
    symbols = fields.text("type").split()
    rank = len(symbols) - 1
    if rank < 1 or symbols[0] != block.symbols[0] or not set(symbols) <= set(block.symbols):
        expected = f"{block.symbols[0]} and then neighbours from {', '.join(block.distinct)}"
        raise fields.fail("type", expected, fields.get("type"))
    a, mus = numbers[symbols[0]], tuple(numbers[symbol] for symbol in symbols[1:])
    ns, ls, lint = _quantum_numbers(fields, rank)
    for mu, n, l in zip(mus, ns, ls, strict=True):
        bond = bonds[a, mu]
        limits = Limits(len(numbers), bond.n_base, bond.n_max, bond.l_max)
        limits.check(f"{fields.file}: {fields.place}", (mu,) * rank, (n,) * rank, (l,) * rank)
    weights = _coefficients(fields, n_densities)
    terms = coupled_tuples(ls, lint)
    if not terms:
        raise fields.fail("lint", f"intermediates that couple l = {list(ls)} to L = 0", list(lint))
    order = (rank, mus, ns, ls, len(terms), tuple(m for m, _ in terms))
    mus, ns, ls, kept = merge_equal_factors(mus, ns, ls, terms)
    if not kept:  # identically zero by exchange of equal factors
        return None
    ms = np.array(list(kept), dtype=np.int64).reshape(len(kept), rank)
    note = f" L={','.join(str(x) for x in lint)}" if rank > 3 else ""
    return order, FunctionRecord(mus, ns, ls, ms, np.array(list(kept.values())), weights, note)


def _read_functions(
    blocks: list[Block], elements: tuple[str, ...], bonds: Bonds, embeddings: tuple[EmbeddingRecord, ...]
) -> tuple[tuple[FunctionRecord, ...], ...]:
    """The functions per element, sorted as the active sets of upstream are (pace_format 11)."""
    numbers = {symbol: index for index, symbol in enumerate(elements)}
    rows: list[list[tuple[tuple[object, ...], FunctionRecord]]] = [[] for _ in elements]
    for block in blocks:
        if not block.fields.has("nbody"):
            continue
        a = numbers[block.symbols[0]]
        for index, entry in enumerate(block.fields.sequence("nbody")):
            place = block.fields.where(f"nbody[{index}]")
            if not isinstance(entry, dict):
                raise PotentialError(f"{block.fields.file}: {place}: expected a map, found {show(entry)}")
            if entry.get("skip"):
                continue
            fields = Fields(block.fields.file, place, entry)
            row = _read_function(fields, block, numbers, bonds, len(embeddings[a].scales))
            if row is not None:
                rows[a].append(row)
    return tuple(tuple(record for _, record in sorted(row, key=lambda item: item[0])) for row in rows)


def read_bbasis(path: Path, text: str) -> Records:
    """The records of a B-basis `.yaml` file; such files carry no reference energies (all zero).

    Args:
        path: the file, for messages.
        text: its content.

    Raises:
        PotentialError: when the file is not a PACE B-basis, or malformed.
    """
    content = load_yaml(path, text)
    top = Fields(path.name, "", content)
    if not top.has("species"):
        if "radial_basis" in content or "emb_spec" in content:
            raise PotentialError(f"{path.name}: expected a PACE B-basis with the key 'species', found a GRACE/FS model")
        raise PotentialError(f"{path.name}: species: required key is missing, this is not a PACE B-basis")
    blocks = list(_blocks(top))
    elements = tuple(sorted({symbol for block in blocks for symbol in block.symbols}))
    embeddings = _read_embeddings(path.name, elements, blocks)
    bonds = read_bonds(path.name, blocks, elements)
    functions = _read_functions(blocks, elements, bonds, embeddings)
    return Records(path.name, elements, (0.0,) * len(elements), embeddings, bonds, functions)
