"""Arguments and results of the single-site entry, checked the same way on every device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray, Int32Array, check_range, float_array, int32_array


def checked_site(
    symbols: Sequence[str], species: int, neighbour_species: npt.ArrayLike, vectors: npt.ArrayLike
) -> tuple[int, Int32Array, FloatArray]:
    """Species index of the centre, those [n] of its neighbours, and r_j - r_i [n, 3] in angstrom.

    Raises:
        InputError: names the argument, what was found and what is expected.
    """
    if isinstance(species, bool) or not isinstance(species, int | np.integer):
        raise InputError(f"species: expected an index into {tuple(symbols)}, found {species!r}")
    around = int32_array("neighbour_species", neighbour_species, (None,))
    check_range("neighbour_species", around, len(symbols), "species of the model")
    check_range("species", np.array([int(species)], object), len(symbols), "species of the model")
    return int(species), around, float_array("vectors", vectors, (len(around), 3), "angstrom")


def check_site_finite(energy: float, gradient: FloatArray, vectors: FloatArray) -> None:
    """Refuse an energy or a gradient that is not finite, naming the nearest neighbour.

    Raises:
        InputError: one of them is not.
    """
    if math.isfinite(energy) and np.isfinite(gradient).all():
        return
    lengths = np.linalg.norm(vectors, axis=1)
    n = int(lengths.argmin()) if len(lengths) else None
    near = "" if n is None else f"; neighbour {n} is {lengths[n]:g} angstrom away"
    raise InputError(f"vectors: the energy or its gradient is not finite{near}")
