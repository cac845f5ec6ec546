"""Typed access to one mapping of a spec: every wrong entry becomes one sentence naming file, key, found, expected."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from typing import NoReturn

from acegen.errors import SpecError

# YAML 1.1 reads 1e-9 (no dot) as text; nobody writing a spec means text there.
_NUMBER_TEXT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def nearest(word: str, known: Iterable[str]) -> str:
    """'; did you mean X?' for the nearest known word, or the list of what is known."""
    options = sorted(known)
    folded = {option.casefold(): option for option in reversed(options)}
    close = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.5)
    return f"; did you mean {folded[close[0]]!r}?" if close else f"; known: {', '.join(options)}"


class Fields:
    """A mapping at a dotted place of a file; keys asked for are known, `finish` refuses the others."""

    def __init__(self, file: str, place: str, content: object) -> None:
        self.file = file
        self.place = place
        self._known: set[str] = set()
        if not isinstance(content, dict):
            raise SpecError(f"{file}: {place or 'top level'}: expected a mapping of keys, got {content!r}")
        for key in content:
            if not isinstance(key, str):
                raise SpecError(f"{file}: {place or 'top level'}: expected text keys, got {key!r}")
        self._content: dict[str, object] = content

    def dotted(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def fail(self, key: str, expected: str) -> NoReturn:
        raise SpecError(f"{self.file}: {self.dotted(key)}: expected {expected}, got {self._content.get(key)!r}")

    def has(self, key: str) -> bool:
        self._known.add(key)
        return key in self._content

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._content)

    def raw(self, key: str) -> object:
        self._known.add(key)
        return self._content.get(key)

    def require(self, key: str, expected: str) -> object:
        self._known.add(key)
        if key not in self._content:
            unknown = difflib.get_close_matches(key, [name for name in self._content if name not in self._known], 1)
            found = f" (there is {unknown[0]!r})" if unknown else ""
            raise SpecError(f"{self.file}: {self.dotted(key)}: expected {expected}, but the key is missing{found}")
        return self._content[key]

    def finish(self) -> None:
        """Refuse keys nobody asked for."""
        for key in self._content:
            if key not in self._known:
                raise SpecError(f"{self.file}: {self.dotted(key)}: unknown key{nearest(key, self._known)}")

    def number(self, key: str, default: float, expected: str, low: float = -math.inf, strict: bool = False) -> float:
        """A finite number >= low (> low when strict)."""
        if not self.has(key):
            return default
        value = as_number(self._content[key])
        if value is None or value < low or (strict and value == low):
            self.fail(key, expected)
        return value

    def integer(self, key: str, default: int, expected: str, low: int, high: int | None = None) -> int:
        """A whole number in low..high."""
        if not self.has(key):
            return default
        value = self._content[key]
        if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
            self.fail(key, expected)
        return value

    def choice(self, key: str, default: str, options: tuple[str, ...]) -> str:
        if not self.has(key):
            return default
        value = self._content[key]
        if value not in options:
            suggestion = nearest(value, options) if isinstance(value, str) else ""
            raise SpecError(
                f"{self.file}: {self.dotted(key)}: expected one of {', '.join(options)}, got {value!r}{suggestion}"
            )
        return str(value)

    def flag(self, key: str, default: bool) -> bool:
        if not self.has(key):
            return default
        value = self._content[key]
        if not isinstance(value, bool):
            self.fail(key, "true or false")
        return value

    def numbers(self, key: str, expected: str, count: int | None = None) -> tuple[float, ...]:
        """A list of finite numbers, of the given length."""
        value = self.require(key, expected)
        found = [as_number(item) for item in value] if isinstance(value, list) else [None]
        if any(item is None for item in found) or (count is not None and len(found) != count):
            self.fail(key, expected)
        return tuple(item for item in found if item is not None)

    def child(self, key: str, word_for: str = "") -> Fields | None:
        """The mapping under key; a bare word w is read as {word_for: w}; None when the key is absent."""
        if not self.has(key):
            return None
        value = self._content[key]
        if word_for and isinstance(value, str):
            value = {word_for: value}
        return Fields(self.file, self.dotted(key), value)


def as_number(value: object) -> float | None:
    """A finite float from a YAML scalar, or None."""
    if isinstance(value, str) and _NUMBER_TEXT.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of 400 digits
        return None
    return number if math.isfinite(number) else None
