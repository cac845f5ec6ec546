"""Neighbour search on the device: batches in any cells, edges in a fixed order with their reverse edges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray, Int64Array, float_array
from acegen.runtime.cuda.backend import Backend
from acegen.runtime.neighbours import Structures, closed_boxes

# Joined to one source: the later files use what the earlier ones define.
SOURCES = ("neighbours_grid.cu", "neighbours_sort.cu", "neighbours_search.cu", "neighbours_moves.cu")

# As in the sources.
_SEARCH_BLOCK, _PART_BLOCK, _SCAN_BLOCK, _SCAN_PART, _TEAM = 128, 256, 256, 2048, 32
_N_LIMITS = 7
_NOT_FINITE = -1
_GRID_WORDS, _FRAME_WORDS, _PLACED_WORDS = 11, 21, 6  # of 8 bytes
_PART_ATOMS = 4096  # of one structure, worked through by one block
NO_STRAIN = np.eye(3)


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """A batch of structures without edges; positions are on the device, the few other numbers on the host."""

    first_atom: Int64Array  # [n_systems+1], host
    positions: Any  # [n_atoms, 3] double, device, angstrom
    cells: FloatArray  # [n_systems, 3, 3] host, rows are the cell vectors
    pbc: npt.NDArray[np.bool_]  # [n_systems, 3] host

    @property
    def n_systems(self) -> int:
        """Number of structures."""
        return len(self.first_atom) - 1

    @property
    def n_atoms(self) -> int:
        """Number of atoms of all structures."""
        return int(self.first_atom[-1])


@dataclass(frozen=True, slots=True, eq=False)
class DeviceEdges:
    """Edges of a batch on the device, ordered by centre, neighbour and translation."""

    n_edges: int
    first_edge: Any  # [n_atoms+1] int64
    edge_to: Any  # [n_edges] int32
    edge_shift: Any | None  # [n_edges] int32 row of shifts; None: nothing is periodic
    shifts: Any | None  # [n_shifts, 3] double, angstrom
    reverse: Any  # [n_edges] int64: the edge j -> i of the opposite translation
    first_shift: Int64Array  # [n_systems+1] host: rows of each structure
    multiples: Int64Array  # [n_systems, 3] host: largest multiples of the cell vectors, rows count from -largest up
    grids: Any  # device, for the table of translations


class NeighbourSearch:
    """The kernels of the search, loaded on one device."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._module = backend.load(source_text(), "neighbours")
        self._sent: dict[str, tuple[npt.NDArray[Any], Any]] = {}

    def find(self, batch: Places, cutoff: float) -> DeviceEdges:
        """All ordered pairs closer than `cutoff` (angstrom); no atom is paired with its own place.

        Raises:
            InputError: the structures are not what they should be, see `acegen.runtime.neighbours.closed_box`, or
                atoms of one lie too many boxes apart.
        """
        checked(batch)
        if not 0.0 < cutoff < math.inf:
            raise InputError(f"cutoff: expected a length in angstrom > 0, found {cutoff!r}")
        with self.backend.active():
            return _Build(self, batch, float(cutoff)).edges()

    def strained(self, edges: DeviceEdges, cells: FloatArray) -> DeviceEdges:
        """The same edges in other cells [n_systems, 3, 3]."""
        if edges.shifts is None:
            return edges
        shifts = self.backend.allocate((int(edges.first_shift[-1]), 3), np.float64)
        self.translations(edges.first_shift, edges.grids, cells, shifts)
        return replace(edges, shifts=shifts)

    def translations(self, first_shift: Int64Array, grids: Any, cells: FloatArray, shifts: Any) -> None:
        """Fill the table of translations [n_shifts, 3]."""
        n_rows, n_systems = int(first_shift[-1]), len(first_shift) - 1
        arguments = (n_rows, n_systems, self.sent("first_shift", first_shift), grids, self.sent("cells", cells))
        self.launch("translations", n_rows, _SEARCH_BLOCK, *arguments, shifts)

    def farthest(self, batch: Places, then: Any, strains: FloatArray | None = None) -> FloatArray:
        """Largest |u - mean u| of every structure [n_systems]; infinite where a position is not a number.

        Args:
            batch: positions now.
            then: [n_atoms, 3] device, positions u is measured from.
            strains: [n_systems, 3, 3] u = now - then · strain; default: not strained.
        """
        backend, n_systems = self.backend, batch.n_systems
        if not batch.n_atoms:
            return np.zeros(n_systems)
        strains = np.tile(NO_STRAIN, (n_systems, 1, 1)) if strains is None else strains
        n_parts = parts(batch.first_atom)
        sums = backend.allocate((n_systems, n_parts, 3), np.float64)
        most = backend.allocate((n_systems, n_parts, 2), np.float64)
        first_atom, strain = self.sent("first_atom", batch.first_atom), self.sent("strains", strains)
        given = (n_parts, _PART_ATOMS, first_atom, batch.positions, then, strain, sums)
        self.launch("drift", n_systems * n_parts * _PART_BLOCK, _PART_BLOCK, *given)
        self.launch("farthest", n_systems * n_parts * _PART_BLOCK, _PART_BLOCK, *given, most)
        found = backend.to_host(most)
        far: FloatArray = np.sqrt(found[:, :, 0].max(axis=1))
        far[found[:, :, 1].any(axis=1)] = np.inf
        return far

    def offsets(self, counts: Any, n: int) -> Any:
        """Exclusive sums [n+1] int64 of counts [n] int32, on the device."""
        n_parts = -(-n // _SCAN_PART)
        out = self.backend.allocate(n + 1, np.int64)
        sums = self.backend.allocate(n_parts + 1, np.int64)
        self.launch("scan_parts", n_parts * _SCAN_BLOCK, _SCAN_BLOCK, n, counts, out, sums)
        self.launch("scan_sums", 1, _SCAN_BLOCK, n_parts, sums)
        self.launch("scan_add", n + 1, _SCAN_BLOCK, n, n_parts, sums, out)
        return out

    def sent(self, name: str, array: npt.NDArray[Any]) -> Any:
        """`array` on the device, where the last one of this name stays: most do not change from step to step."""
        known = self._sent.get(name)
        if known is None or not np.array_equal(known[0], array):
            known = self._sent[name] = np.array(array), self.backend.to_device(array)
        return known[1]

    def launch(self, kernel: str, n_threads: int, block: int, *arguments: Any) -> None:
        """At least `n_threads` threads of a kernel, in blocks of `block`."""
        self.backend.launch(self._module, kernel, -(-n_threads // block), block, arguments)


class _Build:
    """One search: the steps share the arrays of the batch."""

    def __init__(self, search: NeighbourSearch, batch: Places, cutoff: float) -> None:
        self.search, self.backend, self.batch, self.cutoff = search, search.backend, batch, cutoff
        self.n_atoms, self.n_systems = batch.n_atoms, batch.n_systems
        self.first_atom = search.sent("first_atom", batch.first_atom)
        self.frames = self.backend.to_device(_frames(batch, cutoff))
        self.grids = self.backend.allocate((self.n_systems, _GRID_WORDS), np.int64)

    def edges(self) -> DeviceEdges:
        first_cell, first_shift = self._grids()
        cell_start, placed = self._placed(first_cell)
        cells = self.backend.to_device(first_cell)
        first_row = self.search.sent("first_shift", first_shift)
        given: tuple[Any, ...] = (self.n_atoms, self.n_systems, self.cutoff, self.first_atom, self.frames, self.grids)
        given = (*given, cells, cell_start, first_row, placed)
        n_threads = self.n_atoms * _TEAM
        counts = self.backend.allocate(n_threads, np.int32)
        neighbours = self.backend.allocate(self.n_atoms, np.int32)
        self._launch("count", n_threads, *given, counts)
        self._launch("join", self.n_atoms, self.n_atoms, counts, neighbours)
        first_edge = self.search.offsets(neighbours, self.n_atoms)
        n_edges = int(self.backend.to_host(first_edge[-1:])[0])
        keys = self.backend.allocate(n_edges, np.int64)
        self._launch("fill", n_threads, *given, counts, first_edge, keys)
        to, rows = self.backend.allocate(n_edges, np.int32), self.backend.allocate(n_edges, np.int32)
        self._launch("order", n_threads, self.n_atoms, first_edge, keys, to, rows)
        reverse = self.backend.allocate(n_edges, np.int64)
        given = (self.n_atoms, self.n_systems, self.first_atom, first_row, first_edge, to)
        self._launch("reverse_edges", n_threads, *given, rows, reverse)
        shifts = None
        if self.batch.pbc.any():
            shifts = self.backend.allocate((int(first_shift[-1]), 3), np.float64)
            self.search.translations(first_shift, self.grids, self.batch.cells, shifts)
        return DeviceEdges(
            n_edges=n_edges,
            first_edge=first_edge,
            edge_to=to,
            edge_shift=None if shifts is None else rows,
            shifts=shifts,
            reverse=reverse,
            first_shift=first_shift,
            multiples=self._multiples(),
            grids=self.grids,
        )

    def _grids(self) -> tuple[Int64Array, Int64Array]:
        """Offsets of the cells and of the translations of every structure, on the host."""
        n_parts = parts(self.batch.first_atom)
        limits = self.backend.allocate((self.n_systems, n_parts, _N_LIMITS), np.float64)
        sizes = self.backend.allocate((self.n_systems, 2), np.int32)
        given: tuple[Any, ...] = (n_parts, _PART_ATOMS, self.first_atom, self.batch.positions, self.frames, limits)
        self.search.launch("bounds", self.n_systems * n_parts * _PART_BLOCK, _PART_BLOCK, *given)
        given = (self.n_systems, n_parts, self.cutoff, self.first_atom, self.frames)
        self._launch("grids", self.n_systems, *given, limits, self.grids, sizes)
        found = self.backend.to_host(sizes).astype(np.int64)
        for system in np.flatnonzero(found[:, 1] < 0)[:1]:
            name = _names(self.n_systems)[int(system)]
            if found[system, 1] == _NOT_FINITE:
                raise InputError(f"{name}.positions: expected finite numbers in angstrom")
            raise InputError(f"{name}: atoms lie too many boxes apart, wrap their positions into the cell")
        first = np.zeros((self.n_systems + 1, 2), np.int64)
        np.cumsum(found, axis=0, out=first[1:])
        if first[-1, 1] >= 2**31:
            raise InputError(f"cells: {first[-1, 1]} lattice translations are more than a batch can have: split it")
        return np.ascontiguousarray(first[:, 0]), np.ascontiguousarray(first[:, 1])

    def _placed(self, first_cell: Int64Array) -> tuple[Any, Any]:
        """Offsets of the atoms of every cell, and the atoms in this order."""
        n_cells, allocate = int(first_cell[-1]), self.backend.allocate
        counts, place = allocate(n_cells, np.int32), allocate(self.n_atoms, np.int32)
        cell, placed = allocate(self.n_atoms, np.int64), allocate((self.n_atoms, _PLACED_WORDS), np.int64)
        given = (self.n_atoms, self.n_systems, self.first_atom, self.batch.positions, self.frames)
        self.search.launch("clear", n_cells, _SCAN_BLOCK, n_cells, counts)
        device_cells = self.backend.to_device(first_cell)
        self._launch("bin", self.n_atoms, *given, self.grids, device_cells, counts, cell, place)
        start = self.search.offsets(counts, n_cells)
        self._launch("scatter", self.n_atoms, *given, start, cell, place, placed)
        return start, placed

    def _multiples(self) -> Int64Array:
        """Largest multiples [n_systems, 3] of the cell vectors."""
        words = np.ascontiguousarray(self.backend.to_host(self.grids))
        return words.view(np.int32).reshape(self.n_systems, 2 * _GRID_WORDS)[:, 18:21].astype(np.int64)

    def _launch(self, kernel: str, n_threads: int, *arguments: Any) -> None:
        self.search.launch(kernel, n_threads, _SEARCH_BLOCK, *arguments)


def source_text() -> str:
    """The CUDA source of the search, self-contained."""
    folder = Path(__file__).parent
    return "\n".join((folder / name).read_text(encoding="ascii") for name in SOURCES)


def checked(batch: Places) -> None:
    """Refuse arrays that do not fit together.

    Raises:
        InputError: names what does not fit.
    """
    first = batch.first_atom
    if first.dtype != np.int64 or first.ndim != 1 or not len(first) or first[0] != 0 or (np.diff(first) < 0).any():
        raise InputError("first_atom: expected int64 offsets [n_systems+1] that start at 0 and never fall")
    shape = tuple(batch.positions.shape)
    if shape != (batch.n_atoms, 3) or batch.positions.dtype != np.float64 or not batch.positions.flags.c_contiguous:
        raise InputError(
            f"positions: expected contiguous float64 [{batch.n_atoms}, 3], found {batch.positions.dtype} {list(shape)}"
        )
    if batch.n_atoms >= 2**31:
        raise InputError(f"positions: {batch.n_atoms} atoms are more than a batch can have: split it")
    float_array("cells", batch.cells, (batch.n_systems, 3, 3), "angstrom")
    if batch.pbc.dtype != np.bool_ or batch.pbc.shape != (batch.n_systems, 3):
        raise InputError(f"pbc: expected bool [{batch.n_systems}, 3], found {batch.pbc.dtype} {list(batch.pbc.shape)}")


def parts(first_atom: Int64Array) -> int:
    """Blocks every structure is worked through by."""
    return -(-int(np.diff(first_atom).max(initial=1)) // _PART_ATOMS)


def _names(n_systems: int) -> Sequence[str]:
    """Names of the structures for messages, as in acegen.runtime."""
    return ["atoms"] if n_systems == 1 else [f"atoms[{k}]" for k in range(n_systems)]


def _frames(batch: Places, cutoff: float) -> FloatArray:
    """`struct frame` of every structure: box, inverse and periodic directions, as words of 8 bytes."""
    structures = Structures(batch.first_atom, np.zeros((0, 3)), batch.cells, batch.pbc)
    boxes = closed_boxes(structures, cutoff, _names(batch.n_systems))
    words = np.empty((batch.n_systems, _FRAME_WORDS))
    words[:, :9] = boxes.reshape(-1, 9)
    words[:, 9:18] = np.linalg.inv(boxes).reshape(-1, 9)
    words[:, 18:] = batch.pbc.astype(np.int64).view(np.float64)
    return words
