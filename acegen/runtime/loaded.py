"""What all loaded models have in common: the manifest, replaceable weights, and the calculator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from acegen.errors import InputError
from acegen.manifest import Manifest
from acegen.runtime.arrays import FloatArray, read_only
from acegen.runtime.committee import CommitteeIn, Members, kept_members, members_of
from acegen.runtime.design import parameter_slices
from acegen.runtime.evaluation import DEFAULT_PROPERTIES, Evaluation
from acegen.runtime.kept import ActiveSetIn, Kept, active_sets_of, kept_active_sets
from acegen.runtime.weights import FoldMap, checked_weights
from acegen.uncertainty.sets import ModelActiveSets

if TYPE_CHECKING:
    from ase import Atoms

    from acegen.runtime.calculator import AceCalculator
    from acegen.runtime.graph import GraphBatch


class LoadedModel(ABC):
    """A potential that evaluates batches of structures on some device."""

    device: str  # "cpu", "cuda:0", ...

    def __init__(
        self,
        manifest: Manifest,
        precision: str,
        weights: tuple[FloatArray, ...] | None,
        fold: FoldMap | None,
        origin: tuple[Any, ...],
    ) -> None:
        self.manifest = manifest
        self.precision = precision
        self._weights = weights
        self._fold = fold
        self._origin = origin  # arguments of load_bundle, for pickle
        self._coefficients: FloatArray | None = None  # None: the ones compiled in
        self._kept: Kept = {}
        self._kept_weights = weights  # of the bundle
        self.active_sets: ModelActiveSets | None = None  # set through `active_set`
        self.members: Members | None = None  # set through `committee`
        self._committee_given = False  # by the caller, in place of the one of the bundle
        self._active_set_given: ActiveSetIn | None = None  # by the caller, in place of the one of the bundle

    @abstractmethod
    def evaluate(
        self, graph: GraphBatch | Atoms | Sequence[Atoms], properties: str | Iterable[str] = DEFAULT_PROPERTIES
    ) -> Evaluation:
        """Evaluate a batch of structures."""

    @abstractmethod
    def _use_coefficients(self, coefficients: FloatArray) -> None:
        """Hand kernel coefficients [n_coefficients] to the kernel from now on."""

    @property
    def name(self) -> str:
        """Name of the potential, prefix of its C functions."""
        return self.manifest.name

    @property
    def species(self) -> tuple[str, ...]:
        """Symbols in the order of the species indices."""
        return self.manifest.species

    @property
    def cutoff(self) -> float:
        """Largest cutoff in angstrom."""
        return self.manifest.cutoff

    @property
    def cutoffs(self) -> FloatArray:
        """Cutoffs [centre species, neighbour species] in angstrom."""
        return np.array(self.manifest.cutoffs, np.float64)

    @property
    def n_basis(self) -> int:
        """Columns of the basis output."""
        return self.manifest.n_basis

    @property
    def parameter_slices(self) -> tuple[slice, ...]:
        """Columns of the design matrix: many-body rows of species 0, 1, ..., then their pair rows."""
        return parameter_slices(self.manifest)

    @property
    def n_parameters(self) -> int:
        """Columns of the design matrix."""
        return int(self.parameter_slices[-1].stop)

    @property
    def weights(self) -> tuple[FloatArray, ...]:
        """Weights [n_functions, n_densities] of each species, read-only; assign to replace them all.

        Raises:
            InputError: the bundle keeps no weights; or, on assignment, its kernel has them compiled in.
        """
        if self._weights is None:
            raise InputError(f"weights: bundle {self.name!r} keeps none beside the kernel (no weights.npz)")
        return tuple(map(read_only, self._weights))

    @weights.setter
    def weights(self, new: Sequence[npt.ArrayLike]) -> None:
        if not self.manifest.replaceable or self._weights is None or self._fold is None:
            raise InputError(
                f"weights: those of {self.name!r} are compiled in; set `weights_replaceable: true` in the "
                "specification and compile again to replace them at run time"
            )
        checked = checked_weights(new, self._weights)
        coefficients = self._fold.apply(np.concatenate([array.reshape(-1) for array in checked]))
        coefficients.flags.writeable = False
        self._use_coefficients(coefficients)
        self._coefficients, self._weights = coefficients, checked

    @property
    def coefficients(self) -> FloatArray | None:
        """Kernel coefficients [n_coefficients] of replaced weights, a new array each time; None: the built-in ones."""
        return self._coefficients

    @property
    def active_set(self) -> tuple[FloatArray, ...] | None:
        """Inverse of the active rows of each species (columns: active rows), read-only; None without an active set.

        Assign the path of an `.asi` file, a sequence of such matrices, or None for the one of the bundle.
        """
        return None if self.active_sets is None else tuple(map(read_only, self.active_sets.inverses))

    @active_set.setter
    def active_set(self, new: ActiveSetIn | None) -> None:
        if new is None:
            self.active_sets = kept_active_sets(self._kept, self.manifest, self._weights)
        else:
            self.active_sets = active_sets_of(new, self._kept, self.manifest, self._weights)
        self._active_set_given = new if new is None or self.active_sets is None else self.active_sets.inverses

    def keep(self, kept: Kept) -> None:
        """Take over what the bundle keeps beside the weights (`runtime.kept`)."""
        self._kept = kept
        self.active_sets = kept_active_sets(kept, self.manifest, self._weights)
        self.members = kept_members(kept, self.manifest, self._weights, self._fold)

    @property
    def committee(self) -> tuple[tuple[FloatArray, ...], ...] | None:
        """Weights of each member, species by species as in `weights`, read-only; None without a committee.

        Assign a sequence of such members, or None for the committee of the bundle (as with `active_set`, None undoes
        what was assigned). Members belong to the weights that the model has when they are assigned: with other
        weights there are no deviations until a committee is assigned for those, or the old weights are put back.
        """
        if self.members is None:
            return None
        return tuple(tuple(map(read_only, member)) for member in self.members.weights)

    @committee.setter
    def committee(self, new: CommitteeIn | None) -> None:
        self.give_committee(new, self._weights)

    def give_committee(self, new: CommitteeIn | None, belong_to: tuple[FloatArray, ...] | None) -> None:
        """`committee` of other weights than the present ones: `belong_to`, [n_functions, n_densities] by species."""
        if new is None:
            self.members = kept_members(self._kept, self.manifest, self._kept_weights, self._fold)
        else:
            self.members = members_of(new, self.manifest, belong_to, self._fold)
        self._committee_given = new is not None

    def mean_coefficients(self) -> FloatArray:
        """Kernel coefficients [n_coefficients] of the weights in use; only where they can be replaced."""
        if self._coefficients is not None:
            return self._coefficients
        assert self._weights is not None
        assert self._fold is not None
        return self._fold.apply(np.concatenate([array.reshape(-1) for array in self._weights]))

    def needed_members(self) -> Members:
        """The committee in use.

        Raises:
            InputError: there is none, or it belongs to other weights.
        """
        if self.members is None:
            raise InputError(
                f"energy_std, forces_std: model {self.name!r} has no committee: fit one, or assign model.committee"
            )
        if not self.members.spread_about(self._weights):
            raise InputError(
                f"energy_std, forces_std: the committee of model {self.name!r} belongs to other weights: assign "
                "model.committee after model.weights (model.committee = model.committee keeps its members)"
            )
        return self.members

    def needed_active_sets(self) -> ModelActiveSets:
        """The active sets in use.

        Raises:
            InputError: there are none.
        """
        if self.active_sets is None:
            stem = self.manifest.source.rpartition(".")[0]
            raise InputError(
                f"gamma: model {self.name!r} has no active set: load it with active_set=..., or put {stem}.asi beside "
                f"{self.manifest.source}"
            )
        return self.active_sets

    def calculator(self, skin: float = 0.5) -> AceCalculator:
        """ASE calculator; neighbour lists reach `skin` angstrom further and are reused while they are complete."""
        from acegen.runtime.calculator import AceCalculator

        return AceCalculator(self, skin)

    def _check_made_for(self, symbols: tuple[str, ...] | None, cutoff: float | None) -> None:
        """Refuse graphs made for another model."""
        if symbols is not None and symbols != self.species:
            raise InputError(f"graph: its species are {symbols}, model {self.name!r} has {self.species}")
        if cutoff is not None and cutoff < self.cutoff:
            raise InputError(
                f"graph: its neighbours reach {cutoff:g} angstrom, model {self.name!r} needs {self.cutoff:g}"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        from acegen.runtime.load import reload_bundle

        replaced = None if self._coefficients is None else self._weights
        members = self.members if self._committee_given else None
        committee = None if members is None else (members.weights, members.belong_to)
        return reload_bundle, (*self._origin, replaced, self._active_set_given, committee)
