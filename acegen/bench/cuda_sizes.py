"""One structure or batch on a device: neighbour list, every kernel, the whole evaluation, a step, memory."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from acegen.bench.cuda_clock import TimedBackend, kernel_seconds, wall_samples
from acegen.runtime.cuda.model import CudaModel
from acegen.runtime.cuda.neighbours import MovingGraph, NeighbourList, NeighbourSearch, Places

PROPERTIES = ("energy", "forces", "virial")
SKIN = 0.5  # angstrom
MOVE = 0.01  # angstrom, how far atoms move in a step
Run = dict[str, Any]


def places_of(backend: TimedBackend, species: Sequence[str], frames: Sequence[Any]) -> tuple[Places, Any]:
    """ASE structures on the device, and their species indices [n_atoms] there."""
    index = {symbol: k for k, symbol in enumerate(species)}
    kinds = [index[symbol] for atoms in frames for symbol in atoms.get_chemical_symbols()]
    first = np.concatenate([[0], np.cumsum([len(atoms) for atoms in frames])]).astype(np.int64)
    positions = np.concatenate([np.asarray(atoms.positions, np.float64) for atoms in frames])
    cells = np.array([atoms.cell.array for atoms in frames], np.float64)
    pbc = np.array([atoms.pbc for atoms in frames], np.bool_)
    placed = Places(first, backend.to_device(positions), cells, pbc)
    return placed, backend.to_device(np.array(kinds, np.int32))


def measure_frames(
    backend: TimedBackend,
    model: CudaModel,
    search: NeighbourSearch,
    frames: Sequence[Any],
    repeats: int,
    delay: Callable[[], None],
    seconds: float = 0.05,
) -> Run:
    """Everything about one batch, numbers ready for JSON; microseconds are per atom, medians unless named otherwise.

    Args:
        backend: of the model.
        model: energy, forces and virial are evaluated.
        search: of the same device.
        frames: ASE structures of one batch.
        repeats: samples of everything.
        delay: of `kernel_seconds`.
        seconds: length of a sample.
    """
    with backend.active():
        return _measured(backend, model, search, frames, repeats, delay, seconds)


def _measured(
    backend: TimedBackend,
    model: CudaModel,
    search: NeighbourSearch,
    frames: Sequence[Any],
    repeats: int,
    delay: Callable[[], None],
    seconds: float = 0.05,
) -> Run:
    model.program.forget()
    before = backend.used_bytes()
    places, kinds = places_of(backend, model.species, frames)
    moving = MovingGraph(NeighbourList(search, model.cutoff, SKIN), kinds, len(model.species), model.species)
    graph = moving.at(places)
    held = model.evaluate(graph, PROPERTIES)  # work arrays and results are there now
    memory = backend.used_bytes() - before
    del held
    n_atoms, to_us = graph.n_atoms, 1e6 / max(1, graph.n_atoms)

    def launched() -> None:  # a graph that nothing is kept for has its launches started one by one
        model.evaluate(graph.with_positions(graph.positions), PROPERTIES)

    kernels = kernel_seconds(backend, launched, repeats, delay)
    whole, calls = wall_samples(backend, lambda: model.evaluate(graph, PROPERTIES), repeats, seconds)
    lists = _list_seconds(backend, model, search, places, moving, repeats, seconds)
    evaluate, alone = statistics.median(whole), sum(kernels.values())
    return {
        "n_atoms": n_atoms,
        "n_systems": graph.n_systems,
        "listed": round(graph.n_edges / max(1, n_atoms), 2),
        "us_per_atom": round(to_us * evaluate, 6),
        "us_per_atom_min": round(to_us * min(whole), 6),
        "samples": [round(to_us * seconds, 6) for seconds in whole],
        "calls_per_sample": calls,
        "atom_steps_per_s": round(n_atoms / evaluate),
        "kernels": {kernel: round(to_us * seconds, 6) for kernel, seconds in kernels.items()},
        "kernels_us_per_atom": round(to_us * alone, 6),
        "kernels_atom_steps_per_s": round(n_atoms / max(alone, 1e-12)),
        **{name: round(to_us * seconds, 6) for name, seconds in lists.items()},
        "memory_bytes": memory,
        "memory_predicted": model.memory_bytes(n_atoms, graph.n_edges, PROPERTIES),
    }


def _list_seconds(
    backend: TimedBackend,
    model: CudaModel,
    search: NeighbourSearch,
    places: Places,
    moving: MovingGraph,
    repeats: int,
    seconds: float,
) -> dict[str, float]:
    """Seconds of a new list, of the check that the old one will do, and of a step with it."""
    stream = np.random.default_rng(2)
    shape = (places.n_atoms, 3)
    moves = [backend.to_device(MOVE / np.sqrt(3.0) * stream.standard_normal(shape)) for _ in range(2)]
    moved = [replace(places, positions=places.positions + move) for move in moves]
    turn = [0]

    def next_places() -> Places:
        turn[0] += 1
        return moved[turn[0] % 2]

    work = {
        "list_build_us": lambda: search.find(places, model.cutoff + SKIN),
        "list_refresh_us": lambda: moving.at(next_places()),
        "step_us": lambda: model.evaluate(moving.at(next_places()), PROPERTIES),
    }
    return {name: statistics.median(wall_samples(backend, one, repeats, seconds)[0]) for name, one in work.items()}
