"""Stage 1 for `.ace` files: the older text format becomes records (pace_format 12.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acegen.errors import PotentialError
from acegen.pace.fields import show, to_float, to_integer
from acegen.pace.functions import Limits, check_tuples, global_limits, split_densities
from acegen.pace.radial import JULIA_PREFIX, check_radial_basis
from acegen.pace.records import BondRecord, EmbeddingRecord, FunctionRecord, Records
from acegen.pace.yace import pair_embedding

_FUNCTION = re.compile(
    r"\s*rank=\s*(\S+)\s+ndens=\s*(\S+)\s+mu0=\s*(\S+)\s+mu=\(([^)]*)\)"
    r"\s*n=\(([^)]*)\)\s*l=\(([^)]*)\)\s*num_ms=\s*(\S+)"
)
_TUPLE = re.compile(r"<([^>]*)>:([^<]*)")


@dataclass(frozen=True, slots=True)
class _Text:
    """The header of the file; keys end in '=' or ':' and are followed by their numbers."""

    file: str
    text: str

    def words(self, key: str, count: int, optional: bool = False) -> list[str]:
        """`count` words after the key; an absent optional key gives an empty list."""
        match = re.search(r"(?:^|\n)\s*" + re.escape(key), self.text)
        if match is None:
            if optional:
                return []
            raise PotentialError(f"{self.file}: {key}: required entry is missing")
        rest = self.text[match.end() :]
        words = rest.split(None, min(count, len(rest)))[:count]  # counts of a file may be beyond any machine word
        if len(words) < count:
            raise PotentialError(f"{self.file}: {key}: expected {count} entries, found {len(words)}")
        return words

    def numbers(self, key: str, count: int, optional: bool = False) -> list[float]:
        """Finite floats after the key."""
        return [self.finite(key, word) for word in self.words(key, count, optional)]

    def finite(self, key: str, word: str) -> float:
        """One finite float."""
        value = to_float(word)
        if value is None or not np.isfinite(value):
            raise PotentialError(f"{self.file}: {key}: expected a finite number, found {show(word)}")
        return value

    def integer(self, key: str, word: str, least: int = 0) -> int:
        """One integer >= least."""
        value = to_integer(word)
        if value is None or value < least:
            raise PotentialError(f"{self.file}: {key}: expected an integer >= {least}, found {show(word)}")
        return value

    def count(self, key: str, least: int = 0) -> int:
        """The integer after the key."""
        return self.integer(key, self.words(key, 1)[0], least)


def _read_embeddings(text: _Text, n: int) -> tuple[EmbeddingRecord, ...]:
    match = re.search(r"(\d+)\s+FS parameters:", text.text)
    if match is None:
        raise PotentialError(f"{text.file}: FS parameters: required entry is missing")
    count = text.integer("FS parameters", match.group(1))
    numbers = tuple(text.numbers(match.group(0), count))
    if count % 2 or count == 0:
        raise PotentialError(f"{text.file}: FS parameters: expected pairs w m, found {count} numbers")
    named = text.words("embedding-function:", 1, optional=True)
    if not named and any(m != 1.0 for m in numbers[1::2]):
        raise PotentialError(f"{text.file}: embedding-function: required entry is missing (not all exponents are 1)")
    kind = named[0] if named else "FinnisSinclair"
    core = text.numbers("core energy-cutoff parameters:", 2 * n)
    place = f"{text.file}: FS parameters"
    return tuple(pair_embedding(kind, numbers, place, core[2 * a], core[2 * a + 1]) for a in range(n))


def _read_bonds(text: _Text, n: int) -> dict[tuple[int, int], BondRecord]:
    basis = text.words("radbasename=", 1)[0]
    check_radial_basis(basis, f"{text.file}: radbasename=")
    if basis.startswith(JULIA_PREFIX):
        raise PotentialError(f"{text.file}: radbasename=: expected a basis with c_nlk in a .ace file, found {basis!r}")
    l_max, n_base, n_max = text.count("lmax="), text.count("nradbase=", 1), text.count("nradmax=")
    core = text.numbers("core repulsion parameters:", 2 * n * n)
    lam, rcut, dcut = (text.numbers(key, n * n) for key in ("radparameter=", "cutoff=", "dcut="))
    crad = np.array(text.numbers("crad=", n * n * n_base * n_max * (l_max + 1)))
    crad = crad.reshape(n * n, n_base, n_max, l_max + 1).transpose(0, 2, 3, 1)  # stored k slowest, l fastest
    bonds = {}
    for pair in range(n * n):
        if rcut[pair] <= 0.0 or dcut[pair] < 0.0:
            raise PotentialError(
                f"{text.file}: cutoff=, dcut=: expected cutoff > 0 and dcut >= 0, found {rcut[pair]}, {dcut[pair]}"
            )
        bonds[divmod(pair, n)] = BondRecord(
            basis=basis,
            n_max=n_max,
            l_max=l_max,
            n_base=n_base,
            coefficients=crad[pair],
            lam=lam[pair],
            prehc=core[2 * pair],
            lambdahc=core[2 * pair + 1],
            rcut=rcut[pair],
            dcut=dcut[pair],
        )
    return bonds


def _read_function(
    text: _Text, index: int, block: str, limits: Limits, n_densities: int
) -> tuple[int, list[FunctionRecord]]:
    place = f"ctilde_basis_func[{index}]"
    head = _FUNCTION.match(block)
    if head is None:
        expected = "rank= ndens= mu0= mu=() n=() l=() num_ms="
        raise PotentialError(f"{text.file}: {place}: expected {expected}, found {show(block)}")
    rank, stated, a, n_terms = (text.integer(place, head.group(g)) for g in (1, 2, 3, 7))
    mus, ns, ls = ([text.integer(place, word) for word in head.group(g).split()] for g in (4, 5, 6))
    if stated != n_densities:
        raise PotentialError(f"{text.file}: {place}.ndens: expected {n_densities}, found {stated}")
    for key, values in (("mu", mus), ("n", ns), ("l", ls)):
        if len(values) != rank or rank < 1:
            raise PotentialError(f"{text.file}: {place}.{key}: expected {rank} entries, found {len(values)}")
    limits.check(f"{text.file}: {place}", mus, ns, ls)
    if a >= limits.n_elements:
        raise PotentialError(f"{text.file}: {place}.mu0: expected less than {limits.n_elements}, found {a}")
    ms, c = _read_tuples(text, place, block[head.end() :], (n_terms, rank, n_densities))
    check_tuples(f"{text.file}: {place}", ls, ms)
    return a, split_densities(mus, ns, ls, ms, c)


def _read_tuples(text: _Text, place: str, block: str, sizes: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """m-tuples [n_terms, rank] and coefficients [n_terms, n_densities] of one function."""
    n_terms, rank, n_densities = sizes
    rows = _TUPLE.findall(block)
    if len(rows) != n_terms:
        raise PotentialError(f"{text.file}: {place}: expected {n_terms} lines < m >: c, found {len(rows)}")
    ms, c = np.zeros((n_terms, rank), dtype=np.int64), np.zeros((n_terms, n_densities))
    for q, (left, right) in enumerate(rows):
        m_words, numbers = left.split(), right.split()[:n_densities]
        if len(m_words) != rank or len(numbers) != n_densities:
            raise PotentialError(f"{text.file}: {place}: expected {rank} m and {n_densities} c, found <{left}>:{right}")
        ms[q] = [text.integer(place, word, -1000) for word in m_words]
        c[q] = [text.finite(place, word) for word in numbers]
    return ms, c


def read_ace_text(path: Path, text: str) -> Records:
    """The records of an `.ace` file; with several elements all share the one stored embedding.

    Args:
        path: the file, for messages.
        text: its content.

    Raises:
        PotentialError: when an entry is missing, of a wrong type or out of range.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    parts = "\n".join(lines).split("ctilde_basis_func:")
    header = _Text(path.name, parts[0] + "\n" + "\n".join(re.findall(r"total_basis_size:.*", "\n".join(lines))))
    n = header.count("nelements=", 1)
    elements = tuple(header.words("elements:", n))
    if len(set(elements)) != n:
        raise PotentialError(f"{path.name}: elements: expected different elements, found {' '.join(elements)}")
    e0 = header.numbers("E0:", n, optional=True) or [0.0] * n
    embeddings = _read_embeddings(header, n)
    bonds = _read_bonds(header, n)
    limits = global_limits(bonds, n)
    sizes = [*header.words("total_basis_size_rank1:", n), *header.words("total_basis_size:", n)]
    stated = sum(header.integer("total_basis_size:", word) for word in sizes)
    if stated != len(parts) - 1:
        raise PotentialError(f"{path.name}: total_basis_size: expected {stated} functions, found {len(parts) - 1}")
    functions: list[list[FunctionRecord]] = [[] for _ in range(n)]
    for index, block in enumerate(parts[1:]):
        a, records = _read_function(header, index, block, limits, len(embeddings[0].scales))
        functions[a] += records
    return Records(path.name, elements, tuple(e0), embeddings, bonds, tuple(tuple(row) for row in functions))
