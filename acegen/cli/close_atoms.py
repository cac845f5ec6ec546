"""Atoms nearer to each other than any that a potential was fitted to: told by `acegen eval`, not refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from acegen.runtime.finite import TOO_CLOSE, edge_vectors

if TYPE_CHECKING:
    from ase import Atoms


class CloseAtoms:
    """Structures with atoms closer than TOO_CLOSE, batch after batch; a search so short costs little."""

    def __init__(self, species: tuple[str, ...]) -> None:
        self._species = species
        self._first = ""  # sentence about the first of them
        self._n = 0

    def look(self, batch: Sequence[Atoms], first: int) -> None:
        """Add structures, of which the first has the number `first`; they can be evaluated."""
        from acegen.runtime.graph import GraphBatch

        graph = GraphBatch.from_atoms(batch, TOO_CLOSE, species=self._species)
        if not graph.n_edges:
            return
        per_system = np.diff(graph.first_edge[graph.first_atom])
        if not self._n:
            k = int(np.flatnonzero(per_system)[0])
            start, stop = int(graph.first_atom[k]), int(graph.first_atom[k + 1])
            lengths = np.linalg.norm(edge_vectors(graph, start, stop), axis=1)
            edge = int(lengths.argmin()) + int(graph.first_edge[start])
            i = int(np.searchsorted(graph.first_edge, edge, side="right")) - 1 - start
            j = int(graph.edge_to[edge]) - start
            pair = f"atom {i} and its periodic image" if i == j else f"atoms {min(i, j)} and {max(i, j)}"
            self._first = f"frame {first + k}: {pair} are {lengths.min():.3g} angstrom apart"
        self._n += int(np.count_nonzero(per_system))

    def sentence(self) -> str:
        """What was found, "" for nothing."""
        if self._n < 2:
            return self._first
        return f"{self._first}; {self._n} structures have atoms closer than {TOO_CLOSE:g} angstrom"
