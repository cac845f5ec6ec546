"""The parameter vector [B of species 0 | B of species 1 | .. | pair of species 0 | ..] and the weights per species."""

from __future__ import annotations

import numpy as np

from acegen.runtime.arrays import FloatArray
from acegen.runtime.model import Model


def as_weights(model: Model, parameters: FloatArray) -> tuple[FloatArray, ...]:
    """Weights [..., n_functions] of each species, many-body rows then pair rows, of parameters [..., n_parameters]."""
    slices, n_species = model.parameter_slices, len(model.species)
    return tuple(
        np.concatenate([parameters[..., slices[a]], parameters[..., slices[n_species + a]]], axis=-1)
        for a in range(n_species)
    )
