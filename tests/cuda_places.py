"""Structures on the device and their edges back on the host, for tests of the neighbour search of the GPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ase import Atoms

from acegen.runtime import GraphBatch
from acegen.runtime.cuda.neighbours import DeviceEdges, NeighbourSearch, Places


def on_device(search: NeighbourSearch, batch: Places) -> Places:
    """Positions where the kernels are; of NumPy for the shim, the very same array."""
    if search.backend.xp is np:
        return batch
    return replace(batch, positions=search.backend.to_device(batch.positions))


def on_host(search: NeighbourSearch, edges: DeviceEdges) -> DeviceEdges:
    """The same edges in NumPy arrays."""
    names = ("first_edge", "edge_to", "edge_shift", "shifts", "reverse")
    arrays = {name: getattr(edges, name) for name in names}
    return replace(edges, **{name: None if a is None else search.backend.to_host(a) for name, a in arrays.items()})


def places(frames: list[Atoms]) -> Places:
    """The arrays of some structures, on the host."""
    first = np.concatenate([[0], np.cumsum([len(frame) for frame in frames])]).astype(np.int64)
    positions = np.concatenate([np.zeros((0, 3)), *(frame.positions for frame in frames)])
    cells = np.array([frame.cell.array for frame in frames]).reshape(-1, 3, 3)
    return Places(first, positions, cells, np.array([frame.pbc for frame in frames], bool).reshape(-1, 3))


def put(search: NeighbourSearch, frames: list[Atoms]) -> Places:
    """The arrays of some structures, positions where the kernels are."""
    return on_device(search, places(frames))


def random_frames(rng: np.random.Generator, largest: int) -> list[Atoms]:
    """Up to five structures in skewed cells of either hand, atoms inside and outside of them."""
    frames = []
    for _ in range(rng.integers(1, 6)):
        n, length = int(rng.integers(0, largest)), rng.uniform(1.5, 12)
        cell = np.eye(3) * length + rng.normal(size=(3, 3)) * length * 0.25
        cell = cell[::-1] if rng.random() < 0.2 else cell
        positions = rng.random((n, 3)) @ cell * rng.choice([1, 3]) + rng.normal() * rng.choice([0, 30])
        pbc = rng.random(3) < rng.choice([0, 0.5, 1])
        frames.append(Atoms(numbers=np.ones(n, int), positions=positions, cell=cell, pbc=pbc))
    return frames


def multiples_of(batch: Places, edges: DeviceEdges) -> np.ndarray:
    """Cell multiples [n_edges, 3] of every edge, from the row of its translation."""
    found = np.zeros((edges.n_edges, 3), int)
    if edges.edge_shift is None:
        return found
    system = np.searchsorted(edges.first_shift, edges.edge_shift, side="right") - 1
    centre = np.repeat(np.arange(batch.n_atoms), np.diff(edges.first_edge))
    assert (np.searchsorted(batch.first_atom, centre, side="right") - 1 == system).all()
    code = edges.edge_shift - edges.first_shift[system]
    for a in (2, 1, 0):
        span = 2 * edges.multiples[system, a] + 1
        found[:, a], code = code % span - edges.multiples[system, a], code // span
    np.testing.assert_allclose(
        edges.shifts[edges.edge_shift], np.einsum("ea,eac->ec", found, batch.cells[system]), rtol=1e-14, atol=1e-9
    )
    return found


def rows_of(batch: Places, edges: DeviceEdges) -> np.ndarray:
    """Rows (centre, neighbour, cell multiples) in the order of the edges."""
    centre = np.repeat(np.arange(batch.n_atoms), np.diff(edges.first_edge))
    return np.column_stack([centre, edges.edge_to, multiples_of(batch, edges)])


def wanted_rows(frames: list[Atoms], cutoff: float) -> np.ndarray:
    """The same rows, sorted, of the search of the runtime."""
    graph = GraphBatch.from_atoms(frames, cutoff, species=("H",))
    centre = np.repeat(np.arange(graph.n_atoms), np.diff(graph.first_edge))
    multiples = np.zeros((graph.n_edges, 3), int)
    if graph.shifts is not None:
        multiples = graph.shift_multiples[graph.edge_shift]
    rows = np.column_stack([centre, graph.edge_to, multiples])
    return rows[np.lexsort(rows.T[::-1])]


def check(search: NeighbourSearch, frames: list[Atoms], cutoff: float) -> DeviceEdges:
    """Edges are those of the runtime, sorted by centre, neighbour and translation, each with its reverse."""
    batch = places(frames)
    edges = on_host(search, search.find(on_device(search, batch), cutoff))
    rows = rows_of(batch, edges)
    np.testing.assert_array_equal(rows, wanted_rows(frames, cutoff))
    back = np.column_stack([rows[:, 1], rows[:, 0], -rows[:, 2:]])
    np.testing.assert_array_equal(rows[edges.reverse], back)
    return edges
