"""`CudaModel`: a potential on a CUDA device, with the attributes of `Model`."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from acegen.errors import InputError
from acegen.manifest import Manifest
from acegen.record import Record
from acegen.runtime.arrays import FloatArray, check_range
from acegen.runtime.cuda.backend import Backend, memory_told
from acegen.runtime.cuda.batches import cuts
from acegen.runtime.cuda.derived import DerivedModel
from acegen.runtime.cuda.graph import DeviceGraph, as_device, batch_systems, site_graph, upload
from acegen.runtime.cuda.graph_of_arrays import graph_of_arrays
from acegen.runtime.cuda.neighbours import MovingGraph, NeighbourList
from acegen.runtime.cuda.program import Program
from acegen.runtime.cuda.search import NeighbourSearch
from acegen.runtime.evaluation import DEFAULT_PROPERTIES, DERIVED, FORWARD, Evaluation, checked_properties
from acegen.runtime.finite import check_finite
from acegen.runtime.graph import GraphBatch
from acegen.runtime.site import check_site_finite, checked_site
from acegen.runtime.weights import FoldMap

if TYPE_CHECKING:
    from ase import Atoms

    from acegen.runtime.calculator import AceCalculator

_DERIVED = frozenset(DERIVED)


class CudaModel(DerivedModel):
    """Kernels on a device with their weights; made by `acegen.load(..., device="cuda")`.

    Graphs of device arrays give results there; structures and graphs of host arrays give NumPy arrays.
    A batch that needs more memory than there is, is evaluated in parts; one structure that does is refused.
    Launches of graphs below 2,048 atoms are recorded when such a graph is evaluated for the second time (a CUDA
    graph) and started all at once from then on: change its positions in place, or use `calculator`, which does.
    Safe to call from several threads at once.
    """

    threads = 1  # of the host

    def __init__(
        self,
        manifest: Manifest,
        record: Record,
        source: str,
        backend: Backend,
        precision: str,
        weights: tuple[FloatArray, ...] | None = None,
        fold: FoldMap | None = None,
        origin: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(manifest, precision, weights, fold, origin)
        self.backend, self.device = backend, backend.name
        self.program = Program(record, source, backend, precision)
        self._lock = threading.Lock()
        self._search: NeighbourSearch | None = None

    def evaluate(
        self,
        graph: DeviceGraph | GraphBatch | Atoms | Sequence[Atoms],
        properties: str | Iterable[str] = DEFAULT_PROPERTIES,
    ) -> Evaluation:
        """Evaluate a batch of structures.

        Args:
            graph: a DeviceGraph; or a GraphBatch, or one or several ASE structures (their neighbours are searched on
                the device each time; on the host for gradients of edges: in the order of `GraphBatch.from_atoms`).
            properties: any of energy, energies, forces, virial, virials, basis, edge_gradients, basis_gradients;
                gamma of a model with an active set; energy_std and forces_std of one with a committee.

        Returns:
            float64 arrays, see `Evaluation`: on the device for graphs of device arrays, else of NumPy.

        Raises:
            InputError: unknown property or element; the graph does not fit the model; two atoms are at one place;
                one structure alone needs more memory than there is.
        """
        names = checked_properties(properties, DERIVED)
        if not isinstance(graph, DeviceGraph | GraphBatch):
            graph = self._graph_of_atoms(graph, names)
        self._check_fits(graph)
        with self._lock, self.backend.active(), memory_told(self.backend, "graph"):
            plain = tuple(name for name in names if name != FORWARD)
            of_kernels = _DERIVED.isdisjoint(names)
            results = (self._in_parts if of_kernels else self._derived)(graph, plain) if plain else {}
            if FORWARD in names:
                results[FORWARD] = self._gradients_of_basis(graph)
            if "edge_gradients" in results:
                results["edge_gradients"] = graph.in_caller_order(results["edge_gradients"])
            if isinstance(graph, GraphBatch):
                check_finite(graph, results)
            elif graph.host_results or not _all_finite(self.backend.xp, results):
                on_host = {name: self.backend.to_host(results[name]) for name in results}
                if not _all_finite(np, on_host):
                    check_finite(graph.to_host(), on_host)
                results = on_host
        return Evaluation(results)

    def site(self, species: int, neighbour_species: npt.ArrayLike, vectors: npt.ArrayLike) -> tuple[float, FloatArray]:
        """Energy (eV) of one centre and its gradient [n_neighbours, 3] (eV/A), in NumPy arrays; see `Model.site`.

        Args:
            species: species index of the centre.
            neighbour_species: [n_neighbours] species indices.
            vectors: [n_neighbours, 3] r_j - r_i in angstrom.
        """
        centre, around, bonds = checked_site(self.species, species, neighbour_species, vectors)
        with self._lock, self.backend.active(), memory_told(self.backend, "vectors"):
            found = self._run(site_graph(centre, around, bonds, len(self.species)), ("energies", "edge_gradients"))
        energy, gradient = float(found["energies"][0]), found["edge_gradients"]
        check_site_finite(energy, gradient, bonds)
        return energy, gradient

    def calculator(self, skin: float = 0.5) -> AceCalculator:
        """ASE calculator; neighbours up to `skin` angstrom further are searched on the device, again when need be."""
        from acegen.runtime.cuda.atoms import DeviceCalculator

        return DeviceCalculator(self, skin)

    def graph(
        self,
        *,
        species: object,
        edge_to: object,
        edge_from: object | None = None,
        first_edge: object | None = None,
        positions: object | None = None,
        edge_vectors: object | None = None,
        shifts: object | None = None,
        cells: object | None = None,
        first_atom: object | None = None,
        n_atoms: npt.ArrayLike | None = None,
        cutoff: float | None = None,
        half: bool = False,
    ) -> DeviceGraph:
        """Graph of arrays of any library with `__cuda_array_interface__` or DLPack, or of NumPy; see GraphBatch.

        Args:
            species: [n_atoms] species indices.
            edge_to: [n_edges] neighbour of each edge.
            edge_from: [n_edges] centre of each edge, in any order; or instead
            first_edge: [n_atoms+1] offsets, for edges sorted by centre.
            positions: [n_atoms, 3] angstrom; or instead
            edge_vectors: [n_edges, 3] r_ij in angstrom.
            shifts: [n_edges, 3] integers: multiples of the cell vectors (needs cells); floats: angstrom.
            cells: [n_systems, 3, 3] or [3, 3] angstrom, rows are cell vectors.
            first_atom: [n_systems+1] offsets; or instead
            n_atoms: [n_systems] atoms of each structure; default: one structure.
            cutoff: the edges are complete up to here.
            half: each pair is listed once, the other direction is added.
        """
        given = {
            "species": species,
            "edge_to": edge_to,
            "edge_from": edge_from,
            "first_edge": first_edge,
            "positions": positions,
            "edge_vectors": edge_vectors,
            "shifts": shifts,
            "cells": cells,
            "first_atom": first_atom,
            "n_atoms": n_atoms,
        }
        if cutoff is not None:
            self._check_made_for(None, cutoff)
        with self.backend.active(), memory_told(self.backend, "graph"):
            made = graph_of_arrays(self.backend, len(self.species), given, half, cutoff)
        on_device = any(self.backend.is_device_array(value) for value in given.values())
        return replace(made, host_results=not on_device)

    def moving(self, species: object, skin: float = 0.5) -> MovingGraph:
        """Graphs of atoms that move, their neighbours searched on the device and kept until `skin` is used up.

        Args:
            species: [n_atoms] species indices.
            skin: angstrom, >= 0.
        """
        with self.backend.active():
            kinds = as_device(self.backend, "species", species, np.int32, (None,))
        return MovingGraph(NeighbourList(self.search, self.cutoff, skin), kinds, len(self.species), self.species)

    @property
    def search(self) -> NeighbourSearch:
        """The kernels of the neighbour search, loaded when they are first needed."""
        if self._search is None:
            self._search = NeighbourSearch(self.backend)
        return self._search

    def memory_bytes(self, n_atoms: int, n_edges: int, properties: str | Iterable[str] = DEFAULT_PROPERTIES) -> int:
        """Estimate of the device memory that one structure of this size takes: graph, results and work arrays."""
        names = checked_properties(properties)
        plain = tuple(name for name in names if name != FORWARD)
        gradients = 24 * n_edges * self.n_basis if FORWARD in names else 0
        return gradients + self.program.memory_bytes(1, n_atoms, n_edges, plain)

    def _graph_of_atoms(self, atoms: Atoms | Sequence[Atoms], names: tuple[str, ...]) -> DeviceGraph | GraphBatch:
        """Graph of structures: on the device, or on the host when that is what serves or all that fits."""
        if not {"edge_gradients", FORWARD}.intersection(names):
            from acegen.runtime.cuda.atoms import graph_of_atoms

            try:
                with self.backend.active():
                    return graph_of_atoms(self.backend, self.search, atoms, self.species, self.cutoff)
            except self.backend.out_of_memory:
                self.backend.release()
        return GraphBatch.from_atoms(atoms, self)

    def _in_parts(self, graph: DeviceGraph | GraphBatch, names: tuple[str, ...]) -> dict[str, Any]:
        """Results of all structures at once; when memory is short, of a part of them at a time."""
        try:
            return self._run(graph, names)
        except self.backend.out_of_memory as error:
            problem = error.with_traceback(None)  # its frames would keep arrays alive
        self.program.forget()
        graph_of_device = isinstance(graph, DeviceGraph)
        graph.kept.clear() if isinstance(graph, DeviceGraph) else graph.prepared.pop("device", None)
        self.backend.release()
        free = self.backend.free_bytes()
        if graph.n_systems < 2:
            needed = self.program.memory_bytes(1, graph.n_atoms, graph.n_edges, names)
            raise InputError(
                f"graph: a structure of {graph.n_atoms} atoms and {graph.n_edges} edges needs about "
                f"{needed / 1e9:.3g} GB on {self.device}, {free / 1e9:.3g} GB are free"
            ) from problem
        parts = [
            self._in_parts(self._systems(graph, start, stop), names)
            for start, stop in cuts(graph, names, self.program, free)
        ]
        xp = self.backend.xp if graph_of_device else np
        return {name: xp.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _systems(self, graph: DeviceGraph | GraphBatch, start: int, stop: int) -> DeviceGraph | GraphBatch:
        return graph.systems(start, stop) if isinstance(graph, DeviceGraph) else batch_systems(graph, start, stop)

    def _run(self, graph: DeviceGraph | GraphBatch, names: tuple[str, ...]) -> dict[str, Any]:
        """Results where the graph is."""
        if isinstance(graph, DeviceGraph):
            found = self.program.run(graph, names)
            again = self.program.repeats(graph)
            return {name: self.backend.xp.array(array) if again else array for name, array in found.items()}
        found = self.program.run(upload(self.backend, graph, len(self.species)), names)
        return {name: self.backend.to_host(array) for name, array in found.items()}

    def _check_fits(self, graph: DeviceGraph | GraphBatch) -> None:
        """Refuse graphs made for another model or device."""
        self._check_made_for(graph.symbols, graph.cutoff)
        if isinstance(graph, GraphBatch):
            if graph.largest_species >= len(self.species):
                check_range("species", graph.species, len(self.species), f"species of model {self.name!r}")
        elif len(graph.tiles) != len(self.species) or graph.backend.name != self.backend.name:
            raise InputError(
                f"graph: made on {graph.backend.name} for {len(graph.tiles)} species, model {self.name!r} is on "
                f"{self.device} and has {len(self.species)}"
            )

    def _use_coefficients(self, coefficients: FloatArray) -> None:
        with self._lock, self.backend.active():
            self.program.coefficients = self.backend.to_device(coefficients)
            self.backend.synchronize()  # an evaluation on another stream may follow

    def __repr__(self) -> str:
        return (
            f"CudaModel({self.name!r}, species={self.species}, cutoff={self.cutoff:g}, n_basis={self.n_basis}, "
            f"precision={self.precision!r}, device={self.device!r})"
        )


def _all_finite(xp: Any, results: dict[str, Any]) -> bool:
    """False when energies or forces, else the first result, hold something that is no number."""
    watched = [name for name in ("energy", "forces") if name in results] or list(results)[:1]
    return all(bool(xp.isfinite(results[name]).all()) for name in watched)
