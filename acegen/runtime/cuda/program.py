"""`Program`: the launches of a record on a backend, with work arrays that are kept between calls."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from acegen.errors import LoadError
from acegen.manifest import EVALUATE
from acegen.record import GRAPH, OUTPUTS, TILE, Buffer, Record, blocks, shape_of
from acegen.runtime.cuda.backend import Backend
from acegen.runtime.cuda.graph import DeviceGraph

_REAL = {"float64": "double", "float32": "float"}
_DTYPES = {"double": np.float64, "float": np.float32, "int32_t": np.int32, "int64_t": np.int64}
_GRADIENTS = frozenset(("forces", "virial", "virials", "edge_gradients"))
_SHAPES = {argument.name: argument.shape for argument in EVALUATE if argument.name in OUTPUTS}
_REPEATED_BELOW = 2048  # atoms; launches of small systems take longer than their kernels, hence one CUDA graph


@dataclass(slots=True)
class _Run:
    """Launches of one graph with all their arrays, ready to be repeated."""

    results: dict[str, Any]
    start: Callable[[], None]
    repeat: Callable[[], None] | None = None


class Program:
    """A compiled record."""

    def __init__(self, record: Record, source: str, backend: Backend, precision: str) -> None:
        self.record, self.backend = record, backend
        self.coefficients: Any | None = None  # double [n_coefficients]; None: the built-in ones
        self._real = _REAL[precision]
        self._module = backend.load(source, record.source, (f"REAL={self._real}",))
        self._work: dict[str, Any] = {}  # flat work arrays, grown when needed
        self._check()

    def run(self, graph: DeviceGraph, names: tuple[str, ...]) -> dict[str, Any]:
        """Results by name; when the program `repeats` the graph, in arrays that its next call overwrites."""
        if not self.repeats(graph):
            run = self._prepared(graph, names)
            run.start()
            return run.results
        key = self.kept_as(names)
        known: tuple[Program, Any, _Run] | None = graph.kept.get(key)
        if known is None or known[0] is not self or known[1] is not self.coefficients:
            run = self._prepared(graph, names)
            run.start()  # loads the kernels, which cannot be done while launches are recorded
            graph.kept[key] = self, self.coefficients, run
            return run.results
        run = known[2]
        if run.repeat is None:
            run.repeat = self.backend.capture(run.start)
        run.repeat()
        return run.results

    def kept_as(self, names: tuple[str, ...]) -> tuple[object, ...]:
        """Key under which a graph keeps the launches of these properties and the present coefficients."""
        return "run", id(self), names, id(self.coefficients)

    def repeats(self, graph: DeviceGraph) -> bool:
        """True for graphs whose launches are kept, to be started again all at once."""
        return graph.n_atoms < _REPEATED_BELOW

    def forget(self) -> None:
        """Give up the work arrays."""
        self._work.clear()

    def memory_bytes(self, n_systems: int, n_atoms: int, n_edges: int, names: tuple[str, ...]) -> int:
        """Estimate of the device memory for the graph, results and work arrays."""
        needed = _needed(names)
        n_tiles = -(-n_atoms // TILE) + self.record.n_species
        sizes = {"n_systems": n_systems, "n_atoms": n_atoms, "n_edges": n_edges, "n_tiles": n_tiles}
        sizes.update({f"n_tiles_{c}": n_tiles for c in range(self.record.n_species)})
        total = 16 * n_systems + 36 * n_atoms + (4 * TILE) * n_tiles + 16 * n_edges
        for buffer in self.record.buffers:
            if buffer.needed_for in needed and buffer.name not in names:
                total += math.prod(shape_of(buffer, sizes)) * np.dtype(self._dtype(buffer.ctype)).itemsize
        total += sum(8 * math.prod(self._output_shape(name, sizes)) for name in names)
        return total

    def _prepared(self, graph: DeviceGraph, names: tuple[str, ...]) -> _Run:
        """Arrays of all launches that `names` need."""
        needed, sizes = _needed(names), graph.sizes()
        known: dict[str, Any] = {name: getattr(graph, name) for name in GRAPH if name != "reverse"}
        known["reverse"] = graph.reverse if "forces" in names else None
        known.update(sizes, coefficients=self.coefficients, **dict.fromkeys(OUTPUTS))
        results = {name: self._output(name, sizes) for name in names}
        for buffer in self.record.buffers:  # among them outputs that kernels hand on, wanted or not
            wanted = buffer.needed_for in needed and buffer.name not in names
            known[buffer.name] = self._array(buffer, sizes) if wanted else None
        known.update(results)
        started = [
            (launch, blocks(launch, sizes), tuple(known[name] for name in launch.arguments))
            for launch in self.record.launches
            if launch.needed_for in needed
        ]

        def start() -> None:
            for launch, n_blocks, arguments in started:
                self.backend.launch(self._module, launch.kernel, n_blocks, launch.block, arguments, launch.shared)

        return _Run(results, start)

    def _output(self, name: str, sizes: dict[str, int]) -> Any:
        """A new array; the kernels write all of an output but the basis columns another species owns."""
        array = self.backend.allocate(self._output_shape(name, sizes), np.float64)
        if name == "basis":
            array.fill(0.0)
        return array

    def _array(self, buffer: Buffer, sizes: dict[str, int]) -> Any:
        """A work array, at least as large as it must be; what it held before is lost."""
        n = math.prod(shape_of(buffer, sizes))
        held = self._work.get(buffer.name)
        if held is None or held.size < n:
            held = None  # gone before the new one is allocated
            self._work.pop(buffer.name, None)
            held = self._work[buffer.name] = self.backend.allocate(n, self._dtype(buffer.ctype))
        return held

    def _output_shape(self, name: str, sizes: dict[str, int]) -> tuple[int, ...]:
        known = {**sizes, "n_basis": self.record.n_basis}
        return tuple(int(text) if text.isdigit() else known[text] for text in _SHAPES[name])

    def _dtype(self, ctype: str) -> Any:
        return _DTYPES[self._real if ctype == "real" else ctype]

    def _check(self) -> None:
        """Refuse records that name what this runtime does not know."""
        known = {*GRAPH, *OUTPUTS, "coefficients", "n_atoms", "n_edges", "n_systems", "n_tiles"}
        known |= {f"{text}_{c}" for text in ("n_tiles", "first_tile") for c in range(self.record.n_species)}
        known |= {buffer.name for buffer in self.record.buffers}
        for launch in self.record.launches:
            for name in (launch.count, *launch.arguments):
                if name not in known:
                    raise LoadError(f"{self.record.source}: kernel {launch.kernel} needs {name!r}, which is unknown")


def _needed(names: tuple[str, ...]) -> frozenset[str]:
    """Groups of launches for these properties, see `Launch.needed_for`."""
    found = {"energy"}
    if _GRADIENTS & set(names):
        found.add("gradients")
    if "basis" in names:
        found.add("basis")
    return frozenset(found)
