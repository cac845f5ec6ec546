"""Forces that are all zero where no symmetry makes them so: places left empty, not labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from acegen.fitting.accuracy import batches
from acegen.fitting.energies import likewise
from acegen.fitting.keys import Found
from acegen.fitting.parameters import as_weights
from acegen.fitting.structures import Structure
from acegen.runtime.arrays import FloatArray
from acegen.runtime.graph import GraphBatch
from acegen.runtime.model import Model

_SHIFT = 0.05  # angstrom, of every coordinate
_SHARE = 0.2  # of the forces after such shifts, from which no symmetry is meant
_SEED = 0  # of the weights and shifts


def zero_forces(model: Model, structures: Sequence[Structure], gamma: FloatArray, found: Sequence[Found]) -> list[str]:
    """Sentences, one for each file, about forces that are exactly zero although the atoms lie anyhow.

    Symmetry makes the forces of any model zero, so one with weights drawn from the prior tells; its forces are
    measured by those after small random shifts. The weights of the model are replaced.
    """
    zero = [one for one in structures if one.forces is not None and one.n_atoms > 1 and not one.forces.any()]
    if not zero:
        return []
    stream = np.random.Generator(np.random.Philox(_SEED))
    model.weights = as_weights(model, stream.standard_normal(model.n_parameters) / gamma)
    wrong = [one for part in batches(zero) for one in _without_symmetry(model, part, stream)]
    told = []
    for source in dict.fromkeys(one.frame.source for one in wrong):
        own = [one for one in wrong if one.frame.source == source]
        keys = [key for one in found if one.source == source for label, key, _ in one.keys if label == "forces"]
        named, others = " or ".join(map(repr, dict.fromkeys(keys))), likewise(own[1:], source)
        told.append(
            f"{own[0].frame.place}: {named}: all forces are zero{others}, but its atoms lie where forces act: leave "
            "out forces that were not calculated"
        )
    return told


def _without_symmetry(model: Model, structures: Sequence[Structure], stream: np.random.Generator) -> list[Structure]:
    """Those on whose atoms the model's forces are not small."""
    graph = GraphBatch.from_atoms([one.atoms for one in structures], model)
    shifted = []
    for one in structures:
        shifted.append(one.atoms.copy())  # type: ignore[no-untyped-call]
        shifted[-1].positions += _SHIFT * stream.uniform(-1.0, 1.0, (one.n_atoms, 3))
    there = model.evaluate(graph, ("forces",)).forces
    beside = model.evaluate(GraphBatch.from_atoms(shifted, model), ("forces",)).forces
    starts = graph.first_atom[:-1]
    sizes, usual = (np.sqrt(np.add.reduceat((part**2).sum(axis=1), starts)) for part in (there, beside))
    return [one for one, size, other in zip(structures, sizes, usual, strict=True) if size > _SHARE * other > 0.0]
