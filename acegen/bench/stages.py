"""Measured stages of a kernel: runs that leave stages out are timed in turn, differences are the stages."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from acegen.bench.contenders import PROPERTIES, Seconds
from acegen.bench.measure import alternate
from acegen.errors import InputError
from acegen.runtime.graph import GraphBatch
from acegen.runtime.model import Model

_FAR = 1e3  # lengths times this: every listed edge is beyond the cutoff, none becomes a slot
_FORWARD = ("energies",)


class _Run:
    """One way to run the kernel, as a contender."""

    def __init__(self, label: str, model: Model, graph: GraphBatch, properties: tuple[str, ...]) -> None:
        self.label = label
        self._call: Callable[[], object] = lambda: model.evaluate(graph, properties)
        self._call()

    def sample(self, calls: int) -> Seconds:
        """Mean time of one of `calls` evaluations."""
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(calls):
            self._call()
        return Seconds((time.process_time() - cpu) / calls, (time.perf_counter() - wall) / calls)


def measure_stages(
    model: Model, graph: GraphBatch, repeats: int, between: Callable[[int], None] = lambda done: None
) -> dict[str, float]:
    """Microseconds per atom of the groups of `floors.GROUPS`, and "total" (one thread).

    Without edges only the products are left, with all edges beyond the cutoff the walk over the list comes back;
    without gradients everything backward is gone. Fastest samples: a difference of medians would carry both noises.

    Args:
        model: one thread is used.
        graph: with positions.
        repeats: samples of each of the five runs.
        between: called after every round.
    """
    if graph.positions is None:
        raise InputError("stages: expected a graph with positions, found edge vectors only")
    model.threads = 1
    empty = _without_edges(graph)
    far = _far_apart(graph)
    runs = [
        _Run("everything", model, graph, PROPERTIES),
        _Run("everything forward", model, graph, _FORWARD),
        _Run("products", model, empty, PROPERTIES),
        _Run("products forward", model, empty, _FORWARD),
        _Run("list and products forward", model, far, _FORWARD),
    ]
    timings = alternate(runs, ["cpu"] * len(runs), repeats, between)
    everything, forward, products, products_forward, listed = (
        1e6 * timing.fastest / graph.n_atoms for timing in timings
    )
    walk = listed - products_forward
    return {
        "list walk": walk,
        "edges forward": forward - products_forward - walk,
        "products forward": products_forward,
        "products backward": products - products_forward,
        "edges backward": (everything - forward) - (products - products_forward),
        "total": everything,
    }


def _without_edges(graph: GraphBatch) -> GraphBatch:
    """The same atoms, nobody listed."""
    return replace(
        graph,
        n_edges=0,
        first_edge=np.zeros_like(graph.first_edge),
        edge_to=graph.edge_to[:0].copy(),
        edge_shift=None,
        shifts=None,
        edge_order=None,
        prepared={},
    )


def _far_apart(graph: GraphBatch) -> GraphBatch:
    """The same list, every neighbour far away."""
    shifts = None if graph.shifts is None else _FAR * graph.shifts
    positions = None if graph.positions is None else _FAR * graph.positions
    return replace(graph, positions=positions, shifts=shifts, prepared={})
