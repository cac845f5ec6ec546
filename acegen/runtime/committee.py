"""Members of a committee: other weights for the same model, evaluated in one pass with its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from acegen.errors import InputError
from acegen.manifest import Manifest
from acegen.runtime.arrays import FloatArray
from acegen.runtime.kept import Kept
from acegen.runtime.weights import FoldMap, checked_weights

CommitteeIn = Sequence[Sequence[npt.ArrayLike]]


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """Weights [n_functions, 1] of each member and species, and what the kernel makes of them."""

    weights: tuple[tuple[FloatArray, ...], ...]  # [n_members][n_species]
    coefficients: FloatArray  # [n_members, n_coefficients]
    belong_to: tuple[FloatArray, ...]  # weights of the model that the members spread about

    def spread_about(self, weights: tuple[FloatArray, ...] | None) -> bool:
        """True where `weights` are those that the members were given for."""
        if weights is self.belong_to:
            return True
        return weights is not None and all(map(np.array_equal, weights, self.belong_to))

    def energies(self, basis: FloatArray, species: npt.NDArray[np.int32]) -> FloatArray:
        """Site energies [n_atoms, n_members] above the reference energies, of rows `basis` of B and species indices."""
        n_species, n_members = len(self.weights[0]), len(self.weights)
        columns = np.zeros((basis.shape[1], n_species, n_members))
        for k, member in enumerate(self.weights):
            for a, weights in enumerate(member):
                columns[: len(weights), a, k] = weights[:, 0]
        # of all species, then the one that counts: cheaper than a copy of the rows of each
        every = (basis @ columns.reshape(len(columns), -1)).reshape(len(basis), n_species, n_members)
        chosen: FloatArray = every[np.arange(len(basis)), species]
        return chosen


def kept_members(
    kept: Kept, manifest: Manifest, weights: tuple[FloatArray, ...] | None, fold: FoldMap | None
) -> Members | None:
    """The committee a bundle was compiled with, None where there is none."""
    if "committee_0" not in kept:
        return None
    of_species = [kept[f"committee_{a}"].astype(np.float64) for a in range(len(manifest.species))]
    return members_of([list(member) for member in zip(*of_species, strict=True)], manifest, weights, fold)


def members_of(
    given: CommitteeIn, manifest: Manifest, weights: tuple[FloatArray, ...] | None, fold: FoldMap | None
) -> Members:
    """Check the weights of each member as those of the model are, and fold them.

    Raises:
        InputError: fewer than two members, weights that do not fit, or a model whose weights cannot be replaced.
    """
    if not manifest.linear:
        raise InputError(
            f"committee: expected a model that is linear in its weights, {manifest.name!r} has an embedding or a "
            "repulsion of its own"
        )
    if weights is None or fold is None:
        raise InputError(
            f"committee: the weights of {manifest.name!r} are compiled in; set `weights_replaceable: true` in the "
            "specification and compile again"
        )
    if isinstance(given, str) or not hasattr(given, "__len__") or len(given) < 2:
        found = len(given) if hasattr(given, "__len__") and not isinstance(given, str) else repr(given)
        raise InputError(f"committee: expected two members or more, found {found}")
    members = []
    for k, member in enumerate(given):
        try:
            members.append(checked_weights(member, weights))
        except InputError as error:
            raise InputError(f"committee: member {k}: {error}") from error
    folded = [fold.apply(np.concatenate([array.reshape(-1) for array in member])) for member in members]
    return Members(tuple(members), np.array(folded), weights)


def deviation(values: FloatArray) -> FloatArray:
    """Sample standard deviation over the first axis (members), about their own mean."""
    spread: FloatArray = np.std(values, axis=0, ddof=1)
    return spread
