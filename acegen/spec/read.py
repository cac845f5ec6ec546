"""Stage 1, read: spec.yaml in, `BasisSpec` out; the keys are listed in `acegen.spec`."""

from __future__ import annotations

import math
from pathlib import Path

import yaml

from acegen.errors import SpecError
from acegen.spec.bonds import BondDefaults, read_bonds
from acegen.spec.check import MAX_FUNCTIONS, Selection, read_elements, read_name, read_order, read_selection
from acegen.spec.fields import Fields
from acegen.spec.model import BasisSpec, Envelope, Evaluation, PairSpec, Primitives, RadialSpec, Transform
from acegen.spec.parts import (
    read_embedding,
    read_envelope,
    read_evaluation,
    read_polynomials,
    read_primitives,
    read_radial_weights,
    read_reference_energies,
    read_transform,
    read_weights,
)
from acegen.spec.presets import OWN, PRESETS, Preset


class _Loader(yaml.SafeLoader):
    """Safe YAML in which only true and false are booleans (No is nobelium) and a key may stand only once."""


_Loader.yaml_implicit_resolvers = {
    first: [entry for entry in entries if entry[0] != "tag:yaml.org,2002:bool" or first in "tTfF"]
    for first, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[object, object]:
    seen: set[object] = set()
    for key_node, _ in node.value:
        key = key_node.value
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, "expected a word as key", key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_text(path: Path) -> str:
    """The text of a specification, or a SpecError naming the file."""
    try:
        return path.read_text(encoding="utf-8-sig")  # some editors begin with a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SpecError(f"{path.name}: cannot be read: {reason}") from None


def parse_yaml(text: str, file: str) -> object:
    """The content of a YAML text, or a SpecError naming file and line."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "malformed"
        raise SpecError(f"{file}:{line} not valid YAML: {problem}") from None
    except RecursionError:
        raise SpecError(f"{file}: nested too deeply, expected a specification") from None
    except ValueError as error:  # 2026-13-41, a number of 5000 digits
        raise SpecError(f"{file}: not valid YAML: {error}") from None


def read_spec(path: Path | str) -> BasisSpec:
    """Read a basis specification.

    Raises SpecError, one sentence naming file, key, what was found and what is expected.
    """
    path = Path(path)
    return spec_of(parse_yaml(read_text(path), path.name), path)


def spec_of(content: object, path: Path) -> BasisSpec:
    """The specification in a mapping already read from `path`, beside which array files are looked for."""
    top = Fields(path.name, "", content)
    preset = PRESETS[top.choice("preset", "", tuple(PRESETS))] if top.has("preset") else OWN
    elements = read_elements(top)
    order = read_order(top)
    selection = read_selection(top, order)
    tolerance = top.number("level_tolerance", preset.level_tolerance, "a number in 0..1", 0.0)
    if tolerance > 1.0:
        top.fail("level_tolerance", "a number in 0..1")
    radial, transform, envelope = _radial(top, preset, selection, len(elements), tolerance, path.parent)
    pair, pair_transform, pair_envelope = _pair(top, preset, selection, len(elements), radial.primitives)
    transformed = radial.primitives is None or (pair is not None and pair.primitives is None)
    defaults = BondDefaults(transform, envelope, pair_transform, pair_envelope, transformed)
    spec = BasisSpec(
        name=read_name(top, path.stem),
        elements=elements,
        order=order,
        degree=selection.degree,
        l_weight=top.number("l_weight", 1.5, "a number >= 0.1", 0.1),
        level_tolerance=tolerance,
        n_max=selection.n_max,
        l_max=selection.l_max,
        row_order=top.choice("row_order", preset.row_order, ("by_order", "lexicographic")),
        angular=top.choice("angular", preset.angular, ("spherical", "solid")),
        radial=radial,
        pair=pair,
        bonds=read_bonds(top, elements, preset, defaults),
        reference_energies=read_reference_energies(top, elements),
        embedding=read_embedding(top),
        weights=read_weights(top, path.parent),
        weights_replaceable=top.flag("weights_replaceable", False),
        max_functions=top.integer("max_functions", MAX_FUNCTIONS, "a whole number >= 1", 1),
        precision=top.choice("precision", "float64", ("float64", "float32")),
        source=path.name,
    )
    top.finish()
    return spec


MOST_RADIAL = 1000  # radial functions of one kind: every one is a statement of the kernel
_FEW = f"a whole number in 1..{MOST_RADIAL}"


def _radial(
    top: Fields, preset: Preset, selection: Selection, n_species: int, tolerance: float, folder: Path
) -> tuple[RadialSpec, Transform, Envelope]:
    fields = top.child("radial") or Fields(top.file, "radial", {})
    weights = read_radial_weights(fields, folder)
    n_polynomials = 0
    if weights.kind == "one-hot":
        if fields.has("n_polynomials"):
            fields.fail("n_polynomials", "no such key with one-hot weights (as many polynomials as are used)")
    else:
        default = math.ceil(1.5 * selection.largest_n(n_species, tolerance))
        n_polynomials = fields.integer("n_polynomials", default, _FEW, 1, MOST_RADIAL)
    primitives = read_primitives(fields, None)
    radial = RadialSpec(
        polynomials=OWN.polynomials if primitives else read_polynomials(fields, preset.polynomials),
        evaluation=_evaluation(fields, preset.evaluation, primitives),
        weights=weights,
        n_polynomials=n_polynomials,
        primitives=primitives,
    )
    transform, envelope = read_transform(fields, preset.transform), read_envelope(fields, preset.envelope)
    fields.finish()
    return radial, transform, envelope


def _evaluation(fields: Fields, default: Evaluation, primitives: Primitives | None) -> Evaluation:
    if primitives is None:
        return read_evaluation(fields, default)
    evaluation = read_evaluation(fields, OWN.evaluation)
    if evaluation.kind == "spline":
        fields.fail("evaluation", f"exact or tabulated with kind {primitives.kind}")
    return evaluation


def _pair(
    top: Fields, preset: Preset, selection: Selection, n_species: int, like: Primitives | None
) -> tuple[PairSpec | None, Transform, Envelope]:
    """The pair basis, its transform and envelope (those are kept, unused, when there is no pair basis)."""
    absent = top.raw("pair") in ("none", None) if top.has("pair") else preset.pair_count == "none"
    if absent:
        return None, preset.pair_transform, preset.pair_envelope
    fields = top.child("pair") or Fields(top.file, "pair", {})
    if fields.has("degree") and fields.has("n_functions"):
        fields.fail("n_functions", "either degree or n_functions, not both")
    largest = math.floor(max(selection.degree or selection.n_max))
    if fields.has("n_functions"):
        n_functions = fields.integer("n_functions", 0, _FEW, 1, MOST_RADIAL)
    elif fields.has("degree") or preset.pair_count != "total":
        n_functions = n_species * fields.integer("degree", largest, _FEW, 1, MOST_RADIAL)
    else:
        n_functions = largest
    primitives = read_primitives(fields, like)
    pair = PairSpec(
        n_functions=n_functions,
        polynomials=OWN.polynomials if primitives else read_polynomials(fields, OWN.polynomials),
        evaluation=_evaluation(fields, preset.pair_evaluation, primitives),
        primitives=primitives,
    )
    transform = read_transform(fields, preset.pair_transform)
    envelope = read_envelope(fields, preset.pair_envelope)
    fields.finish()
    return pair, transform, envelope
