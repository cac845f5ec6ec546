"""Linear weights of a bundle and the fold map that turns them into the coefficients of the kernel."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from acegen.errors import InputError, LoadError
from acegen.manifest import Manifest
from acegen.runtime.arrays import FloatArray, any_array, float_array


@dataclass(frozen=True, slots=True, eq=False)
class FoldMap:
    """Sparse rows: coefficients[k] = offset[k] + sum of values[q] * weights[indices[q]], indptr[k] <= q < indptr[k+1].

    The offset takes off what a single-precision kernel holds in tables: coefficients are then those of a difference.
    """

    indptr: npt.NDArray[np.int64]  # [n_coefficients+1]
    indices: npt.NDArray[np.int64]  # into the weights of all species, flattened one after the other
    values: FloatArray
    offset: FloatArray | None = None  # [n_coefficients]; None: zeros

    def apply(self, weights: FloatArray) -> FloatArray:
        """Kernel coefficients [n_coefficients] of flat weights."""
        # Running sums would lose digits over long arrays; reduceat adds each row by itself.
        terms = np.append(self.values * weights[self.indices], 0.0)
        folded = np.add.reduceat(terms, self.indptr[:-1]) if len(self.indptr) > 1 else np.zeros(0)
        folded[np.diff(self.indptr) == 0] = 0.0
        return folded if self.offset is None else folded + self.offset


def kept_weights(folder: Path, manifest: Manifest) -> tuple[tuple[FloatArray, ...] | None, FoldMap | None]:
    """Weights and fold map that a bundle keeps beside the kernel, None where it does not."""
    if not (folder / "weights.npz").is_file():
        return None, None
    return read_weights(folder / "weights.npz", len(manifest.species), manifest.n_coefficients)


def read_weights(path: Path, n_species: int, n_coefficients: int) -> tuple[tuple[FloatArray, ...], FoldMap | None]:
    """Weights [n_functions, n_densities] of each species and the fold map (None when the file has none).

    Raises:
        LoadError: the file is damaged or does not fit the manifest.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            weights = tuple(np.array(archive[f"weights_{a}"], np.float64) for a in range(n_species))
            if "fold_indptr" not in archive:
                return weights, None
            fold = FoldMap(
                archive["fold_indptr"].astype(np.int64),
                archive["fold_indices"].astype(np.int64),
                archive["fold_values"].astype(np.float64),
                archive["fold_offset"].astype(np.float64) if "fold_offset" in archive else None,
            )
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise LoadError(f"{path}: cannot read the weights ({error})") from error
    if len(fold.indptr) != n_coefficients + 1:
        raise LoadError(f"{path}: fold_indptr has {len(fold.indptr)} entries, expected {n_coefficients + 1}")
    if fold.offset is not None and fold.offset.shape != (n_coefficients,):
        raise LoadError(f"{path}: fold_offset has shape {fold.offset.shape}, expected {(n_coefficients,)}")
    return weights, fold


def checked_weights(new: Sequence[npt.ArrayLike], like: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
    """Private copies of `new`, one array per species with the shapes of `like`.

    A flat array [n_functions] is taken for a single density.
    """
    if isinstance(new, str) or not hasattr(new, "__len__"):
        raise InputError(f"weights: expected {len(like)} arrays, one per species, found {new!r}")
    if len(new) != len(like):
        raise InputError(f"weights: expected {len(like)} arrays, one per species, found {len(new)}")
    arrays = []
    for a, (value, old) in enumerate(zip(new, like, strict=True)):
        found = any_array(f"weights[{a}]", value)
        if found.ndim == 1 and old.shape[1] == 1:
            found = found[:, None]
        arrays.append(float_array(f"weights[{a}]", found, old.shape, "eV"))
    return tuple(arrays)
