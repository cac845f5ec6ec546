"""Stage 5: frozen values for the selftest of a bundle, computed by the reference interpreter."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from acegen.errors import PotentialError
from acegen.interpreter.evaluate import interpret
from acegen.potential import Potential


@dataclass(frozen=True, slots=True, eq=False)
class Selftest:
    """A small cluster, its full neighbour list in CSR form, energies without those of lone atoms, and forces."""

    species: np.ndarray
    positions: np.ndarray
    first_edge: np.ndarray
    edge_to: np.ndarray
    e0: np.ndarray  # [n_species] eV, as compiled in
    energies: np.ndarray
    forces: np.ndarray


_DIGITS = 11  # a tenth of the tolerance of 1e-10, and far above the last bits, in which processors differ


def _frozen(values: np.ndarray) -> np.ndarray:
    """`values` rounded in proportion to the largest, so that every machine writes the same text."""
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0.0:
        return values
    return np.round(values, _DIGITS - math.floor(math.log10(largest))) + 0.0  # no negative zeros


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
    bare = replace(potential, centres=tuple(replace(centre, e0=0.0) for centre in potential.centres))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        reference = interpret(bare, species, positions, cell, pbc)
    if not np.isfinite(reference.energies).all() or not np.isfinite(reference.forces).all():
        raise PotentialError(
            f"{potential.source}: expected weights that give finite energies and forces, "
            f"found {reference.energies.max():g} eV for an atom of the self-test"
        )
    longest = max(bond.cutoff for row in potential.bonds for bond in row)
    difference = positions[None] - positions[:, None]
    near = (np.linalg.norm(difference, axis=2) < longest) & ~np.eye(n, dtype=bool)
    first = np.concatenate([[0], np.cumsum(near.sum(axis=1))])
    e0 = np.array([centre.e0 for centre in potential.centres])
    energies, forces = _frozen(reference.energies), _frozen(reference.forces)
    return Selftest(species, positions, first, np.nonzero(near)[1], e0, energies, forces)
