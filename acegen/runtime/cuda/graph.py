"""`DeviceGraph`: a batch of structures and their neighbour lists in device memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray, Int32Array, Int64Array
from acegen.runtime.cuda.backend import Backend
from acegen.runtime.cuda.pairing import centres_of, reverse_edges, tiles_by_species
from acegen.runtime.graph import GraphBatch

_MOVING = ("positions", "edge_vectors", "shifts")  # what a moved graph has of its own


@dataclass(frozen=True, eq=False, kw_only=True)
class DeviceGraph:
    """Structures on a device, in the layout of the kernels; make one with `CudaModel.graph` or `device_graph`.

    The arrays are those of `GraphBatch`, of the backend's array module. Do not change them, except positions,
    edge_vectors and shifts in place: nothing is searched or sorted anew then.
    """

    backend: Backend
    n_systems: int
    n_atoms: int
    n_edges: int
    first_atom: Any  # int64 [n_systems+1]
    species: Any  # int32 [n_atoms]
    first_edge: Any  # int64 [n_atoms+1]
    edge_to: Any  # int32 [n_edges]
    edge_shift: Any | None  # int32 [n_edges]
    shifts: Any | None  # double [n_shifts, 3]
    positions: Any | None  # double [n_atoms, 3]; None when edge_vectors are given
    edge_vectors: Any | None  # double [n_edges, 3]
    tile_atoms: Any  # int32 [32 n_tiles]
    tiles: tuple[int, ...]  # number of each species
    system_ends: Int64Array  # first_atom on the host
    edge_ends: Int64Array  # [n_systems+1] on the host: first edge of each structure
    edge_order: Any | None = None  # int64 [n_edges] place in the caller's edges
    cutoff: float | None = None
    symbols: tuple[str, ...] | None = None
    host_results: bool = False  # made of host arrays: results go back there
    kept: dict[Any, Any] = field(default_factory=dict, repr=False)  # what was made of the graph so far

    @property
    def reverse(self) -> Any:
        """int64 [n_edges]: the edge j -> i of opposite shift; sorted for when it is first asked for.

        Raises:
            InputError: an edge has none.
        """
        if "reverse" not in self.kept:
            xp = self.backend.xp
            with self.backend.active():
                centres = centres_of(xp, self.first_edge, self.n_edges)
                vectors = self.edge_vectors
                if vectors is None and self.shifts is not None and self.edge_shift is not None:
                    vectors = self.shifts[self.edge_shift]
                self.kept["reverse"] = reverse_edges(xp, centres, self.edge_to, vectors, self.n_atoms)
        return self.kept["reverse"]

    def sizes(self) -> dict[str, int]:
        """Numbers that launch records name."""
        found = {"n_systems": self.n_systems, "n_atoms": self.n_atoms, "n_edges": self.n_edges}
        first = 0
        for c, n_tiles in enumerate(self.tiles):
            found[f"n_tiles_{c}"], found[f"first_tile_{c}"] = n_tiles, first
            first += n_tiles
        return {**found, "n_tiles": first}

    def in_caller_order(self, values: Any) -> Any:
        """Rows of `values` [n_edges, ...] in the order in which the caller gave the edges."""
        if self.edge_order is None:
            return values
        sorted_back = self.backend.xp.empty_like(values)
        sorted_back[self.edge_order] = values
        return sorted_back

    def with_positions(self, positions: object) -> DeviceGraph:
        """The same edges at new positions [n_atoms, 3]; the caller sees to it that they are still complete."""
        with self.backend.active():
            moved = as_device(self.backend, "positions", positions, np.float64, (self.n_atoms, 3))
        kept = {"reverse": self.reverse} if "reverse" in self.kept else {}
        return replace(self, positions=moved, edge_vectors=None, kept=kept)

    def systems(self, start: int, stop: int) -> DeviceGraph:
        """Structures start..stop-1 alone; the order of the caller's edges is forgotten."""
        fields = part_fields(self.backend.xp, self, self.system_ends, self.edge_ends, start, stop)
        tile_atoms, tiles = tiles_by_species(self.backend.xp, fields["species"], len(self.tiles))
        return replace(
            self,
            **fields,
            tile_atoms=tile_atoms,
            tiles=tiles,
            system_ends=self.system_ends[start : stop + 1] - self.system_ends[start],
            edge_ends=self.edge_ends[start : stop + 1] - self.edge_ends[start],
            kept={},
        )

    def to_host(self) -> GraphBatch:
        """The same graph in host memory, with unknown cells."""
        names = ("first_atom", "species", "first_edge", "edge_to", "edge_shift", "shifts", "positions", "edge_vectors")
        arrays = {name: getattr(self, name) for name in (*names, "edge_order")}
        host: dict[str, Any] = {
            n: None if array is None else self.backend.to_host(array) for n, array in arrays.items()
        }
        return GraphBatch(
            n_systems=self.n_systems,
            n_atoms=self.n_atoms,
            n_edges=self.n_edges,
            cells=np.zeros((self.n_systems, 3, 3)),
            pbc=np.zeros((self.n_systems, 3), np.bool_),
            cutoff=self.cutoff,
            symbols=self.symbols,
            **host,
        )


def device_graph(backend: Backend, n_species: int, **fields: Any) -> DeviceGraph:
    """Graph of device arrays in kernel order, unchecked: the fields of GraphBatch that DeviceGraph has too.

    A known `reverse` is taken as it is.
    """
    reverse, host_results = fields.pop("reverse", None), fields.pop("host_results", False)
    ends = np.asarray(backend.to_host(fields["first_atom"]), np.int64)
    edge_ends = np.asarray(backend.to_host(fields["first_edge"][fields["first_atom"]]), np.int64)
    tile_atoms, tiles = tiles_by_species(backend.xp, fields["species"], n_species)
    sizes: dict[str, Any] = {
        "n_systems": len(ends) - 1,
        "n_atoms": len(fields["species"]),
        "n_edges": len(fields["edge_to"]),
    }
    optional: dict[str, Any] = dict.fromkeys(("edge_shift", "shifts", "positions", "edge_vectors"))
    return DeviceGraph(
        backend=backend,
        tile_atoms=tile_atoms,
        tiles=tiles,
        system_ends=ends,
        edge_ends=edge_ends,
        host_results=host_results,
        kept={} if reverse is None else {"reverse": reverse},
        **sizes,
        **{**optional, **fields},
    )


def upload(backend: Backend, batch: GraphBatch, n_species: int) -> DeviceGraph:
    """`batch` on the device; kept with it, so that a moved graph sends its positions only."""
    now = {name: getattr(batch, name) for name in _MOVING}
    known: tuple[DeviceGraph, dict[str, Any]] | None = batch.prepared.get("device")
    if known is None or known[0].backend is not backend or len(known[0].tiles) != n_species:
        fields = {
            name: getattr(batch, name)
            for name in ("first_atom", "species", "first_edge", "edge_to", "edge_shift", *_MOVING)
        }
        sent = {name: None if array is None else backend.to_device(array) for name, array in fields.items()}
        graph = device_graph(backend, n_species, **sent, cutoff=batch.cutoff, symbols=batch.symbols)
        batch.prepared["device"] = graph, now
        return graph
    graph, before = known
    for name, array in now.items():
        if array is not before[name]:
            backend.copy_in(getattr(graph, name), array)
            before[name] = array
    return graph


def batch_systems(batch: GraphBatch, start: int, stop: int) -> GraphBatch:
    """Structures start..stop-1 of a batch on the host; the order of the caller's edges is forgotten."""
    fields = part_fields(np, batch, batch.first_atom, batch.first_edge[batch.first_atom], start, stop)
    return replace(
        batch,
        **fields,
        cells=batch.cells[start:stop],
        pbc=batch.pbc[start:stop],
        shift_multiples=None,
        shift_system=None,
        prepared={},
    )


def site_graph(species: int, around: Int32Array, vectors: FloatArray, n_species: int) -> GraphBatch:
    """One centre, and a lone atom of each species that its edges end at."""
    n = len(around)
    return GraphBatch(
        n_systems=1,
        n_atoms=1 + n_species,
        n_edges=n,
        first_atom=np.array([0, 1 + n_species], np.int64),
        species=np.concatenate([[species], np.arange(n_species)]).astype(np.int32),
        first_edge=np.array([0] + [n] * (1 + n_species), np.int64),
        edge_to=(around + 1).astype(np.int32),
        edge_shift=None,
        shifts=None,
        positions=None,
        edge_vectors=vectors,
        cells=np.zeros((1, 3, 3)),
        pbc=np.zeros((1, 3), np.bool_),
    )


def part_fields(
    xp: Any, graph: Any, first_atom: Int64Array, edge_ends: Int64Array, start: int, stop: int
) -> dict[str, Any]:
    """Arrays and sizes of structures start..stop-1, with the shifts that they use."""
    a, b = int(first_atom[start]), int(first_atom[stop])
    e, f = int(edge_ends[start]), int(edge_ends[stop])

    def of_edges(array: Any | None) -> Any | None:
        return None if array is None else array[e:f]

    shifts, rows = graph.shifts, of_edges(graph.edge_shift)
    if rows is not None and len(rows):
        used, places = xp.unique(rows, return_inverse=True)
        shifts, rows = xp.ascontiguousarray(shifts[used]), places.reshape(-1).astype(np.int32)
    return {
        "n_systems": stop - start,
        "n_atoms": b - a,
        "n_edges": f - e,
        "first_atom": graph.first_atom[start : stop + 1] - a,
        "species": graph.species[a:b],
        "first_edge": graph.first_edge[a : b + 1] - e,
        "edge_to": graph.edge_to[e:f] - np.int32(a),
        "edge_shift": rows,
        "shifts": shifts,
        "positions": None if graph.positions is None else graph.positions[a:b],
        "edge_vectors": of_edges(graph.edge_vectors),
        "edge_order": None,
    }


def as_device(backend: Backend, name: str, value: object, dtype: Any, shape: tuple[int | None, ...]) -> Any:
    """`value` as a C-contiguous device array of `dtype` and `shape` (None: any length), copied only when needed.

    Raises:
        InputError: other kind of numbers or another shape.
    """
    found = backend.adopt(value)
    kinds = "fiu" if np.dtype(dtype).kind == "f" else "iu"
    if found.size and found.dtype.kind not in kinds:
        raise InputError(f"{name}: expected {np.dtype(dtype)}, found {found.dtype}")
    fits = found.ndim == len(shape) and all(w in (None, h) for w, h in zip(shape, found.shape, strict=True))
    if not fits:
        expected = ", ".join("any" if want is None else str(want) for want in shape)
        raise InputError(f"{name}: expected shape [{expected}], found {list(found.shape)}")
    return backend.xp.ascontiguousarray(found.astype(dtype, copy=False))
