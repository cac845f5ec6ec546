"""ASE structures on the device: their arrays are sent, their neighbours are searched there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from acegen.runtime.calculator import AceCalculator
from acegen.runtime.cuda.backend import Backend
from acegen.runtime.cuda.graph import DeviceGraph
from acegen.runtime.cuda.neighbours import MovingGraph, NeighbourSearch, Places, graph_of_edges
from acegen.runtime.from_atoms import read_frames

if TYPE_CHECKING:
    from ase import Atoms

    from acegen.runtime.cuda.model import CudaModel


def graph_of_atoms(
    backend: Backend, search: NeighbourSearch, atoms: Atoms | Sequence[Atoms], symbols: tuple[str, ...], cutoff: float
) -> DeviceGraph:
    """Graph of structures of the host, with all neighbours closer than `cutoff` (angstrom).

    Raises:
        InputError: see `GraphBatch.from_atoms`.
    """
    batch, species = read_frames(atoms, symbols)
    places = Places(batch.first_atom, backend.to_device(batch.positions), batch.cells, batch.pbc)
    edges = search.find(places, cutoff)
    kinds = backend.to_device(species)
    return graph_of_edges(
        backend, len(symbols), places, kinds, edges, cutoff=cutoff, symbols=symbols, host_results=True
    )


class DeviceCalculator(AceCalculator):
    """ASE calculator of a model on a device: neighbours are searched there, and again only when the skin is used up.

    Positions are copied into the same array at every step, so that the launches of a small structure are recorded
    once and then started all together.
    """

    model: CudaModel

    def __init__(self, model: CudaModel, skin: float = 0.5) -> None:
        super().__init__(model, skin)
        self._moving: MovingGraph | None = None
        self._positions: Any = None  # [n_atoms, 3] double on the device
        self._n_before = 0  # lists of graphs that are gone

    def _current_graph(self, atoms: Atoms) -> DeviceGraph:  # type: ignore[override]
        """The last graph at the positions of `atoms`, or a new one when its list may have become incomplete."""
        batch, species = read_frames(atoms, self.model.species)
        backend = self.model.backend
        known = self._moving
        if (
            known is None
            or self._list_of != (self.model, self.skin)
            or self._numbers is None
            or self._numbers.tobytes() != species.tobytes()
        ):
            known = self._moving = self.model.moving(species, self.skin)
            known.host_results = True
            self._positions = backend.to_device(batch.positions)
            self._numbers, self._list_of = species, (self.model, self.skin)  # may be set anew between calls
            self._n_before = self.n_lists
        else:
            backend.copy_in(self._positions, batch.positions)
        graph = known.at(Places(batch.first_atom, self._positions, batch.cells, batch.pbc))
        self.n_lists = self._n_before + known.neighbours.n_lists
        return graph
