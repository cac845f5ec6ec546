"""What a structure asks of a kernel: neighbours inside the cutoffs, listed edges, and slots with their padding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acegen.errors import InputError
from acegen.runtime.graph import GraphBatch


@dataclass(frozen=True, slots=True, eq=False)
class Census:
    """Counts of one graph, per centre species a and neighbour species b, mean over the atoms of species a."""

    lanes: int
    n_atoms: int
    share: np.ndarray  # [a] fraction of the atoms
    listed: np.ndarray  # [a] edges in the list
    inside: np.ndarray  # [a, b] neighbours inside the cutoff
    slots: np.ndarray  # [a, b] slots of a vector of centres: the most of its lanes

    @property
    def neighbours(self) -> float:
        """Neighbours inside the cutoff per atom."""
        return float(self.share @ self.inside.sum(axis=1))

    @property
    def padded(self) -> float:
        """Slots per atom, padding included."""
        return float(self.share @ self.slots.sum(axis=1))


def take_census(graph: GraphBatch, cutoffs: np.ndarray, lanes: int) -> Census:
    """Count a graph with positions.

    Args:
        graph: structures and neighbour list.
        cutoffs: [a, b] angstrom.
        lanes: centres of one species evaluated together.
    """
    n_species = len(cutoffs)
    centre = np.repeat(np.arange(graph.n_atoms), np.diff(graph.first_edge))
    inside = edges_inside(graph, cutoffs)
    counts = np.zeros((graph.n_atoms, n_species))
    np.add.at(counts, (centre[inside], graph.species[graph.edge_to[inside]]), 1.0)
    share, listed = np.zeros(n_species), np.zeros(n_species)
    mean, slots = np.zeros((n_species, n_species)), np.zeros((n_species, n_species))
    for a in range(n_species):
        mine = np.flatnonzero(graph.species == a)
        if not len(mine):
            continue
        share[a] = len(mine) / graph.n_atoms
        listed[a] = np.diff(graph.first_edge)[mine].mean()
        mean[a] = counts[mine].mean(axis=0)
        blocks = [counts[mine[k : k + lanes]].max(axis=0) for k in range(0, len(mine), lanes)]
        slots[a] = np.sum(blocks, axis=0) * lanes / len(mine)
    return Census(lanes, graph.n_atoms, share, listed, mean, slots)


def edges_inside(graph: GraphBatch, cutoffs: np.ndarray) -> np.ndarray:
    """[n_edges] is the edge shorter than its cutoff."""
    if graph.positions is None:
        raise InputError("neighbours inside the cutoff: expected a graph with positions, found edge vectors only")
    centre = np.repeat(np.arange(graph.n_atoms), np.diff(graph.first_edge))
    bonds = graph.positions[graph.edge_to] - graph.positions[centre]
    if graph.edge_shift is not None and graph.shifts is not None:
        bonds += graph.shifts[graph.edge_shift]
    reach = cutoffs[graph.species[centre], graph.species[graph.edge_to]]
    inside: np.ndarray = (bonds**2).sum(axis=1) < reach**2
    return inside
