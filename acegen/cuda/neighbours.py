"""Neighbour lists on the device that are kept until the skin is used up."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from acegen.cuda.search import NO_STRAIN, DeviceEdges, NeighbourSearch, Places, checked
from acegen.errors import InputError

__all__ = ["DeviceEdges", "NeighbourList", "NeighbourSearch", "Places"]


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
        self._then: Places | None = None
        self._edges: DeviceEdges | None = None

    def update(self, batch: Places) -> DeviceEdges:
        """Edges for these positions; those further apart than the cutoff are among them, up to the skin."""
        checked(batch)
        then, edges = self._then, self._edges
        if then is not None and edges is not None and self._complete(then, batch):
            same = np.array_equal(then.cells, batch.cells)
            return edges if same else self.search.strained(edges, batch.cells)
        found = self.search.find(batch, self.cutoff + self.skin)
        self._then = replace(batch, positions=batch.positions.copy(), cells=np.array(batch.cells))
        self._edges = found
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
