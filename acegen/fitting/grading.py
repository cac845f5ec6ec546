"""Active set of a fit: the environments of the training structures that span all others best, species by species."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np

from acegen.fitting.accuracy import batches
from acegen.fitting.structures import Structure
from acegen.runtime.arrays import FloatArray
from acegen.runtime.graph import GraphBatch
from acegen.runtime.model import Model
from acegen.uncertainty import active_set

_MOST_BYTES = 2**29  # rows of B up to here are kept, more are evaluated anew in every pass


def choose_active_sets(model: Model, structures: Sequence[Structure]) -> tuple[FloatArray, ...]:
    """Inverses [n_functions, n_functions] of the active rows of each species, see `acegen.uncertainty`.

    A species without atoms has no rows, and an identity in their place: every environment extrapolates.
    """
    graphs = [GraphBatch.from_atoms([structure.atoms for structure in batch], model) for batch in batches(structures)]
    found: list[FloatArray] = []
    for a, (n_body, n_pair) in enumerate(model.manifest.n_basis_per_species):
        size = n_body + n_pair
        n_rows = sum(int((graph.species == a).sum()) for graph in graphs)
        if n_rows == 0:
            found.append(np.eye(size) / np.finfo(np.float32).eps)
        elif 8 * n_rows * size <= _MOST_BYTES:
            found.append(active_set(np.concatenate(list(_rows(model, graphs, a, size)))).inverse)
        else:
            found.append(active_set(functools.partial(_rows, model, graphs, a, size)).inverse)
    return tuple(found)


def _rows(model: Model, graphs: Sequence[GraphBatch], species: int, size: int) -> Iterator[FloatArray]:
    """Rows of B [n, size] of the atoms of one species, batch by batch."""
    for graph in graphs:
        own = graph.species == species
        if own.any():
            yield np.ascontiguousarray(model.evaluate(graph, ("basis",)).basis[own, :size])
