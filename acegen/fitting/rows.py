"""Rows of the design matrix, weighted, one block of structures after the other into three factors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from acegen.errors import InputError
from acegen.fitting.factor import Factor
from acegen.fitting.reference import Reference, compositions
from acegen.fitting.structures import Structure
from acegen.fitting.weighting import Weighting
from acegen.runtime.arrays import FloatArray
from acegen.runtime.graph import GraphBatch
from acegen.runtime.model import Model

LABELS = ("energy", "forces", "virial")


@dataclass(slots=True)
class Factors:
    """Compressed energy, force and virial rows, and how many blocks of structures they hold."""

    by_label: dict[str, Factor]
    n_blocks: int = 0

    @staticmethod
    def empty(n_parameters: int) -> Factors:
        """Nothing yet."""
        return Factors({label: Factor.empty(n_parameters) for label in LABELS})

    def joined(self, labels: Sequence[str] = LABELS) -> Factor:
        """One factor of all rows of these labels."""
        total = Factor.empty(self.by_label["energy"].n_parameters)
        for label in labels:
            if self.by_label[label].n_rows:
                total.join(self.by_label[label])
        return total


@dataclass(slots=True)
class _Rows:
    """Weighted rows of one label in one block."""

    rows: list[FloatArray] = field(default_factory=list)
    target: list[FloatArray] = field(default_factory=list)

    def add(self, rows: FloatArray, target: FloatArray, weight: float) -> None:
        if weight > 0.0:
            self.rows.append(rows * weight)
            self.target.append(target * weight)

    def into(self, factor: Factor) -> None:
        if self.rows:
            factor.add(np.concatenate(self.rows), np.concatenate(self.target))


def blocks(structures: Sequence[Structure], n_parameters: int, most_bytes: int) -> list[slice]:
    """Consecutive structures whose rows fit into `most_bytes`, at least one each; the same for the same input."""
    found: list[slice] = []
    first, used = 0, 0
    for k, structure in enumerate(structures):
        needed = 8 * n_parameters * (7 + 3 * structure.n_atoms)
        if k > first and used + needed > most_bytes:
            found.append(slice(first, k))
            first, used = k, 0
        used += needed
    if first < len(structures):
        found.append(slice(first, len(structures)))
    return found


def stream(
    model: Model,
    structures: Sequence[Structure],
    parts: Sequence[slice],
    reference: Reference,
    weighting: Weighting,
    factors: Factors,
) -> Iterator[int]:
    """Take in the blocks that `factors` lacks; yields the number of structures done after each."""
    for part in parts[factors.n_blocks :]:
        _absorb(model, structures[part], reference, weighting, factors)
        factors.n_blocks += 1
        yield part.stop


def _absorb(
    model: Model, structures: Sequence[Structure], reference: Reference, weighting: Weighting, factors: Factors
) -> None:
    """Rows of one block, weighted, into the factors."""
    wanted = tuple(
        label for label in LABELS if any(_weight(structure, label, weighting) > 0.0 for structure in structures)
    )
    if not wanted:
        return
    graph = GraphBatch.from_atoms([structure.atoms for structure in structures], model)
    design = model.design(graph, properties=wanted)
    base = reference.of(compositions(structures, model.species))
    collected = {label: _Rows() for label in wanted}
    for k, structure in enumerate(structures):
        for label, rows in collected.items():
            weight = _weight(structure, label, weighting)
            if label == "energy" and structure.energy is not None:
                rows.add(design.energy[k : k + 1], np.array([structure.energy - base[k]]), weight)
            elif label == "forces" and structure.forces is not None:
                part = slice(int(graph.first_atom[k]), int(graph.first_atom[k + 1]))
                own = design.forces[part].reshape(-1, design.forces.shape[-1])
                rows.add(own, structure.forces.reshape(-1), weight)
            elif label == "virial" and structure.virial is not None:
                rows.add(design.virial[k], structure.virial, weight)
    for label, rows in collected.items():
        try:
            rows.into(factors.by_label[label])
        except InputError as error:
            raise InputError(f"{structures[0].frame.place} and the {len(structures) - 1} after it: {error}") from error


def _weight(structure: Structure, label: str, weighting: Weighting) -> float:
    """Weight of the rows of a label; 0 where the structure has no such label."""
    own = weighting.of(structure)
    if label == "energy":
        return own.energy / math.sqrt(structure.n_atoms) if structure.energy is not None else 0.0
    if label == "forces":
        return own.forces if structure.forces is not None else 0.0
    return own.virial / math.sqrt(structure.n_atoms) if structure.virial is not None else 0.0


Report = Callable[[str, float], None]  # what is being done, and the fraction done
