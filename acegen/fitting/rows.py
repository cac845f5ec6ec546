"""Rows of the design matrix, weighted, one block of structures after the other into three factors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from acegen.errors import InputError
from acegen.fitting.factor import Factor
from acegen.fitting.reference import Reference, compositions
from acegen.fitting.structures import Structure
from acegen.fitting.weighting import Weighting
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
    weights = {label: np.array([_weight(one, label, weighting) for one in structures]) for label in LABELS}
    wanted = tuple(label for label in LABELS if weights[label].any())
    if not wanted:
        return
    graph = GraphBatch.from_atoms([structure.atoms for structure in structures], model)
    design = model.design(graph, properties=wanted)
    base = reference.of(compositions(structures, model.species))
    targets = {
        "energy": [
            None if one.energy is None else np.array([one.energy - e0])
            for one, e0 in zip(structures, base, strict=True)
        ],
        "forces": [one.forces for one in structures],
        "virial": [one.virial for one in structures],
    }
    sizes = {"energy": np.ones(len(structures), int), "forces": 3 * np.diff(graph.first_atom)}
    sizes["virial"] = 6 * sizes["energy"]
    for label in wanted:
        rows = getattr(design, label).reshape(-1, model.n_parameters)
        scale = np.repeat(weights[label], sizes[label])
        labels = zip(targets[label], sizes[label], strict=True)
        target = np.concatenate([np.zeros(size) if one is None else one.reshape(-1) for one, size in labels])
        used = scale > 0.0
        try:
            if used.all():
                factors.by_label[label].add(rows, target, scale)
            else:
                factors.by_label[label].add(rows[used], target[used], scale[used])
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


class Finding(str):
    """What a fit tells its progress that is worth keeping, where the other texts only say what is being done."""

    __slots__ = ()
