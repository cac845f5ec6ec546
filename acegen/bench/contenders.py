"""What is timed: acegen kernels in this process, peers behind a pipe; both as `sample(calls) -> Seconds`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from acegen.runtime.graph import GraphBatch
from acegen.runtime.model import Model

PROPERTIES = ("energy", "forces", "virial")


@dataclass(frozen=True, slots=True)
class Seconds:
    """Processor and wall time of one evaluation."""

    cpu: float
    wall: float


class Contender(Protocol):
    """Something that evaluates the benchmark structure again and again."""

    @property
    def label(self) -> str:
        """Name in messages."""

    def sample(self, calls: int) -> Seconds:
        """Mean time of one of `calls` evaluations."""


class KernelContender:
    """A compiled model on a graph prepared beforehand: energy, forces and virial."""

    def __init__(self, model: Model, graph: GraphBatch, threads: int) -> None:
        self._model, self._graph, self._threads = model, graph, threads

    @property
    def label(self) -> str:
        """Precision and threads."""
        return f"acegen {self._model.precision} x{self._threads}"

    def sample(self, calls: int) -> Seconds:
        """Mean time of one of `calls` evaluations."""
        self._model.threads = self._threads
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(calls):
            self._model.evaluate(self._graph, PROPERTIES)
        return Seconds((time.process_time() - cpu) / calls, (time.perf_counter() - wall) / calls)
