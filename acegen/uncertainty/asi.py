"""Active sets of PACE potentials: `.asi` files, an inverse matrix per element (NumPy `.npz`)."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from acegen.errors import InputError

FloatArray = npt.NDArray[np.float64]


def read_asi(path: str | os.PathLike[str], species: tuple[str, ...]) -> tuple[FloatArray, ...]:
    """Inverse of the active rows of each species, in the order of `species`.

    Columns belong to active rows: gamma = max_k |sum_f v_f inverse[f, k]|, with v the rows of B ("linear" sets) or
    those rows times the slopes dF/drho_p of the embedding, one density after the other ("nonlinear" sets).

    Raises:
        InputError: the file cannot be read, lacks an element, or an array is no invertible matrix.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: expected an active set (.asi), found no such file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: np.asarray(archive[name]) for name in archive.files}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, AttributeError):
        raise InputError(f"{path}: expected an active set (.asi), a NumPy .npz with a matrix per element") from None
    inverses = []
    for symbol in species:
        if symbol not in found:
            held = ", ".join(sorted(found)) or "none"
            raise InputError(f"{path}: expected a matrix for element {symbol}, found {held}")
        inverses.append(checked_inverse(f"{path}: {symbol}", found[symbol]))
    return tuple(inverses)


def checked_inverse(label: str, array: npt.NDArray[np.generic]) -> FloatArray:
    """A square matrix of finite real numbers as float64 in C order; `label` opens the message when it is not one.

    Raises:
        InputError: it is something else.
    """
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.dtype.kind not in "fiu":
        raise InputError(f"{label}: expected a square matrix of numbers, found {array.dtype} {list(array.shape)}")
    if not np.isfinite(array).all():
        raise InputError(f"{label}: expected finite numbers, found infinite or undefined ones")
    if _is_singular(np.asarray(array, np.float64)):
        raise InputError(f"{label}: expected the inverse of a matrix, found a singular matrix")
    return np.array(array, np.float64, order="C")


def _is_singular(array: FloatArray) -> bool:
    """Whether rows or columns depend on each other exactly; condition numbers of 1e18 do occur in good sets.

    Rows of zeros pass: a pseudo-inverse has them for functions that no active row contains.
    """
    if not array.any(axis=0).all():
        return True
    return bool(array.any(axis=1).all()) and float(np.linalg.slogdet(array)[0]) == 0.0
