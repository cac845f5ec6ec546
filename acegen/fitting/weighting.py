"""Weights of the rows: energy w_E/sqrt(N), forces w_F, virial w_V/sqrt(N), for all structures or by type."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from acegen.errors import InputError
from acegen.fitting.structures import Structure

DEFAULT = "default"
_LETTERS = ("E", "F", "V")


@dataclass(frozen=True, slots=True)
class RowWeights:
    """Factors of the residuals of one type of structures: eV, eV/angstrom and eV become numbers."""

    energy: float = 30.0
    forces: float = 1.0
    virial: float = 1.0


@dataclass(frozen=True, slots=True)
class Weighting:
    """Row weights of every type: `others` unless the type is named."""

    others: RowWeights = RowWeights()
    named: tuple[tuple[str, RowWeights], ...] = ()

    def of(self, structure: Structure) -> RowWeights:
        """Weights of one structure, before the division by sqrt(N)."""
        return dict(self.named).get(structure.kind, self.others)

    def told(self) -> dict[str, dict[str, float]]:
        """In the form of the argument of `make_weighting`."""
        everything = {DEFAULT: self.others, **dict(self.named)}
        return {kind: {"E": own.energy, "F": own.forces, "V": own.virial} for kind, own in everything.items()}

    def check_kinds(self, structures: Iterable[Structure]) -> None:
        """Refuse types that no structure has.

        Raises:
            InputError: names the nearest type there is.
        """
        kinds = sorted({structure.kind for structure in structures})
        for name, _ in self.named:
            if name not in kinds:
                near = difflib.get_close_matches(name, kinds, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(kinds)}"
                raise InputError(f"weights: no structure is of type {name!r}, {hint}")


def make_weighting(given: Mapping[str, Mapping[str, float]]) -> Weighting:
    """Weighting of {type: {"E": .., "F": .., "V": ..}}; the type "default" is for all that are not named.

    What a type does not say is as in "default", and what that does not say is E 30, F 1, V 1.

    Raises:
        InputError: no such mapping, an unknown letter, or a weight that is neither 0 nor in 1e-12..1e12.
    """
    example = '{"default": {"E": 30, "F": 1, "V": 1}}'
    if not isinstance(given, Mapping):
        raise InputError(f"weights: expected them by type of structure, such as {example}, found {given!r}")
    for kind, values in given.items():
        if not isinstance(values, Mapping):
            raise InputError(f"weights: {kind}: expected a mapping as in {example}, found {values!r}")
        for letter, value in values.items():
            if letter not in _LETTERS:
                raise InputError(f"weights: {kind}: found {letter!r}, expected some of E, F, V")
            if not isinstance(value, int | float) or isinstance(value, bool) or not _is_sane(value):
                raise InputError(f"weights: {kind}: {letter}: expected 0 or a number in 1e-12..1e12, found {value!r}")
    base = RowWeights()
    others = _replaced(base, given.get(DEFAULT, {}))
    named = tuple((kind, _replaced(others, values)) for kind, values in given.items() if kind != DEFAULT)
    return Weighting(others, named)


def _is_sane(weight: float) -> bool:
    """Whether the squares of rows under this weight neither overflow nor vanish."""
    return weight == 0.0 or 1e-12 <= weight <= 1e12


def _replaced(base: RowWeights, values: Mapping[str, float]) -> RowWeights:
    return RowWeights(
        float(values.get("E", base.energy)), float(values.get("F", base.forces)), float(values.get("V", base.virial))
    )


def parse_weights(texts: Iterable[str]) -> dict[str, dict[str, float]]:
    """Weights of command-line words such as "E=30,F=1" (for all) or "liquid:E=10,F=1,V=0".

    Raises:
        InputError: not of that form.
    """
    given: dict[str, dict[str, float]] = {}
    for text in texts:
        kind, colon, values = text.rpartition(":")
        own = given.setdefault(kind if colon else DEFAULT, {})
        for item in values.split(","):
            letter, _, number = item.partition("=")
            if letter.strip() in own:
                raise InputError(
                    f"--weight: {letter.strip()} of {kind or DEFAULT} is given twice, the second time in {text!r}"
                )
            try:
                own[letter.strip()] = float(number)
            except ValueError:
                raise InputError(
                    f"--weight: expected TYPE:E=number,F=number,V=number or without TYPE:, found {text!r}"
                ) from None
    return given
