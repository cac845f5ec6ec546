"""Typed access to the nested maps of a potential file; every complaint names file, key, expected and found."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from acegen.errors import PotentialError

_REQUIRED = object()


def show(value: object) -> str:
    """The value as it appears in a message, cut to one short line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def to_float(value: object) -> float | None:
    """The number a YAML scalar stands for, or None; YAML 1.1 loaders leave `1e-10` a string."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):  # a whole number of 400 digits overflows
        return None


def to_integer(value: object) -> int | None:
    """The integer a YAML scalar stands for (2 and 2.0 but not 2.5), or None; at most 2**31 - 1 in magnitude."""
    number = to_float(value)
    if number is None or not abs(number) < 2**31 or number != int(number):
        return None
    return int(number)


@dataclass(frozen=True, slots=True)
class Fields:
    """One map of the file with its place: `place` is the dotted key path printed in messages."""

    file: str
    place: str
    content: Mapping[Any, Any]

    def where(self, key: object) -> str:
        """The dotted path of a key."""
        return f"{self.place}.{key}" if self.place else str(key)

    def fail(self, key: object, expected: str, found: object) -> PotentialError:
        """The error for a wrong value."""
        return PotentialError(f"{self.file}: {self.where(key)}: expected {expected}, found {show(found)}")

    def has(self, key: object) -> bool:
        """Whether the key is present (a null value counts as absent)."""
        return self.content.get(key) is not None

    def get(self, key: object, default: object = _REQUIRED) -> Any:
        """The raw value of a key; a missing required key names the most similar key that is there."""
        value = self.content.get(key)
        if value is not None:
            return value
        if default is not _REQUIRED:
            return default
        similar = difflib.get_close_matches(str(key), [str(k) for k in self.content], n=2)
        hint = f" (nearest found: {', '.join(repr(name) for name in similar)})" if similar else ""
        raise PotentialError(f"{self.file}: {self.where(key)}: required key is missing{hint}")

    def number(self, key: object, default: float | None = None, least: float | None = None) -> float:
        """A finite float, optionally at least `least`."""
        raw = self.get(key, _REQUIRED if default is None else default)
        value = to_float(raw)
        if value is None or not math.isfinite(value):
            raise self.fail(key, "a finite number", raw)
        if least is not None and value < least:
            raise self.fail(key, f"a number >= {least:g}", raw)
        return value

    def positive(self, key: object) -> float:
        """A finite float > 0."""
        value = self.number(key)
        if value <= 0.0:
            raise self.fail(key, "a number > 0", value)
        return value

    def integer(self, key: object, least: int = 0) -> int:
        """An integer >= least."""
        raw = self.get(key)
        value = to_integer(raw)
        if value is None or value < least:
            raise self.fail(key, f"an integer >= {least}", raw)
        return value

    def text(self, key: object, default: str | None = None) -> str:
        """A string."""
        raw = self.get(key, _REQUIRED if default is None else default)
        if not isinstance(raw, str):
            raise self.fail(key, "a word", raw)
        return raw

    def sequence(self, key: object, length: int | None = None, least: int = 0) -> Sequence[Any]:
        """A list, optionally of a known length."""
        raw = self.get(key)
        if not isinstance(raw, (list, tuple)):
            raise self.fail(key, "a list", raw)
        if length is not None and len(raw) != length:
            raise PotentialError(
                f"{self.file}: {self.where(key)}: expected {length} entries, found {len(raw)} in {show(raw)}"
            )
        if len(raw) < least:
            raise self.fail(key, f"at least {least} entries", raw)
        return raw

    def numbers(self, key: object, length: int | None = None, least: int = 0) -> tuple[float, ...]:
        """A list of finite floats."""
        out = []
        for index, raw in enumerate(self.sequence(key, length, least)):
            value = raw if type(raw) is float else to_float(raw)
            if value is None or not math.isfinite(value):
                raise self.fail(f"{key}[{index}]", "a finite number", raw)
            out.append(value)
        return tuple(out)

    def integers(self, key: object, length: int | None = None) -> tuple[int, ...]:
        """A list of integers."""
        out = []
        for index, raw in enumerate(self.sequence(key, length)):
            value = raw if type(raw) is int and abs(raw) < 2**31 else to_integer(raw)
            if value is None:
                raise self.fail(f"{key}[{index}]", "an integer", raw)
            out.append(value)
        return tuple(out)

    def block(self, key: object, default: object = _REQUIRED) -> Fields:
        """A nested map."""
        raw = self.get(key, default)
        if not isinstance(raw, Mapping):
            raise self.fail(key, "a map", raw)
        return Fields(self.file, self.where(key), raw)

    def grid(self, key: object, shape: tuple[int, int, int]) -> np.ndarray:
        """A list of lists of lists of finite floats with the given shape."""
        out: list[tuple[float, ...]] = []  # only what is there takes memory, whatever sizes the file states
        for i, row in enumerate(self.sequence(key, shape[0])):
            rows = Fields(self.file, self.place, {f"{key}[{i}]": row})
            for j, cell in enumerate(rows.sequence(f"{key}[{i}]", shape[1])):
                cells = Fields(self.file, self.place, {f"{key}[{i}][{j}]": cell})
                out.append(cells.numbers(f"{key}[{i}][{j}]", shape[2]))
        return np.array(out, np.float64).reshape(shape)
