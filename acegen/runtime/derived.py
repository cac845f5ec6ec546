"""Stage 6, run: properties that are made of what kernels return: extrapolation grades and committee deviations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from acegen.runtime.arrays import FloatArray
from acegen.runtime.committee import Members, deviation
from acegen.runtime.graph import GraphBatch
from acegen.runtime.rows import basis_blocks, fits_one_block
from acegen.uncertainty.sets import ModelActiveSets

Results = dict[str, FloatArray]

_SHARED = ("energy", "forces", "virial")  # what the mean has from the pass of the members
_OF_ROWS = ("gamma", "energy_std")  # made of rows of B, unless the members are evaluated anyway


class Runs(Protocol):
    """What is asked of a model."""

    @property
    def species(self) -> tuple[str, ...]: ...

    @property
    def n_basis(self) -> int: ...

    def run(self, batch: GraphBatch, names: tuple[str, ...]) -> Results:
        """Outputs of the kernel."""
        ...

    def run_members(self, batch: GraphBatch, names: tuple[str, ...], coefficients: FloatArray) -> Results:
        """Outputs of the kernel for several sets of coefficients, along a first axis."""
        ...

    def mean_coefficients(self) -> FloatArray:
        """Kernel coefficients [n_coefficients] of the model's own weights."""
        ...

    def needed_active_sets(self) -> ModelActiveSets:
        """Or InputError."""
        ...

    def needed_members(self) -> Members:
        """Or InputError."""
        ...


def run_derived(model: Runs, batch: GraphBatch, names: tuple[str, ...]) -> Results:
    """All results that were asked for, in that order."""
    found = _deviations(model, batch, names) if "forces_std" in names else {}
    rest = tuple(name for name in names if name not in found)
    of_rows = [name for name in rest if name in _OF_ROWS]
    plain = tuple(name for name in rest if name not in _OF_ROWS)
    if of_rows:
        found |= _from_rows(model, batch, plain, of_rows)
    elif plain:
        found |= model.run(batch, plain)
    return {name: found[name] for name in names}


def _deviations(model: Runs, batch: GraphBatch, names: tuple[str, ...]) -> Results:
    """Deviations over the members, and in the same pass what the model's own weights give."""
    shared = [name for name in _SHARED if name in names]
    outputs = {"forces", *shared} | ({"energy"} if "energy_std" in names else set())
    coefficients = model.needed_members().coefficients
    if shared:
        coefficients = np.concatenate([model.mean_coefficients()[None], coefficients])
    found = model.run_members(batch, tuple(sorted(outputs)), coefficients)
    first = 1 if shared else 0
    results = {name: found[name][0] for name in shared}
    for name in ("energy", "forces"):
        if f"{name}_std" in names:
            results[f"{name}_std"] = deviation(found[name][first:])
    return results


def _from_rows(model: Runs, batch: GraphBatch, plain: tuple[str, ...], of_rows: list[str]) -> Results:
    """Outputs `plain`, and what rows of B give: in one call where those of all atoms are not too large to be held."""
    sets = model.needed_active_sets() if "gamma" in of_rows else None
    members = model.needed_members() if "energy_std" in of_rows else None
    blocks: Iterable[tuple[int, int, FloatArray]]
    if "basis" in plain or fits_one_block(batch, model.n_basis):
        results = model.run(batch, tuple(dict.fromkeys((*plain, "basis"))))
        blocks = [(0, batch.n_atoms, results["basis"])]
    else:
        results = model.run(batch, plain) if plain else {}
        n_species = len(model.species)
        blocks = basis_blocks(batch, model.n_basis, n_species, lambda part: model.run(part, ("basis",))["basis"])
    gamma = np.empty(batch.n_atoms)
    energies = np.empty((batch.n_atoms, 0 if members is None else len(members.weights)))
    for start, stop, rows in blocks:
        if sets is not None:
            gamma[start:stop] = sets.grades(rows, batch.species[start:stop])
        if members is not None:
            energies[start:stop] = members.energies(rows, batch.species[start:stop])
    if sets is not None:
        results["gamma"] = gamma
    if members is not None:
        results["energy_std"] = deviation(_sums(energies, batch).T)
    return results


def _sums(values: FloatArray, batch: GraphBatch) -> FloatArray:
    """Rows [n_atoms, ...] added up within each structure."""
    sums = np.zeros((batch.n_systems, *values.shape[1:]))
    filled = np.diff(batch.first_atom) > 0
    if filled.any():
        sums[filled] = np.add.reduceat(values, batch.first_atom[:-1][filled], axis=0)
    return sums
