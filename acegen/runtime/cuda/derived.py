"""`DerivedModel`: extrapolation grades and committee deviations on a device."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from acegen.runtime.cuda.forward import ForwardModel
from acegen.runtime.cuda.graph import DeviceGraph, upload
from acegen.runtime.cuda.program import Program
from acegen.runtime.evaluation import DERIVED
from acegen.runtime.graph import GraphBatch
from acegen.uncertainty.sets import ModelActiveSets

_THREADS = 128  # as in grades.cu
_OF = {"energy_std": "energy", "forces_std": "forces"}


class DerivedModel(ForwardModel):
    """What `CudaModel` makes of the outputs of its kernels.

    Grades of linear active sets are a product of basis and inverse in a kernel of its own; those of nonlinear sets
    are formed on the host. Members of a committee are evaluated one after another on the same graph.
    """

    program: Program

    @abstractmethod
    def _in_parts(self, graph: DeviceGraph | GraphBatch, names: tuple[str, ...]) -> dict[str, Any]: ...

    def _derived(self, graph: DeviceGraph | GraphBatch, names: tuple[str, ...]) -> dict[str, Any]:
        """Results, some of which are derived ones, where the graph is."""
        sent = upload(self.backend, graph, len(self.species)) if isinstance(graph, GraphBatch) else graph
        sets = self.needed_active_sets() if "gamma" in names else None
        plain = [name for name in names if name not in DERIVED]
        wanted = (*plain, "basis") if sets is not None and "basis" not in plain else tuple(plain)
        found = self._in_parts(sent, wanted) if wanted else {}
        if sets is not None:
            found["gamma"] = self._grades(sets, sent, found["basis"])
        if not set(_OF).isdisjoint(names):
            found |= self._deviations(sent, tuple(name for name in _OF if name in names))
        results = {name: found[name] for name in names}
        if isinstance(graph, GraphBatch):
            return {name: self.backend.to_host(array) for name, array in results.items()}
        return results

    def _grades(self, sets: ModelActiveSets, graph: DeviceGraph, basis: Any) -> Any:
        """gamma [n_atoms] on the device."""
        if sets.densities is not None:
            on_host = sets.grades(self.backend.to_host(basis), self.backend.to_host(graph.species))
            return self.backend.to_device(on_host)
        gamma = self.backend.allocate(graph.n_atoms, np.float64)
        inverses, where = self._inverses(sets)
        arguments = (self.n_basis, graph.tile_atoms, graph.species, basis, inverses, where, gamma)
        self.backend.launch(self._grades_module, "grades", sum(graph.tiles), _THREADS, arguments)
        return gamma

    def _inverses(self, sets: ModelActiveSets) -> tuple[Any, Any]:
        """Inverse active sets of all species on the device, and first number and rows of each; kept for the sets."""
        known: tuple[ModelActiveSets, Any, Any] | None = getattr(self, "_sent_sets", None)
        if known is None or known[0] is not sets:
            flat = np.concatenate([inverse.reshape(-1) for inverse in sets.inverses])
            rows = [len(inverse) for inverse in sets.inverses]
            first = np.cumsum([0, *(n * n for n in rows)])[:-1]
            where = np.stack([first, rows], axis=1).astype(np.int64)
            known = sets, self.backend.to_device(flat), self.backend.to_device(where)
            self._sent_sets = known
        return known[1:]

    def _deviations(self, graph: DeviceGraph, names: tuple[str, ...]) -> dict[str, Any]:
        """Sample standard deviation (n - 1) over the members, about their own mean."""
        members = self.needed_members().coefficients
        outputs = tuple(_OF[name] for name in names)
        own = self.program.coefficients
        results = []
        try:
            for row in members:
                self.program.coefficients = self.backend.to_device(np.ascontiguousarray(row))
                results.append(self._in_parts(graph, outputs))
                graph.kept.pop(self.program.kept_as(outputs), None)  # recorded launches of other weights
        finally:
            self.program.coefficients = own
        found = {}
        for name, output in zip(names, outputs, strict=True):
            mean = sum(result[output] for result in results) / len(results)
            squares = sum((result[output] - mean) ** 2 for result in results)
            found[name] = (squares / (len(results) - 1)) ** 0.5
        return found

    @cached_property
    def _grades_module(self) -> Any:
        source = Path(__file__).with_name("grades.cu")
        return self.backend.load(source.read_text(encoding="utf-8"), source.name)
