"""Stage 6, forward mode: rows of the design matrix and basis derivatives from the bundle's second kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import cffi
import numpy as np

from acegen.build.cache import cached_library
from acegen.errors import InputError, LoadError
from acegen.manifest import DESIGN, DESIGN_WORKSPACE, GRADIENTS, Argument, Manifest, prototype
from acegen.runtime.arrays import FloatArray
from acegen.runtime.graph import GraphBatch
from acegen.runtime.kernel import Scratch, pointer, shape_of

ROWS = ("energy", "forces", "virial")
_INPUTS = DESIGN[: len(DESIGN) - len(ROWS) - 3]  # what describes the graph; outputs, threads and workspace follow


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """Rows of the design matrix of a batch, float64; None where they were not asked for.

    The energy, forces and virial of weights w (parameter order of `model.parameter_slices`) are energy @ w,
    forces @ w and virial @ w, without reference energies and core repulsion.
    """

    energy: FloatArray | None  # [n_systems, n_parameters]
    forces: FloatArray | None  # [n_atoms, 3, n_parameters], 1/A
    virial: FloatArray | None  # [n_systems, 6, n_parameters], of W in the order xx yy zz yz xz xy


def parameter_slices(manifest: Manifest) -> tuple[slice, ...]:
    """Columns of the many-body rows of species 0, 1, ..., then of their pair rows."""
    sizes = [many for many, _ in manifest.n_basis_per_species] + [pair for _, pair in manifest.n_basis_per_species]
    ends = np.cumsum([0, *sizes]).tolist()
    return tuple(slice(start, stop) for start, stop in pairwise(ends))


class DesignKernel:
    """The loaded forward-mode library of one bundle."""

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        if manifest.design is None:
            raise InputError(
                f"design: the energy of {manifest.name!r} is not linear in its basis functions: "
                "its bundle has no kernel for their derivatives"
            )
        name = manifest.name
        headers = [folder / file for file, _ in manifest.files if file.endswith(".h")]
        library = cached_library([folder / manifest.design], headers)
        ffi = cffi.FFI()
        functions = (("int", "design", DESIGN), ("int", "gradients", GRADIENTS))
        ffi.cdef("\n".join(f"{prototype(kind, f'{name}_{verb}', table)};" for kind, verb, table in functions))
        ffi.cdef(f"{prototype('int64_t', f'{name}_design_workspace', DESIGN_WORKSPACE)};")
        try:
            self._library = ffi.dlopen(str(library))
            self._design = getattr(self._library, f"{name}_design")
            self._gradients = getattr(self._library, f"{name}_gradients")
            self._workspace = getattr(self._library, f"{name}_design_workspace")
        except (OSError, AttributeError) as error:
            raise LoadError(f"{library}: cannot load the forward-mode kernel of {name!r} ({error})") from error
        self.name = name
        self.n_parameters = sum(map(sum, manifest.n_basis_per_species))
        self.n_basis = manifest.n_basis

    def workspace_bytes(self, graph: GraphBatch, n_threads: int) -> int:
        """Bytes of scratch memory for `graph`."""
        return int(self._workspace(graph.n_atoms, graph.max_neighbours, n_threads))

    def rows(self, graph: GraphBatch, out: Design, n_threads: int, scratch: Scratch) -> None:
        """Overwrite the arrays of `out`."""
        self._call(self._design, "design", DESIGN, graph, out, n_threads, scratch)

    def gradients(
        self, graph: GraphBatch, basis: FloatArray | None, gradients: FloatArray, n_threads: int, scratch: Scratch
    ) -> None:
        """Write basis [n_atoms, n_basis] and gradients [n_edges, 3, n_basis], which are zero on entry."""
        out = {"basis": basis, "basis_gradients": gradients}
        self._call(self._gradients, "gradients", GRADIENTS, graph, out, n_threads, scratch)

    def _call(
        self,
        function: Any,
        verb: str,
        table: tuple[Argument, ...],
        graph: GraphBatch,
        out: Design | dict[str, FloatArray | None],
        n_threads: int,
        scratch: Scratch,
    ) -> None:
        sizes = {
            "n_systems": graph.n_systems,
            "n_atoms": graph.n_atoms,
            "n_edges": graph.n_edges,
            "n_shifts": 0 if graph.shifts is None else len(graph.shifts),
            "n_parameters": self.n_parameters,
            "n_basis": self.n_basis,
        }
        arguments = [*_inputs(graph, sizes)]
        for argument in table[len(arguments) : -3]:
            array = out[argument.name] if isinstance(out, dict) else getattr(out, argument.name)
            arguments.append(pointer(f"{self.name}_{verb}", argument, array, sizes))
        code = function(*arguments, n_threads, scratch.pointer, scratch.n_bytes)
        if code != 0:
            raise LoadError(f"{self.name}_{verb}: the kernel returned {code} (1: workspace too small, 2: species)")

    def shapes(self, graph: GraphBatch) -> dict[str, tuple[int, ...]]:
        """Shapes of the rows of `graph`."""
        sizes = {"n_systems": graph.n_systems, "n_atoms": graph.n_atoms, "n_parameters": self.n_parameters}
        return {argument.name: shape_of(argument, sizes) for argument in DESIGN if argument.name in ROWS}


def _inputs(graph: GraphBatch, sizes: dict[str, int]) -> tuple[Any, ...]:
    """The arguments that describe a graph, the same for both functions; checked once for the arrays it has."""
    arrays = [getattr(graph, argument.name) for argument in _INPUTS]
    known = graph.prepared.get("design_inputs")
    if known is not None and all(old is new for old, new in zip(known[0], arrays, strict=True)):
        return known[1]  # type: ignore[no-any-return]
    ready = tuple(
        pointer("graph", argument, array, sizes) if argument.shape else array
        for argument, array in zip(_INPUTS, arrays, strict=True)
    )
    graph.prepared["design_inputs"] = arrays, ready
    return ready


def checked_rows(properties: str | Iterable[str]) -> tuple[str, ...]:
    """Names of rows, each known and once."""
    if not isinstance(properties, Iterable):
        raise InputError(f"properties: expected some of {', '.join(ROWS)}, found {properties!r}")
    names = (properties,) if isinstance(properties, str) else tuple(properties)
    for name in names:
        if name not in ROWS:
            raise InputError(f"properties: expected some of {', '.join(ROWS)}, found {name!r}")
    return tuple(dict.fromkeys(names))


def check_outputs(graph: object, **arrays: object) -> None:
    """Refuse what is no graph, and arguments that are no arrays to be written to; the kernel checks their shapes."""
    if not isinstance(graph, GraphBatch):
        raise InputError(f"graph: expected a GraphBatch, found {type(graph).__name__}; make one with from_atoms")
    for name, array in arrays.items():
        if array is None:
            continue
        if not isinstance(array, np.ndarray):
            raise InputError(f"{name}: expected a float64 array to write to, found {type(array).__name__}")
        if not array.flags.writeable:
            raise InputError(f"{name}: expected an array to write to, found a read-only one")
    check_separate({name: array for name, array in arrays.items() if isinstance(array, np.ndarray)})


def check_separate(arrays: dict[str, np.ndarray]) -> None:
    """Refuse outputs that share memory: what is written to one would be lost in the other."""
    for (first, one), (second, other) in combinations(arrays.items(), 2):
        contiguous = one.flags.c_contiguous and other.flags.c_contiguous  # others are refused as such
        if contiguous and np.may_share_memory(one, other):
            raise InputError(f"{second}: expected memory of its own, found some of {first}'s")


def new_design(
    shapes: dict[str, tuple[int, ...]],
    names: tuple[str, ...],
    out: Design | None,
    empty: Callable[[tuple[int, ...]], Any] = np.empty,
) -> Design:
    """Arrays for the rows: those of `out` (its shapes are checked by the kernel), or new ones made by `empty`."""
    found: dict[str, FloatArray | None] = {}
    for name in ROWS:
        given = getattr(out, name) if out is not None else None
        if name in names and out is not None and given is None:
            raise InputError(f"out: expected an array {name} {list(shapes[name])}, found None")
        found[name] = (empty(shapes[name]) if given is None else given) if name in names else None
    return Design(**found)


def rows_in(
    memory: dict[str, Any],
    shapes: dict[str, tuple[int, ...]],
    names: tuple[str, ...],
    empty: Callable[[int], Any] = np.empty,
) -> Design:
    """Arrays for the rows in `memory`, which grows when it must."""
    arrays = {}
    for name in names:
        size = math.prod(shapes[name])
        if name not in memory or memory[name].size < size:
            memory[name] = empty(size)
        arrays[name] = memory[name][:size].reshape(shapes[name])
    return Design(**{name: arrays.get(name) for name in ROWS})


def parts_of(first_atom: Any, row_bytes: int, max_bytes: int) -> Iterator[tuple[int, int]]:
    """Ranges of systems whose rows (7 per system, 3 per atom) take at most `max_bytes`, at least one system each.

    Raises:
        InputError: `max_bytes` is no whole number above 0.
    """
    if isinstance(max_bytes, bool) or not isinstance(max_bytes, int) or max_bytes < 1:
        raise InputError(f"max_bytes: expected a whole number >= 1, found {max_bytes!r}")
    start, n_systems = 0, len(first_atom) - 1
    while start < n_systems:
        stop = start + 1
        while stop < n_systems:
            n_atoms = int(first_atom[stop + 1] - first_atom[start])
            if (3 * n_atoms + 7 * (stop + 1 - start)) * row_bytes > max_bytes:
                break
            stop += 1
        yield start, stop
        start = stop
