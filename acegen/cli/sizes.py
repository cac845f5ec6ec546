"""Sizes of generated C and what compiling it will cost, before anything is compiled."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from acegen.plan.types import Plan

# static const TYPE NAME[..]..[..] = { ... };  at the start of a line, attributes and comments allowed
_TABLE = re.compile(
    r"^static const (?:struct )?(\w+) \w+(?:\[[^\]\n]*\])+[^=;\n]*= \{[^;\n]*$(.*?)^\};$", re.MULTILINE | re.DOTALL
)
_ITEM_BYTES = {"real": 8, "double": 8, "float": 4, "int64_t": 8, "int32_t": 4, "uint32_t": 4, "uint16_t": 2, "int": 4}
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
# gcc 12 -O2 -march=native, one Zen 5 core: 1.6 s for 79 kB of statements, 4.6 s for 186 kB, 20 s for 751 kB;
# numbers in tables cost hardly anything (Si-large, 406 kB of them).
_START_SECONDS, _SECONDS_PER_BYTE, _SECONDS_PER_TABLE_BYTE = 0.2, 2.3e-5, 2e-7


@dataclass(frozen=True, slots=True)
class SourceSize:
    """Bytes of C text, and of the tables in the compiled object."""

    code: int  # text of statements, without tables
    table_text: int  # text of static arrays of numbers
    tables: int  # the same as data in the object
    float32: bool = False

    @staticmethod
    def of(texts: Iterable[str], float32: bool = False) -> SourceSize:
        """Sizes of C files together."""
        code = table_text = tables = 0
        for text in texts:
            inside = 0
            for match in _TABLE.finditer(text):
                inside += len(match.group(0))
                item = 4 if float32 and match.group(1) == "real" else _ITEM_BYTES.get(match.group(1), 8)
                tables += item * _n_items(match.group(2))
            code += len(text) - inside
            table_text += inside
        return SourceSize(code, table_text, tables, float32)

    @property
    def total(self) -> int:
        """Bytes of all text."""
        return self.code + self.table_text

    @property
    def compile_seconds(self) -> float:
        """Estimated time of the C compiler on one core."""
        return _START_SECONDS + _SECONDS_PER_BYTE * self.code + _SECONDS_PER_TABLE_BYTE * self.table_text


def _n_items(body: str) -> int:
    """Numbers in an initialiser, nested braces allowed."""
    plain = _COMMENT.sub("", body).replace("{", " ").replace("}", " ")
    return sum(1 for item in plain.split(",") if item.strip())


def thread_bytes(plan: Plan, n_neighbours: int, n_atoms: int, vector_bytes: int) -> int:
    """Scratch memory of one thread: neighbours of a window of atoms, slots of the lanes, components, forces.

    The same parts as templates/c/scratch.j2 and entry.j2 lay out, each a multiple of 64 bytes.
    """
    real = 4 if plan.real == "float" else 8
    lanes, n_species = vector_bytes // real, len(plan.species)
    capacity, members = n_neighbours + 1, min(n_atoms, 16 * lanes)
    rows = (members + 1) * n_species * capacity
    slots = min(n_species, lanes) * capacity
    n_radial = 2 * plan.max_primitives + (1 if plan.cores else 0)
    parts = [rows * 4 * real, rows * 8, (capacity + 1) * 4]
    if n_species > 1:
        parts += [capacity * 4 * real, capacity * 4 * real, capacity * 4]
    parts += [slots * vector_bytes] * 6 + [slots * vector_bytes * n_radial, slots * lanes * 8]
    components = plan.max_components * vector_bytes
    parts += [components, plan.max_densities * components, plan.n_basis * vector_bytes, (n_atoms + 1) * 32]
    return sum((part + 63) // 64 * 64 for part in parts)
