"""Stage 5: frozen values for the selftest of a bundle, computed by the reference interpreter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acegen.interpreter.evaluate import interpret
from acegen.potential import Potential


@dataclass(frozen=True, slots=True, eq=False)
class Selftest:
    """A small cluster, its full neighbour list in CSR form, and its reference energies and forces."""

    species: np.ndarray
    positions: np.ndarray
    first_edge: np.ndarray
    edge_to: np.ndarray
    energies: np.ndarray
    forces: np.ndarray


def selftest(potential: Potential) -> Selftest:
    """Eight atoms on a distorted cube with an edge of 0.45 of the smallest cutoff; species take turns.

    Args:
        potential: with exact radial formulas; tables in the kernel then differ by their stated error.
    """
    n = 8
    species = np.arange(n) % len(potential.species)
    shortest = min(bond.cutoff for row in potential.bonds for bond in row)
    corner = np.array([[i & 1, (i >> 1) & 1, (i >> 2) & 1] for i in range(n)], float)
    wave = np.sin(np.arange(3 * n).reshape(n, 3) * 1.7 + 0.3)  # a fixed distortion, up to 9 % of the edge
    # four decimals: the same text and hence the same structure everywhere
    positions = np.round(0.45 * shortest * (corner + 0.09 * wave), 4)
    cell, pbc = np.zeros((3, 3)), np.zeros(3, bool)
    reference = interpret(potential, species, positions, cell, pbc)
    longest = max(bond.cutoff for row in potential.bonds for bond in row)
    difference = positions[None] - positions[:, None]
    near = (np.linalg.norm(difference, axis=2) < longest) & ~np.eye(n, dtype=bool)
    first = np.concatenate([[0], np.cumsum(near.sum(axis=1))])
    return Selftest(species, positions, first, np.nonzero(near)[1], reference.energies, reference.forces)
