"""Access to the options and parameters of a radial family or core repulsion, with errors that name the key."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Protocol

import mpmath

from acegen.errors import PotentialError


class Described(Protocol):
    """What the builders need of potential.Core."""

    @property
    def kind(self) -> str: ...
    @property
    def options(self) -> tuple[tuple[str, object], ...]: ...
    @property
    def parameters(self) -> tuple[tuple[str, float | tuple[float, ...]], ...]: ...


class Sized(Described, Protocol):
    """What the builders need of potential.RadialFamily."""

    @property
    def size(self) -> int: ...


class Asked:
    """Options and parameters by name; `options` and `parameters` list what the kind knows, with its defaults."""

    def __init__(
        self,
        described: Described,
        size: int,
        options: dict[str, object],
        parameters: tuple[str, ...],
        what: str = "radial family",
    ) -> None:
        self.kind, self.size, self.title = described.kind, size, f"{what} '{described.kind}'"
        given = dict(described.options)
        self._refuse_unknown("option", given, tuple(options))
        self._options = {**options, **given}
        self._parameters = dict(described.parameters)
        self._refuse_unknown("parameter", self._parameters, parameters)

    def _refuse_unknown(
        self, sort: str, given: dict[str, object] | dict[str, float | tuple[float, ...]], known: tuple[str, ...]
    ) -> None:
        for key in given:
            if key not in known:
                near = get_close_matches(key, known, 1)
                hint = f"did you mean '{near[0]}'?" if near else f"expected one of: {', '.join(known) or 'none'}"
                raise PotentialError(f"{self.title}: {sort} '{key}' is unknown, {hint}")

    def option(self, key: str) -> object:
        """An option; None as default means that it must be given."""
        value = self._options[key]
        if value is None:
            raise PotentialError(f"{self.title}: option '{key}' is missing")
        return value

    def integer(self, key: str) -> int:
        """An integer option."""
        value = self.option(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise PotentialError(f"{self.title}: option '{key}' is {value!r}, expected an integer")
        return int(value)

    def flag(self, key: str) -> bool:
        """A boolean option."""
        value = self.option(key)
        if not isinstance(value, bool):
            raise PotentialError(f"{self.title}: option '{key}' is {value!r}, expected true or false")
        return value

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        """One of a few words."""
        value = self.option(key)
        if not isinstance(value, str) or value not in allowed:
            raise PotentialError(f"{self.title}: option '{key}' is {value!r}, expected one of {', '.join(allowed)}")
        return value

    def listed(self, key: str, length: int) -> tuple[float, ...]:
        """An option that is a tuple of numbers of given length."""
        value = self.option(key)
        if not isinstance(value, tuple) or len(value) != length:
            raise PotentialError(f"{self.title}: option '{key}' is {value!r}, expected {length} numbers")
        return tuple(float(item) for item in value)

    def has(self, key: str) -> bool:
        """Whether a parameter was given."""
        return key in self._parameters

    def number(self, key: str, default: float | None = None) -> mpmath.mpf:
        """A scalar parameter in working precision."""
        value = self._parameters.get(key, default)
        if value is None:
            raise PotentialError(f"{self.title}: parameter '{key}' is missing")
        if isinstance(value, tuple) or not mpmath.isfinite(value):
            raise PotentialError(f"{self.title}: parameter '{key}' is {value}, expected one finite number")
        return mpmath.mpf(float(value))

    def numbers(self, key: str, length: int) -> tuple[float, ...]:
        """A tuple parameter of given length."""
        value = self._parameters.get(key)
        if not isinstance(value, tuple) or len(value) != length:
            found = "missing" if value is None else f"{len(value)} numbers" if isinstance(value, tuple) else "a number"
            raise PotentialError(f"{self.title}: parameter '{key}' is {found}, expected {length} numbers")
        return tuple(float(item) for item in value)
