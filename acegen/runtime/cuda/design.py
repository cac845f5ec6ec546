"""`DesignProgram`: the launches of the forward mode on a backend, some functions at a time so that memory suffices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from acegen.errors import LoadError
from acegen.record import GRAPH, Launch, Record, blocks, shape_of
from acegen.runtime.cuda.backend import Backend
from acegen.runtime.cuda.graph import DeviceGraph
from acegen.runtime.design import Design

_COLUMN_BYTES = 1 << 29  # of derivatives of some functions along all edges, held at a time
_ATOM_BYTES = 1 << 31  # of all that is held for every atom
_STEP = 8  # functions; whole sectors of memory
_DTYPES = {"double": np.float64, "int32_t": np.int32, "int64_t": np.int64}


class DesignProgram:
    """The compiled forward mode of one bundle.

    The derivatives of every function along every edge, 24 bytes each, are written once by a pass over `n_columns`
    functions; rows are summed from them, which reads them twice (by the centre and by the neighbour). The bandwidth
    of memory is the floor: 24 bytes of gradients, 72 of rows for each function and edge. A function of s amplitudes
    reads 24 s bytes of shared memory for each edge, which on cards of 2020 to 2024 is some seven times as fast: from
    about seven amplitudes a function on, that is what limits.
    """

    def __init__(self, record: Record, source: str, backend: Backend, n_parameters: int) -> None:
        self.record, self.backend, self.n_parameters = record, backend, n_parameters
        self._module = backend.load(source, record.source, ("REAL=double",))
        self._check()

    def shapes(self, graph: Any) -> dict[str, tuple[int, ...]]:
        """Shapes of the rows of a graph of the device or the host."""
        return {
            "energy": (graph.n_systems, self.n_parameters),
            "forces": (graph.n_atoms, 3, self.n_parameters),
            "virial": (graph.n_systems, 6, self.n_parameters),
        }

    def atoms_at_a_time(self) -> int:
        """Atoms whose work arrays take what is meant for them."""
        sizes = dict.fromkeys(self._sizes(), 1)
        sizes |= {"n_edges": 0, "n_columns": 0}
        found = 0
        for buffer in self.record.buffers:
            shared_by = 32 if "n_tiles" in buffer.shape else 1
            found += 8 * math.prod(shape_of(buffer, sizes)) // shared_by
        return max(1, _ATOM_BYTES // max(found, 1))

    def rows(self, graph: DeviceGraph, out: Design) -> None:
        """Overwrite the arrays of `out`, which are on the device."""
        derived = out.forces is not None or out.virial is not None
        needed = {"basis"} | ({"gradients", "forces"} if derived else set())
        if out.energy is not None or out.virial is not None:
            needed.add("systems")
        if out.virial is not None:
            needed.add("virial")
        width = self._columns(graph) if derived else self.record.n_basis
        outputs = {"energy": out.energy, "forces": out.forces, "virial": out.virial}
        self._run(graph, needed, outputs, width)

    def gradients(self, graph: DeviceGraph) -> Any:
        """basis_gradients [n_edges, 3, n_basis] on the device, in the kernel's order of the edges."""
        n = self.record.n_basis
        found = self.backend.allocate((graph.n_edges, 3, n), np.float64)
        self._run(graph, {"basis", "gradients"}, {"basis_gradients": found}, n)
        return found

    def _columns(self, graph: DeviceGraph) -> int:
        """Functions of one pass."""
        fitting = _COLUMN_BYTES // max(24 * graph.n_edges + 48 * graph.n_atoms, 1)
        return max(1, min(self.record.n_basis, max(fitting // _STEP, 1) * _STEP))

    def _run(self, graph: DeviceGraph, needed: set[str], outputs: dict[str, Any], width: int) -> None:
        sizes = {**self._sizes(), **graph.sizes(), "n_columns": width}
        sizes["n_system_columns"] = graph.n_systems * -(-self.record.n_species * width // 32)
        known: dict[str, Any] = {name: getattr(graph, name) for name in GRAPH if name != "reverse"}
        known["reverse"] = graph.reverse if outputs.get("forces") is not None else None
        known |= dict.fromkeys(("energy", "forces", "virial")) | sizes | outputs
        for buffer in self.record.buffers:
            if known.get(buffer.name) is None:
                wanted = buffer.needed_for in needed
                shape = shape_of(buffer, sizes)
                known[buffer.name] = self.backend.allocate(shape, _DTYPES[buffer.ctype]) if wanted else None
        if known["basis_gradients"] is not None:
            known["basis_gradients"].fill(0.0)  # edges beyond the cutoff and functions of other species stay so
        chosen = [launch for launch in self.record.launches if launch.needed_for in needed]
        repeated = [launch for launch in chosen if "n_columns" in launch.arguments]
        for launch in chosen:
            if launch not in repeated:
                self._launch(launch, sizes, known)
        for first in range(0, self.record.n_basis, width):
            known["first_function"] = first
            for launch in repeated:
                self._launch(launch, sizes, known)

    def _launch(self, launch: Launch, sizes: dict[str, int], known: dict[str, Any]) -> None:
        arguments = tuple(known[name] for name in launch.arguments)
        self.backend.launch(self._module, launch.kernel, blocks(launch, sizes), launch.block, arguments, launch.shared)

    def _sizes(self) -> dict[str, int]:
        names = ("n_systems", "n_atoms", "n_edges", "n_tiles", "n_columns", "n_system_columns", "first_function")
        return dict.fromkeys(names, 0)

    def _check(self) -> None:
        """Refuse records that name what this runtime does not know."""
        known = {*GRAPH, *self._sizes(), "energy", "forces", "virial", *(b.name for b in self.record.buffers)}
        for launch in self.record.launches:
            for name in (launch.count, *launch.arguments):
                if name not in known:
                    raise LoadError(f"{self.record.source}: kernel {launch.kernel} needs {name!r}, which is unknown")
