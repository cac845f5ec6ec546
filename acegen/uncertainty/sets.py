"""The active sets of all centre species of one model, and the grades that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from acegen.embeddings import embedding_function
from acegen.errors import InputError
from acegen.uncertainty.grade import extrapolation_grade

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Densities:
    """How the densities of one centre species come from its rows of B, and the energy from them.

    weights: [n_functions, n_densities], rho_p = sum_b weights[b, p] B_b; scales, exponents: [n_densities].
    """

    weights: FloatArray
    kind: str
    scales: FloatArray
    exponents: FloatArray

    def slopes(self, rows: FloatArray) -> FloatArray:
        """dF/drho_p [n_rows, n_densities] of the embedding alone, whatever switches it off where atoms are close."""
        rho = rows @ self.weights
        for p, (scale, exponent) in enumerate(zip(self.scales, self.exponents, strict=True)):
            rho[:, p] = scale * embedding_function(self.kind, rho[:, p], float(exponent))[1]
        return rho


@dataclass(frozen=True, slots=True, eq=False)
class ModelActiveSets:
    """Inverse active sets of each species; `densities` (of each species) only where the sets are nonlinear."""

    inverses: tuple[FloatArray, ...]
    densities: tuple[Densities, ...] | None = None

    def grades(self, basis: FloatArray, species: npt.NDArray[np.int32]) -> FloatArray:
        """gamma [n_atoms] of atoms with rows `basis` [n_atoms, at least n_functions] and species index `species`."""
        gamma = np.empty(len(basis))
        for a, inverse in enumerate(self.inverses):
            mine = np.flatnonzero(species == a)
            if not len(mine):
                continue
            if self.densities is None:
                rows = basis[mine, : len(inverse)]
            else:
                rows = basis[mine, : len(self.densities[a].weights)]
                slopes = self.densities[a].slopes(rows)
                rows = (slopes[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)
            gamma[mine] = extrapolation_grade(rows, inverse)
        return gamma


def is_nonlinear(
    label: str,
    inverses: Sequence[npt.NDArray[np.generic]],
    species: Sequence[str],
    n_functions: Sequence[int],
    n_densities: Sequence[int],
) -> bool:
    """Whether the rows that active sets were made of are slopes times B (nonlinear) or B alone, by their lengths.

    Raises:
        InputError: a matrix is neither [n_functions, n_functions] nor n_densities times that large.
    """
    sizes = list(zip(n_functions, n_densities, strict=True))
    if all(len(inverse) == n for inverse, (n, _) in zip(inverses, sizes, strict=True)):
        return False
    if all(len(inverse) == n * p for inverse, (n, p) in zip(inverses, sizes, strict=True)):
        return True
    for inverse, symbol, (n, p) in zip(inverses, species, sizes, strict=True):
        if len(inverse) not in (n, n * p):
            allowed = f"[{n}, {n}]" + (f" or [{n * p}, {n * p}]" if p > 1 else "")
            raise InputError(
                f"{label}: {symbol}: expected an inverse active set {allowed} for {n} basis functions"
                f"{f' and {p} densities' if p > 1 else ''}, found {list(inverse.shape)}"
            )
    raise InputError(f"{label}: expected active sets of all species of one kind, found linear and nonlinear ones")
