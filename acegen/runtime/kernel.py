"""Stage 6, load: the C functions of one kernel, declared, checked and called from the argument table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import cffi
import numpy as np
import numpy.typing as npt

from acegen.errors import InputError, LoadError
from acegen.manifest import COMMITTEE, COMMITTEE_WORKSPACE, EVALUATE, SITE, WORKSPACE, Argument, prototype
from acegen.runtime.arrays import FloatArray
from acegen.runtime.graph import GraphBatch
from acegen.runtime.room import room_for

_FFI = cffi.FFI()  # pointers of plain types are the same for every FFI object
_DOUBLES = _FFI.typeof("double[]")
_DTYPES = {"double": np.dtype(np.float64), "int32_t": np.dtype(np.int32), "int64_t": np.dtype(np.int64)}
_BUFFERS = {"double": _DOUBLES, "int32_t": _FFI.typeof("int32_t[]"), "int64_t": _FFI.typeof("int64_t[]")}
_PLACE = {argument.name: place for place, argument in enumerate(EVALUATE)}
_IN_GRAPH = {item.name for item in fields(GraphBatch)}
_GRAPH_ARRAYS = tuple(argument for argument in EVALUATE if argument.shape and argument.name in _IN_GRAPH)
OUTPUTS = {argument.name: argument for argument in EVALUATE if argument.intent == "out"}


def declarations(name: str) -> str:
    """Text for cffi of the functions of kernel `name`; those of committees are there in linear models only."""
    functions = (
        ("int", "evaluate", EVALUATE),
        ("int64_t", "workspace", WORKSPACE),
        ("int", "site", SITE),
        ("int", "committee", COMMITTEE),
        ("int64_t", "committee_workspace", COMMITTEE_WORKSPACE),
    )
    return "\n".join(prototype(returns, f"{name}_{verb}", table) + ";" for returns, verb, table in functions)


def shape_of(argument: Argument, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """Numbers for the symbolic shape of an argument, e.g. ("n_systems+1",) or ("n_edges", "3")."""
    return tuple([(sizes[name] if name else 0) + more for name, more in _lengths(argument.shape)])


@lru_cache
def _lengths(shape: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """A symbolic shape as (name, what is added to it), the name empty for numbers."""
    lengths = []
    for text in shape:
        name, _, more = text.partition("+")
        lengths.append(("", int(name)) if name.isdigit() else (name, int(more or 0)))
    return tuple(lengths)


def pointer(function: str, argument: Argument, array: npt.NDArray[np.generic] | None, sizes: Mapping[str, int]) -> Any:
    """C pointer to the elements of `array` after checking it against the table; NULL for None where allowed.

    Raises:
        InputError: names function and argument, what was found and what is needed.
    """
    if array is None:
        if argument.optional:
            return _FFI.NULL
        raise InputError(f"{function}: argument '{argument.name}' is missing")
    dtype, shape = _DTYPES[argument.ctype], shape_of(argument, sizes)
    if array.dtype != dtype or array.shape != shape:
        raise InputError(
            f"{function}: argument '{argument.name}' is {array.dtype} {list(array.shape)}, "
            f"the kernel needs {dtype} {list(shape)} = [{', '.join(argument.shape)}]"
        )
    if not array.flags.c_contiguous:
        raise InputError(f"{function}: argument '{argument.name}' is strided, the kernel needs a C-contiguous array")
    if not array.flags.aligned:
        raise InputError(
            f"{function}: argument '{argument.name}' begins at an address that is no multiple of "
            f"{array.itemsize} bytes, the kernel needs one: copy it"
        )
    return _FFI.from_buffer(_BUFFERS[argument.ctype], array, require_writable=argument.intent != "in")


class Kernel:
    """The loaded shared library of one bundle; calls release the GIL (cffi, ABI mode)."""

    def __init__(self, name: str, library: Path, n_basis: int, n_coefficients: int) -> None:
        ffi = cffi.FFI()
        ffi.cdef(declarations(name))
        try:
            self._library = ffi.dlopen(str(library))
            self._evaluate = getattr(self._library, f"{name}_evaluate")
            self._workspace = getattr(self._library, f"{name}_workspace")
            self._site = getattr(self._library, f"{name}_site")
        except (OSError, AttributeError) as error:
            raise LoadError(f"{library}: cannot load kernel {name!r} ({error})") from error
        self.name = name
        self._sizes = {"n_basis": n_basis, "n_coefficients": n_coefficients}

    def workspace_bytes(self, n_atoms: int, max_neighbours: int, n_threads: int) -> int:
        """Bytes of scratch memory `evaluate` needs."""
        return int(self._workspace(n_atoms, max_neighbours, n_threads))

    def coefficients_pointer(self, coefficients: FloatArray | None) -> Any:
        """Checked pointer of a coefficient array [n_coefficients], NULL for the built-in ones."""
        return pointer(self.name, EVALUATE[_PLACE["coefficients"]], coefficients, self._sizes)

    def evaluate(
        self,
        graph: GraphBatch,
        properties: tuple[str, ...],
        coefficients: Any,
        n_threads: int,
        scratch: Scratch,
    ) -> dict[str, FloatArray]:
        """Run the kernel on a graph; new arrays, one per property.

        Args:
            coefficients: from `coefficients_pointer`.
            scratch: workspace of the calling thread.
        """
        results, arguments = self.arguments(graph, properties, coefficients, n_threads, scratch)
        self._check(self._evaluate(*arguments), "evaluate")
        return results

    def committee_bytes(self, n_atoms: int, max_neighbours: int, n_members: int, n_threads: int) -> int:
        """Bytes of scratch memory `committee` needs."""
        return int(self._of_committee("committee_workspace")(n_atoms, max_neighbours, n_members, n_threads))

    def committee(
        self,
        graph: GraphBatch,
        properties: tuple[str, ...],
        coefficients: FloatArray,
        n_threads: int,
        scratch: Scratch,
    ) -> dict[str, FloatArray]:
        """Run the kernel on a graph for every member at once; new arrays with the members along the first axis.

        Args:
            properties: any of energy, forces, virial.
            coefficients: [n_members, n_coefficients].
            scratch: workspace of the calling thread.
        """
        inputs = self._inputs(graph)
        shapes = graph.prepared["shapes"]
        results = {name: np.empty((len(coefficients), *shapes[name])) for name in properties}
        values: dict[str, Any] = {
            "n_members": len(coefficients),
            "coefficients": _FFI.from_buffer(_DOUBLES, np.ascontiguousarray(coefficients)),
            "n_threads": n_threads,
            "workspace": scratch.pointer,
            "workspace_bytes": scratch.n_bytes,
            **{name: _FFI.from_buffer(_DOUBLES, array) for name, array in results.items()},
        }
        arguments = [
            inputs[_PLACE[a.name]] if a.name in _IN_GRAPH else values.get(a.name, _FFI.NULL) for a in COMMITTEE
        ]
        self._check(self._of_committee("committee")(*arguments), "committee")
        return results

    def _of_committee(self, verb: str) -> Any:
        """A function of committees.

        Raises:
            LoadError: this kernel was generated without.
        """
        try:
            return getattr(self._library, f"{self.name}_{verb}")
        except AttributeError as error:
            raise LoadError(f"{self.name}_{verb}: not in the kernel: compile the bundle again") from error

    def arguments(
        self,
        graph: GraphBatch,
        properties: tuple[str, ...],
        coefficients: Any,
        n_threads: int,
        scratch: Scratch,
    ) -> tuple[dict[str, FloatArray], list[Any]]:
        """New arrays for the results, and the arguments of the C function that fills them."""
        arguments = self._inputs(graph).copy()
        shapes = graph.prepared["shapes"]
        results = {}
        for name in properties:
            shape = shapes[name] if name != "basis" else (graph.n_atoms, self._sizes["n_basis"])
            # The kernel writes all of an output but the basis columns another species owns.
            results[name] = array = _room_for_basis(shape) if name == "basis" else np.empty(shape)
            arguments[_PLACE[name]] = _FFI.from_buffer(_DOUBLES, array)
        arguments[_PLACE["coefficients"]] = coefficients
        arguments[_PLACE["n_threads"]] = n_threads
        arguments[_PLACE["workspace"]], arguments[_PLACE["workspace_bytes"]] = scratch.pointer, scratch.n_bytes
        return results, arguments

    def call(self, arguments: list[Any]) -> None:
        """The C call alone, on `arguments` that are kept alive by the caller."""
        self._check(self._evaluate(*arguments), "evaluate")

    def site(
        self,
        species: int,
        neighbour_species: npt.NDArray[np.int32],
        vectors: FloatArray,
        coefficients: Any,
        scratch: Scratch,
    ) -> tuple[float, FloatArray]:
        """Energy (eV) of one centre and its gradient [n_neighbours, 3] (eV/A); `coefficients` as for `evaluate`."""
        energy, gradient = np.empty(1), np.empty_like(vectors)
        values: dict[str, Any] = {
            "neighbour_species": neighbour_species,
            "vectors": vectors,
            "energy": energy,
            "gradient": gradient,
        }
        sizes = {"n_neighbours": len(neighbour_species)}
        ready = {
            "species": species,
            "coefficients": coefficients,
            "workspace": scratch.pointer,
            "workspace_bytes": scratch.n_bytes,
            **sizes,
        }
        arguments = [
            ready[a.name] if a.name in ready else pointer(f"{self.name}_site", a, values[a.name], sizes) for a in SITE
        ]
        self._check(self._site(*arguments), "site")
        return float(energy[0]), gradient

    def _inputs(self, graph: GraphBatch) -> list[Any]:
        """Argument list with the arrays of a graph in place; checked once per graph, good for every kernel."""
        prepared = graph.prepared
        stale = prepared.get("stale")  # read before the arguments, written after them: threads may share a graph
        known: list[Any] | None = prepared.get("arguments")
        if known is not None:
            if not stale:
                return known
            moved = known.copy()  # a moved graph shares most arrays with the one it comes from, and has all its shapes
            for name in stale:
                if name in _PLACE:
                    moved[_PLACE[name]] = _FFI.from_buffer(_DOUBLES, getattr(graph, name))
            prepared["arguments"] = moved
            prepared["stale"] = ()
            return moved
        sizes = {
            "n_systems": graph.n_systems,
            "n_atoms": graph.n_atoms,
            "n_edges": graph.n_edges,
            "n_shifts": 0 if graph.shifts is None else len(graph.shifts),
        }
        frame = [_FFI.NULL] * len(EVALUATE)
        frame[_PLACE["n_systems"]], frame[_PLACE["n_atoms"]] = graph.n_systems, graph.n_atoms
        for argument in _GRAPH_ARRAYS:
            frame[_PLACE[argument.name]] = pointer("graph", argument, getattr(graph, argument.name), sizes)
        prepared["shapes"] = {name: shape_of(argument, sizes) for name, argument in OUTPUTS.items() if name != "basis"}
        prepared["arguments"], prepared["stale"] = frame, ()
        return frame

    def _check(self, code: int, function: str) -> None:
        if code == 2:
            raise InputError(f"species: an index is out of range for kernel {self.name!r}")
        if code != 0:
            raise LoadError(f"{self.name}_{function}: the kernel returned {code} (1: workspace too small)")


def _room_for_basis(shape: tuple[int, ...]) -> FloatArray:
    return room_for("basis", shape, "evaluate fewer structures at a time", np.zeros)


class Scratch:
    """Workspace of one thread: memory aligned to 64 bytes that grows when a call needs more."""

    __slots__ = ("_memory", "n_bytes", "pointer")

    def __init__(self) -> None:
        self.n_bytes = -1
        self.pointer = _FFI.NULL

    def reserve(self, n_bytes: int) -> None:
        """Make room for `n_bytes`."""
        if n_bytes <= self.n_bytes:
            return
        self._memory = _FFI.new("char[]", n_bytes + 64)  # the pointer below does not keep it alive
        ahead = -int(_FFI.cast("uintptr_t", self._memory)) % 64
        self.pointer, self.n_bytes = _FFI.cast("void *", self._memory + ahead), n_bytes
