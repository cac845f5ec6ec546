"""Generated CUDA built in the background, and one potential in the shim or on a card beside its C kernel."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cuda_cases import LIGHT, PROPERTIES, CudaSource, Outputs, deviations, expected, run_on_host

from acegen import GraphBatch
from acegen.runtime.loaded import LoadedModel
from acegen.runtime.model import Model
from acegen.testing.host import ORDERS, HostModule

DOUBLE_LIMIT = 1e-12


class Sources:
    """Generated CUDA and its modules in the shim; g++ works in the background, in the order of the tests."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._made: dict[tuple[Path, str], tuple[CudaSource, Future[HostModule]]] = {}

    def start(self, path: Path, precision: str = "float64") -> None:
        """Generate, and begin to build."""
        if (path, precision) not in self._made:
            source = CudaSource.of(path, precision)
            self._made[path, precision] = source, self._pool.submit(HostModule, source.text, LIGHT)

    def __call__(self, path: Path, precision: str = "float64") -> tuple[CudaSource, HostModule]:
        self.start(path, precision)
        source, module = self._made[path, precision]
        return source, module.result()

    def close(self) -> None:
        """Forget what has not begun, wait for the rest."""
        self._pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, eq=False)
class Case:
    """A potential: its CUDA in the shim, or on a card, and its C kernel in double precision."""

    source: CudaSource
    module: HostModule | LoadedModel  # of the shim, or the model on a card
    c: Model | None

    @property
    def model(self) -> Model:
        """The C kernel."""
        assert self.c is not None
        return self.c

    def run(self, graph: GraphBatch, order: str = "forward", properties: tuple[str, ...] = PROPERTIES) -> Outputs:
        if isinstance(self.module, LoadedModel):  # whose threads run in an order of their own
            found = self.module.evaluate(graph, properties)
            return {key: np.array(getattr(found, key)) for key in properties}
        return run_on_host(self.source, self.module, graph, order, properties)

    def check(self, graph: GraphBatch, cancelling: bool = False) -> dict[str, float]:
        """Errors against C, see `deviations`; other orders give the very same bits."""
        found = self.run(graph)
        errors = deviations(found, expected(self.model, graph), cancelling)
        assert all(error <= DOUBLE_LIMIT for error in errors.values()), errors
        for order in ORDERS[1:]:
            other = self.run(graph, order)
            for name in PROPERTIES:
                assert found[name].tobytes() == other[name].tobytes(), f"{name} depends on the order of threads"
        return errors
