"""What a bundle keeps beside its weights: active sets, committees, and the embedding that nonlinear sets need."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from acegen.errors import InputError, LoadError
from acegen.manifest import Manifest
from acegen.runtime.arrays import FloatArray, any_array
from acegen.uncertainty.asi import checked_inverse, read_asi
from acegen.uncertainty.sets import Densities, ModelActiveSets, is_nonlinear

_WEIGHTS = ("weights_", "fold_")
Kept = dict[str, npt.NDArray[np.generic]]
ActiveSetIn = str | os.PathLike[str] | Sequence[npt.ArrayLike]


def kept_arrays(folder: Path) -> Kept:
    """Arrays of weights.npz that are neither weights nor their fold map, none without the file.

    Raises:
        LoadError: the file is damaged.
    """
    path = folder / "weights.npz"
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if not name.startswith(_WEIGHTS)}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise LoadError(f"{path}: cannot read what is kept with the weights ({error})") from error


def kept_active_sets(kept: Kept, manifest: Manifest, weights: tuple[FloatArray, ...] | None) -> ModelActiveSets | None:
    """The active sets a bundle was compiled with, None where there are none."""
    if "active_set_inverse_0" not in kept:
        return None
    inverses = [kept.get(f"active_set_inverse_{a}", np.zeros(0)) for a in range(len(manifest.species))]
    return active_sets_of(inverses, kept, manifest, weights)


def active_sets_of(
    given: ActiveSetIn, kept: Kept, manifest: Manifest, weights: tuple[FloatArray, ...] | None
) -> ModelActiveSets:
    """Active sets from an `.asi` file or from inverse matrices, one per species, checked against the model.

    Raises:
        InputError: they do not fit, or the functions of this model are not those of any active set.
    """
    if manifest.source.lower().endswith((".yace", ".ace")):
        raise InputError(
            f"active_set: {manifest.source} holds no basis functions of its own (those that differ in intermediate "
            "couplings are added up): load the potential in B-basis (.yaml)"
        )
    symbols = manifest.species
    if isinstance(given, str | os.PathLike):
        label, inverses = os.fspath(given), read_asi(given, symbols)
    else:
        label = "active_set"
        if not hasattr(given, "__len__") or len(given) != len(symbols):
            found = len(given) if hasattr(given, "__len__") else repr(given)
            raise InputError(f"active_set: expected a file or {len(symbols)} matrices, one per species, found {found}")
        named = zip(symbols, given, strict=True)
        inverses = tuple(
            checked_inverse(f"active_set: {symbol}", any_array("active_set", array)) for symbol, array in named
        )
    sizes = [sum(rows) for rows in manifest.n_basis_per_species]
    if not is_nonlinear(label, inverses, symbols, sizes, manifest.n_densities):
        return ModelActiveSets(inverses)
    if weights is None or "embedding_kinds" not in kept:
        raise InputError(f"{label}: nonlinear active sets belong to PACE potentials in B-basis (.yaml)")
    kinds = kept["embedding_kinds"]
    densities = tuple(
        Densities(
            weights[a],
            str(kinds[a]),
            kept[f"embedding_scales_{a}"].astype(np.float64),
            kept[f"embedding_exponents_{a}"].astype(np.float64),
        )
        for a in range(len(symbols))
    )
    return ModelActiveSets(inverses, densities)
