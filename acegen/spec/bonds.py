"""Radial settings of every ordered pair: defaults, then overrides of the unordered and of the ordered pair."""

from __future__ import annotations

from dataclasses import dataclass, replace

from acegen.errors import SpecError
from acegen.spec.elements import mean_bond_length
from acegen.spec.fields import Fields, nearest
from acegen.spec.model import BondSpec, Envelope, Transform
from acegen.spec.parts import read_envelope, read_transform
from acegen.spec.presets import Preset


@dataclass(frozen=True, slots=True)
class BondDefaults:
    """What a bond has unless `bonds` says otherwise; the four radial pieces come from `radial` and `pair`."""

    transform: Transform
    envelope: Envelope
    pair_transform: Transform
    pair_envelope: Envelope
    transformed: bool = True  # False: no part of the radial basis has a transform, so bonds have a cutoff only


def read_bonds(
    top: Fields, elements: tuple[str, ...], preset: Preset, defaults: BondDefaults
) -> tuple[tuple[BondSpec, ...], ...]:
    """[centre][neighbour] settings with r0 and cutoff resolved and checked."""
    overrides = _overrides(top, elements)
    if defaults.transformed:
        lengths = _r0_defaults(top, elements, defaults, overrides)
    else:
        _refuse_shapes(overrides)
        lengths = {(a, b): _UNUSED for a in elements for b in elements}
        preset = replace(preset, cutoff_over_r0=0.0)
    fallback = _default_cutoff(top, preset, lengths)
    return tuple(
        tuple(_bond(top.file, (a, b), defaults, lengths[a, b], fallback, overrides.get((a, b), ())) for b in elements)
        for a in elements
    )


_UNUSED = 1e-6  # angstrom, r0 where nothing reads it: below any cutoff


def _refuse_shapes(overrides: dict[tuple[str, str], tuple[Fields, ...]]) -> None:
    """Overrides of what this basis does not have."""
    for several in overrides.values():
        for fields in several:
            for key in ("r0", "r_in", "radial", "pair"):
                if fields.has(key):
                    fields.fail(key, "no such key, as nothing here has a transform (cutoff is the only one)")


def _overrides(top: Fields, elements: tuple[str, ...]) -> dict[tuple[str, str], tuple[Fields, ...]]:
    """Per ordered pair, the mappings that apply, unordered first."""
    result: dict[tuple[str, str], tuple[Fields, ...]] = {}
    section = top.child("bonds")
    if section is None:
        return result
    written: dict[tuple[str, ...], str] = {}
    for ordered in (False, True):
        for key in section.names:
            if ("->" in key) != ordered:
                continue
            section.has(key)
            parts = [part.strip() for part in key.split("->" if ordered else "-")]
            if len(parts) != 2:
                section.fail(key, "a pair such as Si-Ge or Si->Ge as key")
            for part in parts:
                if part not in elements:
                    place = section.dotted(key)
                    raise SpecError(
                        f"{top.file}: {place}: expected elements of this spec, got {part!r}{nearest(part, elements)}"
                    )
            same = (*parts, "->") if ordered else tuple(sorted(parts))
            if same in written:
                first = written[same]
                raise SpecError(f"{top.file}: {section.dotted(key)}: expected each pair once, got it as {first!r} too")
            written[same] = key
            for pair in sorted({(parts[0], parts[1])} | (set() if ordered else {(parts[1], parts[0])})):
                fields = section.child(key)
                if fields is not None:
                    result[pair] = (*result.get(pair, ()), fields)
    return result


def _r0_defaults(
    top: Fields,
    elements: tuple[str, ...],
    defaults: BondDefaults,
    overrides: dict[tuple[str, str], tuple[Fields, ...]],
) -> dict[tuple[str, str], float]:
    """r0 of each ordered pair before its own transform is read (angstrom)."""
    lengths = {}
    for a in elements:
        for b in elements:
            r0 = defaults.transform.r0 or mean_bond_length(a, b)
            for fields in overrides.get((a, b), ()):
                r0 = fields.number("r0", r0 or 0.0, "a length in angstrom > 0", 0.0, strict=True) or None
            if r0 is None:
                raise SpecError(
                    f"{top.file}: radial.transform.r0: expected a length in angstrom, because {a}-{b} "
                    "has no tabulated bond length, but the key is missing"
                )
            lengths[a, b] = r0
    return lengths


def _default_cutoff(top: Fields, preset: Preset, lengths: dict[tuple[str, str], float]) -> float:
    expected = "a length in angstrom > 0"
    if preset.cutoff_over_r0:
        return top.number("cutoff", preset.cutoff_over_r0 * max(lengths.values()), expected, 0.0, strict=True)
    if preset.cutoff is None:
        top.require("cutoff", expected)
    return top.number("cutoff", preset.cutoff or 0.0, expected, 0.0, strict=True)


def _bond(
    file: str, pair: tuple[str, str], defaults: BondDefaults, r0: float, cutoff: float, overrides: tuple[Fields, ...]
) -> BondSpec:
    transform = replace(defaults.transform, r0=r0)
    pair_transform = replace(defaults.pair_transform, r0=defaults.pair_transform.r0 or r0)
    bond = BondSpec(cutoff, transform, defaults.envelope, pair_transform, defaults.pair_envelope)
    for fields in overrides:
        bond = _overridden(fields, bond)
    for word, used in (("radial", bond.transform), ("pair", bond.pair_transform)):
        used_r0 = used.r0 or 0.0
        if not used.r_in < used_r0 < bond.cutoff:
            raise SpecError(
                f"{file}: {word}.transform of {pair[0]}->{pair[1]}: expected r_in < r0 < cutoff (angstrom), "
                f"got r_in = {used.r_in:g}, r0 = {used_r0:g}, cutoff = {bond.cutoff:g}"
            )
    return bond


def _overridden(fields: Fields, bond: BondSpec) -> BondSpec:
    cutoff = fields.number("cutoff", bond.cutoff, "a length in angstrom > 0", 0.0, strict=True)
    transform, pair_transform = bond.transform, bond.pair_transform
    if fields.has("r0"):
        r0 = fields.number("r0", 0.0, "a length in angstrom > 0", 0.0, strict=True)
        transform, pair_transform = replace(transform, r0=r0), replace(pair_transform, r0=r0)
    if fields.has("r_in"):
        r_in = fields.number("r_in", 0.0, "a length in angstrom >= 0", 0.0)
        transform, pair_transform = replace(transform, r_in=r_in), replace(pair_transform, r_in=r_in)
    envelope, pair_envelope = bond.envelope, bond.pair_envelope
    radial, pair = fields.child("radial"), fields.child("pair")
    if radial is not None:
        transform, envelope = read_transform(radial, transform), read_envelope(radial, envelope)
        radial.finish()
    if pair is not None:
        pair_transform, pair_envelope = read_transform(pair, pair_transform), read_envelope(pair, pair_envelope)
        pair.finish()
    fields.finish()
    return BondSpec(cutoff, transform, envelope, pair_transform, pair_envelope)
