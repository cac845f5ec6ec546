"""Rules that involve several keys: elements, name, order, and what selects the functions."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NoReturn

from acegen.errors import SpecError
from acegen.names import reserved
from acegen.spec.elements import SYMBOLS
from acegen.spec.fields import Fields, as_number, nearest

MAX_ORDER = 6
MAX_DEGREE = 64
MAX_FUNCTIONS = 100_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which functions exist: degree per order, or n_max and l_max per order (the others are empty)."""

    degree: tuple[float, ...]
    n_max: tuple[int, ...]
    l_max: tuple[int, ...]

    def largest_n(self, n_species: int, tolerance: float) -> int:
        """Largest species-coded n of any channel."""
        if self.n_max:
            return max(self.n_max) * n_species
        return math.floor((max(self.degree) + tolerance) * n_species)


def read_elements(top: Fields) -> tuple[str, ...]:
    """Distinct chemical symbols in the order of the species."""
    expected = "a list of chemical symbols such as [Si, Ge]"
    value = top.require("elements", expected)
    if not isinstance(value, list) or not value:
        top.fail("elements", expected)
    for symbol in value:
        if symbol not in SYMBOLS:
            hint = nearest(symbol, SYMBOLS) if isinstance(symbol, str) else ""
            hint = hint if "did you" in hint else ""
            raise SpecError(f"{top.file}: elements: expected chemical symbols, got {symbol!r}{hint}")
        if value.count(symbol) > 1:
            raise SpecError(
                f"{top.file}: elements: expected each symbol once, got {symbol!r} {value.count(symbol)} times"
            )
    return tuple(value)


def read_name(top: Fields, stem: str) -> str:
    """A C identifier; the file stem when it is one."""
    expected = "a name of letters, digits and _ that starts with a letter"
    name = top.raw("name") if top.has("name") else stem
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        if top.has("name"):
            top.fail("name", expected)
        raise SpecError(f"{top.file}: name: expected {expected}, but the key is missing and the file stem is {stem!r}")
    if reserved(name):
        raise SpecError(
            f"{top.file}: name: expected one that is no file of the bundle and no header of C, got {name!r}"
            + ("" if top.has("name") else " (the file stem)")
        )
    return name


def read_order(top: Fields) -> int:
    expected = f"a correlation order, whole number 1..{MAX_ORDER}"
    top.require("order", expected)
    return top.integer("order", 0, expected, 1, MAX_ORDER)


def read_selection(top: Fields, order: int) -> Selection:
    """degree, or n_max and l_max."""
    explicit = top.has("n_max") or top.has("l_max")
    if top.has("degree") and explicit:
        raise SpecError(f"{top.file}: degree: expected either degree or n_max and l_max, got both")
    if explicit:
        n_max = _whole_numbers(top, "n_max", order, 1)
        l_max = _whole_numbers(top, "l_max", order, 0)
        return Selection((), n_max, l_max)
    expected = f"a number 1..{MAX_DEGREE}, or a list of {order} such numbers (one per order)"
    value = top.require("degree", expected)
    found = [as_number(item) for item in (value if isinstance(value, list) else [value] * order)]
    degree = tuple(item for item in found if item is not None)
    if len(degree) != len(found) or len(degree) != order or min(degree) < 1 or max(degree) > MAX_DEGREE:
        top.fail("degree", expected)
    for nu, limit in enumerate(degree, start=1):
        if limit < nu and max(degree) == limit:
            _impossible(top, nu, limit)
    return Selection(degree, (), ())


def _impossible(top: Fields, nu: int, limit: float) -> NoReturn:
    raise SpecError(
        f"{top.file}: degree: expected at least {nu} for order {nu} (every factor has n >= 1), got {limit:g}; "
        f"lower order or raise degree"
    )


def _whole_numbers(top: Fields, key: str, order: int, low: int) -> tuple[int, ...]:
    expected = f"a list of {order} whole numbers {low}..{MAX_DEGREE} (one per order)"
    value = top.require(key, expected)
    if not isinstance(value, list) or len(value) != order:
        top.fail(key, expected)
    if any(isinstance(item, bool) or not isinstance(item, int) or not low <= item <= MAX_DEGREE for item in value):
        top.fail(key, expected)
    return tuple(value)
