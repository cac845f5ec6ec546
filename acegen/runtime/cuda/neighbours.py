"""Neighbour lists on the device that are kept until the skin is used up."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray
from acegen.runtime.cuda.backend import Backend
from acegen.runtime.cuda.graph import DeviceGraph, device_graph
from acegen.runtime.cuda.search import NO_STRAIN, DeviceEdges, NeighbourSearch, Places, checked

__all__ = ["DeviceEdges", "MovingGraph", "NeighbourList", "NeighbourSearch", "Places"]


class NeighbourList:
    """Edges of a batch that moves, searched anew only when the skin is used up.

    Args:
        search: the kernels.
        cutoff: angstrom; all pairs closer than this are edges whenever `update` returns.
        skin: angstrom, >= 0; room for atoms to move.
    """

    def __init__(self, search: NeighbourSearch, cutoff: float, skin: float = 0.5) -> None:
        if not 0.0 <= skin < math.inf:
            raise InputError(f"skin: expected a length in angstrom >= 0, found {skin!r}")
        self.search, self.cutoff, self.skin = search, float(cutoff), float(skin)
        self.n_lists = 0  # searches so far
        self._then: Places | None = None  # where the atoms were in the last search
        self._cells: FloatArray | None = None  # of the translations of the edges
        self._edges: DeviceEdges | None = None

    def update(self, batch: Places) -> DeviceEdges:
        """Edges for these positions; those further apart than the cutoff are among them, up to the skin."""
        checked(batch)
        then, edges = self._then, self._edges
        if then is not None and edges is not None and self._complete(then, batch):
            if self._cells is None or not np.array_equal(self._cells, batch.cells):
                edges = self.search.strained(edges, batch.cells)
                self._cells, self._edges = np.array(batch.cells), edges
            return edges
        found = self.search.find(batch, self.cutoff + self.skin)
        with self.search.backend.active():
            self._then = replace(batch, positions=batch.positions.copy(), cells=np.array(batch.cells))
        self._cells, self._edges = self._then.cells, found
        self.n_lists += 1
        return found

    def _complete(self, then: Places, now: Places) -> bool:
        """True when no pair outside the list can have come within the cutoff: see Calculator of acegen.runtime.

        With a cell strained by F, a pair that was at least cutoff + skin apart is now at least
        smallest singular value(F) (cutoff + skin) - 2 max|u - mean u| apart.
        """
        if not (np.array_equal(then.first_atom, now.first_atom) and np.array_equal(then.pbc, now.pbc)):
            return False
        differ = (then.cells != now.cells).any(axis=(1, 2)) & now.pbc.any(axis=1) & (np.diff(now.first_atom) > 0)
        if (differ & ~now.pbc.all(axis=1)).any():
            return False
        strains, stretch = np.tile(NO_STRAIN, (now.n_systems, 1, 1)), np.ones(now.n_systems)
        if differ.any():
            strains[differ] = np.linalg.solve(then.cells[differ], now.cells[differ])
            stretch[differ] = np.linalg.svd(strains[differ], compute_uv=False)[:, -1]
        far = self.search.farthest(now, then.positions, strains)
        reach = stretch * (self.cutoff + self.skin) - 2.0 * far
        return bool((reach >= self.cutoff * (1.0 + 1e-12)).all())


class MovingGraph:
    """Graph of atoms that move: the last one at new positions, or a new one when its list may be incomplete.

    Args:
        neighbours: the list.
        species: [n_atoms] int32, device, species indices.
        n_species: of the model.
        symbols: meaning of the species indices.
        host_results: evaluations give NumPy arrays.
    """

    def __init__(
        self,
        neighbours: NeighbourList,
        species: Any,
        n_species: int,
        symbols: tuple[str, ...] | None = None,
        host_results: bool = False,
    ) -> None:
        self.neighbours, self.n_species, self.symbols = neighbours, n_species, symbols
        self.host_results = host_results
        self._species = species
        self._graph: DeviceGraph | None = None

    def at(self, batch: Places) -> DeviceGraph:
        """Graph at these positions, which it refers to: nothing is copied.

        Raises:
            InputError: see `NeighbourSearch.find`; other atoms than the species.
        """
        if batch.n_atoms != len(self._species):
            raise InputError(
                f"positions: expected {len(self._species)} atoms, as many as species, found {batch.n_atoms}"
            )
        n_lists = self.neighbours.n_lists
        edges = self.neighbours.update(batch)
        last = self._graph
        if last is None or self.neighbours.n_lists != n_lists:
            last = self._of(batch, edges)
        elif last.positions is not batch.positions or last.shifts is not edges.shifts:
            last = replace(last, positions=batch.positions, shifts=edges.shifts, kept={"reverse": edges.reverse})
        self._graph = last
        return last

    def _of(self, batch: Places, edges: DeviceEdges) -> DeviceGraph:
        return graph_of_edges(
            self.neighbours.search.backend,
            self.n_species,
            batch,
            self._species,
            edges,
            cutoff=self.neighbours.cutoff + self.neighbours.skin,
            symbols=self.symbols,
            host_results=self.host_results,
        )


def graph_of_edges(
    backend: Backend, n_species: int, batch: Places, species: Any, edges: DeviceEdges, **more: Any
) -> DeviceGraph:
    """Graph of a batch and the edges that were found in it; `more` are cutoff, symbols and host_results."""
    with backend.active():
        return device_graph(
            backend,
            n_species,
            first_atom=backend.to_device(batch.first_atom),
            species=species,
            first_edge=edges.first_edge,
            edge_to=edges.edge_to,
            edge_shift=edges.edge_shift,
            shifts=edges.shifts,
            positions=batch.positions,
            reverse=edges.reverse,
            **more,
        )
