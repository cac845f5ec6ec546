"""`ForwardModel`: rows of the design matrix and derivatives of the basis, of a model on a device."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acegen.errors import InputError, LoadError
from acegen.record import Record
from acegen.runtime.cuda.backend import Backend, memory_told
from acegen.runtime.cuda.design import DesignProgram
from acegen.runtime.cuda.graph import DeviceGraph, batch_systems, upload
from acegen.runtime.design import ROWS, Design, checked_rows, new_design, parts_of, rows_in
from acegen.runtime.graph import GraphBatch
from acegen.runtime.loaded import LoadedModel
from acegen.runtime.room import room_for_rows

if TYPE_CHECKING:
    from ase import Atoms

    Structures = DeviceGraph | GraphBatch | Atoms | Sequence[Atoms]


class ForwardModel(LoadedModel):
    """What `CudaModel` does with its second source, <name>_design.cu."""

    backend: Backend
    _lock: threading.Lock

    @abstractmethod
    def _graph_of_atoms(self, atoms: Atoms | Sequence[Atoms], names: tuple[str, ...]) -> DeviceGraph | GraphBatch: ...

    @abstractmethod
    def _check_fits(self, graph: DeviceGraph | GraphBatch) -> None: ...

    @cached_property
    def design_program(self) -> DesignProgram:
        """The kernels of the forward mode, compiled at their first use.

        Raises:
            InputError: the bundle has none: it is no linear model.
            LoadError: it was written by another version.
            BuildError: no CUDA compiler, or it failed.
        """
        if self.manifest.design is None:
            raise InputError(
                f"design: the energy of {self.name!r} is not linear in its basis functions: "
                "its bundle has no kernel for their derivatives"
            )
        folder = Path(self._origin[0])
        if self.manifest.cuda_design is None:
            raise LoadError(f"{folder}: expected a bundle with {self.name}_design.cu, found none: compile it again")
        try:
            record = Record.from_json(dict(self.manifest.cuda_design))
            source = (folder / record.source).read_text(encoding="utf-8")
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise LoadError(f"{folder / 'manifest.json'}: {error}: compile the bundle again") from error
        return DesignProgram(record, source, self.backend, self.n_parameters)

    def design(self, graph: Structures, properties: str | Iterable[str] = ROWS, out: Design | None = None) -> Design:
        """Rows of the design matrix: energy, forces and virial as linear functions of the weights.

        Args:
            graph: a DeviceGraph, a GraphBatch, or one or several ASE structures.
            properties: any of energy, forces, virial.
            out: arrays to overwrite, C-contiguous float64 of the right shapes where the results belong; None: new ones.

        Returns:
            Rows in the order of `parameter_slices`, on the device for graphs of device arrays, else in NumPy arrays;
            reference energies and core repulsion are not in them.

        Raises:
            InputError: no linear model, unknown property or element, an array that does not fit, rows that no memory
                of the device or the host holds.
        """
        names = checked_rows(properties)
        program = self.design_program
        if not isinstance(graph, DeviceGraph | GraphBatch):
            graph = self._graph_of_atoms(graph, names)
        self._check_fits(graph)
        on_host = isinstance(graph, GraphBatch) or graph.host_results
        shapes = program.shapes(graph)
        with self._lock, self.backend.active(), memory_told(self.backend, "graph"):
            rows = new_design(shapes, names, out, room_for_rows if on_host else self._empty)
            for name in names:
                _check_array(name, getattr(rows, name), shapes[name])
            for start, stop in parts_of(_ends(graph), 1, 3 * program.atoms_at_a_time()):
                self._rows_of(_systems(graph, start, stop), _part(rows, _ends(graph), start, stop), names, on_host)
        return rows

    def design_blocks(
        self, graph: Structures, properties: str | Iterable[str] = ROWS, max_bytes: int = 64 << 20
    ) -> Iterator[tuple[range, Design]]:
        """(systems, their rows) one part of the batch after another, each at most `max_bytes` or one system.

        The memory of a part is used again for the next one.
        """
        names = checked_rows(properties)
        memory: dict[str, Any] = {}
        if not isinstance(graph, DeviceGraph | GraphBatch):
            graph = self._graph_of_atoms(graph, names)
        on_host = isinstance(graph, GraphBatch) or graph.host_results
        empty: Callable[[Any], Any] = np.empty if on_host else self._empty
        for start, stop in parts_of(_ends(graph), 8 * self.n_parameters, max_bytes):
            part = _systems(graph, start, stop)
            rows = rows_in(memory, self.design_program.shapes(part), names, empty)
            yield range(start, stop), self.design(part, names, rows)

    def _rows_of(self, graph: DeviceGraph | GraphBatch, out: Design, names: tuple[str, ...], on_host: bool) -> None:
        """Rows into `out`, by way of the device's memory when it is on the host."""
        sent = upload(self.backend, graph, len(self.species)) if isinstance(graph, GraphBatch) else graph
        if not on_host:
            self.design_program.rows(sent, out)
            return
        rows = new_design(self.design_program.shapes(sent), names, None, self._empty)
        self.design_program.rows(sent, rows)
        for name in names:
            getattr(out, name)[...] = self.backend.to_host(getattr(rows, name))

    def _gradients_of_basis(self, graph: DeviceGraph | GraphBatch) -> Any:
        """basis_gradients [n_edges, 3, n_basis] in the caller's order, where the graph is."""
        if isinstance(graph, GraphBatch):
            found = self.design_program.gradients(upload(self.backend, graph, len(self.species)))
            return graph.in_caller_order(self.backend.to_host(found))
        return graph.in_caller_order(self.design_program.gradients(graph))

    def _empty(self, shape: int | tuple[int, ...]) -> Any:
        return self.backend.allocate(shape, np.float64)


def _ends(graph: DeviceGraph | GraphBatch) -> Any:
    """Atoms before each structure [n_systems+1], on the host."""
    return graph.first_atom if isinstance(graph, GraphBatch) else graph.system_ends


def _systems(graph: DeviceGraph | GraphBatch, start: int, stop: int) -> DeviceGraph | GraphBatch:
    if (start, stop) == (0, graph.n_systems):
        return graph
    return batch_systems(graph, start, stop) if isinstance(graph, GraphBatch) else graph.systems(start, stop)


def _part(rows: Design, ends: Any, start: int, stop: int) -> Design:
    """The rows of structures start..stop-1."""
    atoms = slice(int(ends[start]), int(ends[stop]))
    return Design(
        energy=None if rows.energy is None else rows.energy[start:stop],
        forces=None if rows.forces is None else rows.forces[atoms],
        virial=None if rows.virial is None else rows.virial[start:stop],
    )


def _check_array(name: str, array: Any, shape: tuple[int, ...]) -> None:
    """Refuse memory that the kernels would write past, or scattered."""
    found = tuple(array.shape), array.dtype, bool(array.flags.c_contiguous)
    if found != (shape, np.dtype(np.float64), True):
        raise InputError(
            f"out: expected {name} as C-contiguous float64 {list(shape)}, found {array.dtype} {list(array.shape)}"
            f"{'' if found[2] else ', strided'}"
        )
