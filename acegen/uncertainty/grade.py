"""Extrapolation grade: the largest coefficient of an atom's row of B written in the rows of the active set."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_BLOCK_BYTES = 2**24  # of intermediate results: a block stays in the cache of a core


def extrapolation_grade(rows: FloatArray, inverse: FloatArray) -> FloatArray:
    """gamma [n_rows] = max_k |sum_b rows[:, b] inverse[b, k]|; at most 1 within the active set.

    Args:
        rows: [n_rows, n_functions] rows of B of atoms of one species.
        inverse: [n_functions, n_functions] inverse of the matrix whose rows are the active ones.
    """
    grades = np.empty(len(rows))
    step = max(1, _BLOCK_BYTES // (8 * max(1, inverse.shape[1])))
    for start in range(0, len(rows), step):
        coefficients = rows[start : start + step] @ inverse
        np.abs(coefficients, out=coefficients)
        grades[start : start + step] = coefficients.max(axis=1, initial=0.0)
    return grades
