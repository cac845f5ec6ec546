"""Stage 2, what a model keeps beside its weights: active sets and committees, for the weights.npz of its bundle.

    active_set_inverse_<a>   [n, n] inverse of the active rows of centre species a, columns belong to active rows
    committee_<a>            [n_members, n_functions] weights of the members of a committee
    embedding_kinds          [n_species] text, embedding_scales_<a>, embedding_exponents_<a> [n_densities]: of PACE
                             potentials in B-basis, whose active sets may need the slopes of the embedding

Specifications name them in their weights file, PACE potentials have an `.asi` file beside them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from acegen.basis.weights import load_arrays, pick
from acegen.errors import InputError, PotentialError, SpecError
from acegen.potential import Potential
from acegen.spec.files import is_pace_text
from acegen.spec.read import read_spec
from acegen.uncertainty.asi import checked_inverse, read_asi
from acegen.uncertainty.sets import is_nonlinear

Arrays = dict[str, np.ndarray]


def kept_arrays(path: Path, potential: Potential) -> Arrays:
    """Arrays to keep for the input `path`, which has been read to `potential`; none for most inputs.

    Raises:
        SpecError, PotentialError: a file beside the input does not fit it.
    """
    if path.suffix not in (".yaml", ".yml"):
        return {}
    if is_pace_text(path.read_text(encoding="utf-8")):
        return _of_b_basis(path, potential)
    source = read_spec(path).weights.source
    if source is None:
        return {}
    label = f"{path.name}: weights.file {source.file}"
    return _of_weights_file(label, load_arrays(source.path, label), potential)


def _of_b_basis(path: Path, potential: Potential) -> Arrays:
    embeddings = [centre.embedding for centre in potential.centres]
    found: Arrays = {"embedding_kinds": np.array([embedding.kind for embedding in embeddings])}
    for a, embedding in enumerate(embeddings):
        found[f"embedding_scales_{a}"] = np.array(embedding.scales, np.float64)
        found[f"embedding_exponents_{a}"] = np.array(embedding.exponents, np.float64)
    beside = path.with_suffix(".asi")
    if beside.is_file():
        try:
            inverses = read_asi(beside, potential.species)
            _check_sets(str(beside), inverses, potential)
        except InputError as error:
            raise PotentialError(str(error)) from error
        found |= {f"active_set_inverse_{a}": inverse for a, inverse in enumerate(inverses)}
    return found


def _of_weights_file(label: str, arrays: Arrays, potential: Potential) -> Arrays:
    found: Arrays = {}
    try:
        inverses = [
            checked_inverse(f"{label}: array {name!r}", pick(arrays, label, name))
            for name in _names("active_set_inverse", arrays, potential)
        ]
        if inverses:
            _check_sets(label, inverses, potential)
    except InputError as error:
        raise SpecError(str(error)) from error
    found |= {f"active_set_inverse_{a}": inverse for a, inverse in enumerate(inverses)}
    members = 0
    for a, name in enumerate(_names("committee", arrays, potential)):
        array, n = pick(arrays, label, name), len(potential.centres[a].functions)
        members = members or max(2, len(array) if array.ndim else 0)
        if not potential.linear:
            raise SpecError(f"{label}: array {name!r}: expected only for models that are linear in their weights")
        if array.shape != (members, n):
            raise SpecError(
                f"{label}: array {name!r}: expected [{members}, {n}] (members, basis functions), "
                f"found {list(array.shape)}"
            )
        found[name] = array
    return found


def _names(stem: str, arrays: Arrays, potential: Potential) -> list[str]:
    """Names of one array per species, none when the file has not the first one."""
    return [f"{stem}_{a}" for a in range(len(potential.species))] if f"{stem}_0" in arrays else []


def _check_sets(label: str, inverses: tuple[np.ndarray, ...] | list[np.ndarray], potential: Potential) -> None:
    sizes = [len(centre.functions) for centre in potential.centres]
    is_nonlinear(label, inverses, potential.species, sizes, [c.embedding.n_densities for c in potential.centres])
