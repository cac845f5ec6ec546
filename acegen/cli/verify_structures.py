"""Structures for `acegen verify`: small, distorted, the same every time, scaled by the cutoffs of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from acegen.runtime.arrays import FloatArray, Int32Array

if TYPE_CHECKING:
    import numpy.typing as npt

_SPACING = 0.45  # nearest neighbours in cutoffs: about 60 neighbours, as in a metal
_JITTER = 0.07  # of the spacing, each way
_TRIES = 48


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """One structure; `species` are indices."""

    name: str
    species: Int32Array  # [n]
    positions: FloatArray  # [n, 3] angstrom
    cell: FloatArray  # [3, 3]
    pbc: npt.NDArray[np.bool_]  # [3]

    def atoms(self, symbols: Sequence[str]) -> Atoms:
        """As ASE structure."""
        names = [symbols[index] for index in self.species]
        return Atoms(names, positions=self.positions, cell=self.cell, pbc=self.pbc)

    def moved(self, positions: FloatArray) -> Structure:
        """The same atoms elsewhere."""
        return replace(self, positions=positions)

    def mapped(self, matrix: FloatArray, shift: FloatArray | float = 0.0) -> Structure:
        """Positions and cell times `matrix`, positions plus `shift`."""
        return replace(self, positions=self.positions @ matrix + shift, cell=self.cell @ matrix)

    def permuted(self, order: npt.NDArray[np.int64]) -> Structure:
        """Atom k of the new structure is atom order[k]."""
        return replace(self, species=self.species[order], positions=self.positions[order])


def made_structures(cutoffs: FloatArray) -> tuple[Structure, ...]:
    """A skewed crystal, a slab thinner than the cutoff, a cluster, and a lone atom of each species.

    Args:
        cutoffs: [n_species, n_species] angstrom.
    """
    out = [
        _apart_from_cutoffs(name, repeats, np.array(pbc), cutoffs)
        for name, repeats, pbc in (
            ("crystal", (2, 2, 2), (True, True, True)),
            ("slab", (2, 1, 1), (True, True, False)),
            ("cluster", (2, 2, 2), (False, False, False)),
        )
    ]
    return tuple(out + [lone_atom(a) for a in range(len(cutoffs))])


def lone_atom(species: int) -> Structure:
    """One atom without neighbours."""
    return Structure("lone atom", np.array([species], np.int32), np.zeros((1, 3)), np.zeros((3, 3)), np.zeros(3, bool))


def _apart_from_cutoffs(
    name: str, repeats: tuple[int, int, int], pbc: npt.NDArray[np.bool_], cutoffs: FloatArray
) -> Structure:
    """Of many distorted structures the one whose distances stay away from the cutoffs the most.

    Curvature jumps at a cutoff: finite differences across one are worth little.
    """
    from acegen.runtime.graph import GraphBatch

    symbols = list(chemical_symbols[1 : 1 + len(cutoffs)])  # any names will do
    tried = [_distorted(name, repeats, pbc, cutoffs, seed) for seed in range(_TRIES)]
    reach = float(cutoffs.max())
    graph = GraphBatch.from_atoms([one.atoms(symbols) for one in tried], reach, 0.1 * reach, species=symbols)
    assert graph.positions is not None  # made from atoms
    centres = np.repeat(np.arange(graph.n_atoms), np.diff(graph.first_edge))
    vectors = graph.positions[graph.edge_to] - graph.positions[centres]
    if graph.shifts is not None and graph.edge_shift is not None:
        vectors = vectors + graph.shifts[graph.edge_shift]
    own = cutoffs[graph.species[centres], graph.species[graph.edge_to]]
    gaps = np.abs(np.linalg.norm(vectors, axis=1) / own - 1.0)
    ends = graph.first_edge[graph.first_atom]
    smallest = [float(gaps[a:b].min(initial=1.0)) for a, b in pairwise(ends)]
    return tried[int(np.argmax(smallest))]


def _distorted(
    name: str, repeats: tuple[int, int, int], pbc: npt.NDArray[np.bool_], cutoffs: FloatArray, seed: int
) -> Structure:
    """A skewed piece of bcc, species in turn at random places, every atom displaced."""
    random = np.random.Generator(np.random.PCG64(seed))
    spacing = _SPACING * float(cutoffs.min())
    edge = 2.0 * spacing / np.sqrt(3.0)
    corners = np.array(list(np.ndindex(*repeats)), float) * edge
    points = (corners[:, None, :] + edge * np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])).reshape(-1, 3)
    points = points + _JITTER * spacing * random.uniform(-1.0, 1.0, points.shape)
    skew = np.array([[1.0, 0.0, 0.0], [0.11, 1.03, 0.0], [-0.07, 0.05, 0.98]])
    cell = np.diag(np.array(repeats, float) * edge) @ skew if pbc.any() else np.zeros((3, 3))
    turns = np.arange(len(points)) % len(cutoffs)
    species = turns[np.argsort(random.uniform(size=len(points)))].astype(np.int32)
    return Structure(name, species, points @ skew, cell, pbc)


def from_atoms(name: str, atoms: Atoms, symbols: Sequence[str]) -> Structure:
    """A structure of a file; its elements are known to be in `symbols`."""
    species = np.array([symbols.index(symbol) for symbol in atoms.symbols], np.int32)
    return Structure(
        name, species, np.array(atoms.positions, float), np.array(atoms.cell.array, float), np.array(atoms.pbc, bool)
    )


def rotation(seed: int) -> FloatArray:
    """A proper rotation matrix."""
    random = np.random.Generator(np.random.PCG64(seed))
    q, r = np.linalg.qr(random.uniform(-1.0, 1.0, (3, 3)))
    q = q * np.sign(np.diag(r))
    return np.asarray(q * np.sign(np.linalg.det(q)))


def at_cutoff(cutoffs: FloatArray, a: int, b: int, below: float) -> Structure:
    """Two atoms a, b at the cutoff of (a, b) less `below` (relative), each with a near neighbour of its own.

    Without those an atom would leave with the density of its embedding at zero, where embeddings may be sharp.
    """
    r = float(cutoffs[a, b])
    near = 0.5 * float(cutoffs.min())
    places = np.array([[0.0, 0.0, 0.0], [r * (1.0 - below), 0.0, 0.0], [-near, 0.1 * r, 0.0], [r + near, 0.0, 0.1 * r]])
    species = np.array([a, b, a, b], np.int32)
    return Structure(f"{a}-{b}", species, places @ rotation(11), np.zeros((3, 3)), np.zeros(3, bool))
