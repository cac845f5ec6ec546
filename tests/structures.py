"""Structures for tests: disordered lattices whose distances follow from the cutoffs of a model, and their edges."""

from __future__ import annotations

from collections.abc import Sequence

import ase
import numpy as np

from acegen import GraphBatch
from acegen.runtime.model import Model

SPACING = 0.45  # lattice constant of the simple cubic lattice in smallest cutoffs: about 24 neighbours
RATTLE = 0.06  # standard deviation of displacements in lattice constants


def lattice(
    model: Model,
    repeats: tuple[int, int, int],
    seed: int = 1,
    pbc: bool | Sequence[bool] = True,
    spacing: float = SPACING,
    species: Sequence[str] | None = None,
) -> ase.Atoms:
    """A rattled, slightly skewed simple cubic lattice; the species take turns in a random order.

    Args:
        spacing: in smallest cutoffs of the model.
        species: symbols to use, default: all of the model.
    """
    stream = np.random.Generator(np.random.Philox(seed))
    a = spacing * float(model.cutoffs.min())
    corners = np.array(list(np.ndindex(repeats)), float)
    skew = np.eye(3) + 0.04 * stream.uniform(-1.0, 1.0, (3, 3))
    positions = (corners + RATTLE * stream.standard_normal(corners.shape)) @ (a * skew)
    names = tuple(model.species if species is None else species)
    symbols = [names[k % len(names)] for k in stream.permutation(len(corners))]
    return ase.Atoms(symbols, positions=positions, cell=a * np.array(repeats)[:, None] * skew, pbc=pbc)


def cluster(model: Model, seed: int = 1, repeats: tuple[int, int, int] = (2, 2, 2)) -> ase.Atoms:
    """A small cluster without periodic images."""
    return lattice(model, repeats, seed, pbc=False)


def centres(graph: GraphBatch) -> np.ndarray:
    """Centre of every edge in kernel order."""
    return np.repeat(np.arange(graph.n_atoms), np.diff(graph.first_edge))


def edge_vectors(graph: GraphBatch) -> np.ndarray:
    """r_ij of every edge in kernel order."""
    vectors = graph.positions[graph.edge_to] - graph.positions[centres(graph)]
    if graph.shifts is not None:
        vectors = vectors + graph.shifts[graph.edge_shift]
    return vectors


def rotation(seed: int = 1) -> np.ndarray:
    """A random proper rotation [3, 3]."""
    stream = np.random.Generator(np.random.Philox(seed))
    q, r = np.linalg.qr(stream.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.linalg.det(q)


def worst(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest error relative to the largest expected value."""
    scale = float(np.abs(expected).max(initial=0.0)) or 1.0
    return float(np.abs(found - expected).max(initial=0.0)) / scale
