"""Keywords of ACEpotentials' ace1_model (ace_model.md S13, S15.2) as the keys of a specification with preset ace1."""

from __future__ import annotations

from collections.abc import Callable

from acegen.errors import PotentialError

_ALIASES = {"N": "order", "species": "elements", "trans": "transform"}

# keywords that may only have these values: others change the model in a way that is not known exactly
_FIXED: dict[str, tuple[object, ...]] = {
    "model_name": ("ACE1",),
    "rin": (0,),
    "rbasis": ("legendre",),
    "pair_basis": ("legendre",),
    "pair_rin": ("rin", 0),
    "pair_rcut": ("rcut",),
    "pure": (False,),
    "pure2b": (False,),
    "delete2b": (False, True),  # ignored by ACEpotentials too
    "variable_cutoffs": (False,),
    "ZBL": (False,),
}


def specification(keywords: dict[str, object], file: str) -> dict[str, object]:
    """Keys and values of a specification.

    Raises:
        PotentialError: a keyword is unknown, or has a value whose model cannot be reproduced exactly.
    """
    given: dict[str, object] = {}
    for key, value in keywords.items():
        given[_ALIASES.get(key, key)] = value

    def fail(key: str, expected: str) -> PotentialError:
        return PotentialError(f"{file}: model_spec.{key}: expected {expected}, found {given[key]!r}")

    out: dict[str, object] = {"preset": "ace1"}
    for key, value in given.items():
        if key in _FIXED:
            if not any(value == allowed and isinstance(value, type(allowed) | float) for allowed in _FIXED[key]):
                raise fail(key, " or ".join(repr(allowed) for allowed in _FIXED[key]) + ", other models are not read")
        elif key not in _TRANSLATED:
            known = ", ".join(sorted({*_FIXED, *_TRANSLATED}))
            raise PotentialError(f"{file}: model_spec.{key}: expected keywords of {known}, found an unknown one")
    for key in ("model_name", "elements", "order", "totaldegree"):
        if key not in given:
            raise PotentialError(f"{file}: model_spec.{key}: expected this keyword of ace1_model, found none")
    for key, (expected, translate) in _TRANSLATED.items():
        if given.get(key) is not None:
            found = translate(given[key])
            if found is None:
                raise fail(key, expected)
            _merge(out, found)
    return out


def _merge(into: dict[str, object], more: dict[str, object]) -> None:
    for key, value in more.items():
        old = into.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            _merge(old, value)
        else:
            into[key] = value


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_is(key: str) -> Callable[[object], dict[str, object] | None]:
    """The reader of specifications checks the value."""
    return lambda value: {key: value}


def _r0(value: object) -> dict[str, object] | None:
    if value == "bondlen":
        return {}
    if not _number(value):
        return None
    return {"radial": {"transform": {"r0": value}}, "pair": {"transform": {"r0": value}}}


def _cutoff(value: object) -> dict[str, object] | None:
    if value == ["bondlen", 2.5]:
        return {}
    return {"cutoff": value} if _number(value) else None


def _transform(section: str) -> Callable[[object], dict[str, object] | None]:
    def translate(value: object) -> dict[str, object] | None:
        if not isinstance(value, list) or len(value) != 3 or value[0] != "agnesi":
            return None
        return {section: {"transform": {"p": value[1], "q": value[2]}}}

    return translate


def _pair_degree(value: object) -> dict[str, object] | None:
    if value == "totaldegree":
        return {}
    return {"pair": {"degree": value}} if isinstance(value, int) and not isinstance(value, bool) else None


def _reference(value: object) -> dict[str, object] | None:
    """Eref: a mapping, or a list of mappings with one entry."""
    entries = value if isinstance(value, list) else [value]
    energies: dict[str, object] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not all(_number(energy) for energy in entry.values()):
            return None
        energies.update(entry)
    return {"reference_energies": energies}


def _same(*allowed: object) -> Callable[[object], dict[str, object] | None]:
    """Only the default, which the preset has."""
    return lambda value: {} if value in allowed else None


_TRANSLATED: dict[str, tuple[str, Callable[[object], dict[str, object] | None]]] = {
    "elements": ("a list of symbols", _as_is("elements")),
    "order": ("a whole number", _as_is("order")),
    "totaldegree": ("a number, or one per order", _as_is("degree")),
    "wL": ("a number", _as_is("l_weight")),
    "r0": ('a length in angstrom or "bondlen"', _r0),
    "rcut": ('a length in angstrom or ["bondlen", 2.5]', _cutoff),
    "transform": ('["agnesi", p, q]', _transform("radial")),
    "envelope": ('["x", 2, 2], other models are not read', _same(["x", 2, 2])),
    "pair_transform": ('["agnesi", p, q]', _transform("pair")),
    "pair_envelope": ('["r", 2], other models are not read', _same(["r", 2])),
    "pair_degree": ('a whole number or "totaldegree"', _pair_degree),
    "Eref": ("energies in eV by symbol", _reference),
}
