"""Errors of a model on labelled structures, in all and by type: root mean squares and mean absolute values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from acegen.fitting.reference import Reference, compositions
from acegen.fitting.structures import VOIGT, Structure
from acegen.runtime.arrays import FloatArray
from acegen.runtime.graph import GraphBatch
from acegen.runtime.model import Model

TOTAL = "all"
_ATOMS_PER_BATCH = 16384
_MEV = 1000.0


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors of one type of structures; None where no structure has the label."""

    kind: str
    n_structures: int
    n_atoms: int
    energy_rmse: float | None  # meV per atom
    energy_mae: float | None
    forces_rmse: float | None  # eV/A, of the Cartesian components
    forces_mae: float | None
    virial_rmse: float | None  # meV per atom, of the six components
    virial_mae: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Labels of one structure beside what the model says; empty arrays where it has no label."""

    structure: Structure
    energy: FloatArray  # [0 or 1, 2] eV per atom: label, model
    forces: FloatArray  # [0 or 3 n_atoms, 2] eV/A
    virial: FloatArray  # [0 or 6, 2] eV per atom


def compare(model: Model, structures: Sequence[Structure], reference: Reference | None = None) -> list[Comparison]:
    """Evaluate the model on all structures; reference energies, where given, are added to its energies."""
    found: list[Comparison] = []
    for batch in batches(structures):
        graph = GraphBatch.from_atoms([structure.atoms for structure in batch], model)
        out = model.evaluate(graph, ("energy", "forces", "virial"))
        energies = out.energy
        if reference is not None:
            energies = energies + reference.of(compositions(batch, model.species))
        for k, structure in enumerate(batch):
            part = slice(int(graph.first_atom[k]), int(graph.first_atom[k + 1]))
            virial = 0.5 * (out.virial[k] + out.virial[k].T)
            found.append(
                Comparison(
                    structure,
                    _beside(structure.energy, energies[k], structure.n_atoms),
                    _beside(structure.forces, out.forces[part]),
                    _beside(structure.virial, np.array([virial[a, b] for a, b in VOIGT]), structure.n_atoms),
                )
            )
    return found


def _beside(label: float | FloatArray | None, model: FloatArray, divisor: int = 1) -> FloatArray:
    if label is None:
        return np.zeros((0, 2))
    pair: FloatArray = np.stack([np.ravel(label), np.ravel(model)], axis=1) / divisor
    return pair


def batches(structures: Sequence[Structure]) -> Iterator[Sequence[Structure]]:
    """Consecutive structures of not many more than _ATOMS_PER_BATCH atoms."""
    first, n_atoms = 0, 0
    for k, structure in enumerate(structures):
        if k > first and n_atoms + structure.n_atoms > _ATOMS_PER_BATCH:
            yield structures[first:k]
            first, n_atoms = k, 0
        n_atoms += structure.n_atoms
    if first < len(structures):
        yield structures[first:]


def errors_by_kind(comparisons: Sequence[Comparison]) -> tuple[Errors, ...]:
    """One entry per type, sorted, where there are several; the last one is of all structures."""
    kinds = sorted({one.structure.kind for one in comparisons})
    groups = [(kind, [one for one in comparisons if one.structure.kind == kind]) for kind in kinds]
    if len(kinds) < 2:
        groups = []
    return tuple(_errors(kind, own) for kind, own in [*groups, (TOTAL, list(comparisons))])


def _errors(kind: str, comparisons: Sequence[Comparison]) -> Errors:
    energy = _stacked([one.energy for one in comparisons])
    forces = _stacked([one.forces for one in comparisons])
    virial = _stacked([one.virial for one in comparisons])
    return Errors(
        kind,
        len(comparisons),
        sum(one.structure.n_atoms for one in comparisons),
        *_measures(energy, _MEV),
        *_measures(forces, 1.0),
        *_measures(virial, _MEV),
    )


def largest_errors(comparisons: Sequence[Comparison]) -> dict[str, tuple[float, Structure]]:
    """Largest errors of energies (meV per atom), force components (eV/A) and virials (meV per atom), and whose."""
    found: dict[str, tuple[float, Structure]] = {}
    for label, unit in (("energy", _MEV), ("forces", 1.0), ("virial", _MEV)):
        for one in comparisons:
            pairs = getattr(one, label)
            error = unit * float(np.abs(pairs[:, 1] - pairs[:, 0]).max(initial=-1.0))
            if len(pairs) and (label not in found or error > found[label][0]):
                found[label] = error, one.structure
    return found


def _stacked(arrays: Sequence[FloatArray]) -> FloatArray:
    return np.concatenate([np.zeros((0, 2)), *arrays])


def _measures(pairs: FloatArray, unit: float) -> tuple[float | None, float | None]:
    if not len(pairs):
        return None, None
    difference = pairs[:, 1] - pairs[:, 0]
    return unit * float(np.sqrt(np.mean(difference**2))), unit * float(np.mean(np.abs(difference)))
