"""The compiled neighbour search (neighbours.c): a batch in one call, built into the cache on first use."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cffi
import numpy as np
import numpy.typing as npt

from acegen.build.cache import cached_library
from acegen.errors import BuildError
from acegen.runtime.arrays import FloatArray, Int32Array, Int64Array
from acegen.runtime.edges import Shifts, translations

_DECLARATIONS = """
int acegen_search(int64_t n_systems, const int64_t *first_atom, const double *positions, const double *boxes,
    const int32_t *periodic, double cutoff, int64_t *first_edge, int64_t edge_capacity, int32_t *edge_to,
    int32_t *edge_shift, int64_t shift_capacity, int32_t *multiples, int32_t *systems, int64_t *counts);
double acegen_farthest(int64_t n_atoms, const double *now, const double *then);
"""
_GOOD, _NO_MEMORY = 0, 1  # of acegen_search


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Edges of a batch in kernel order."""

    first_edge: Int64Array  # [n_atoms+1]
    edge_to: Int32Array  # [n_edges] numbered through the batch
    shifts: Shifts | None  # None: no periodic image in the batch


class Search:
    """The loaded library."""

    def __init__(self, library: Path) -> None:
        self._ffi = cffi.FFI()
        self._ffi.cdef(_DECLARATIONS)
        try:
            self._library: Any = self._ffi.dlopen(str(library))
        except OSError as error:
            raise BuildError(f"{library}: cannot load the neighbour search ({error})") from error
        self._farthest = self._library.acegen_farthest
        self._doubles = self._ffi.typeof("double[]")

    def farthest(self, now: FloatArray, then: FloatArray) -> float:
        """Largest |u - mean u| of the displacements u = now - then, both [n_atoms, 3] and C-contiguous."""
        view = self._ffi.from_buffer
        return float(self._farthest(len(now), view(self._doubles, now), view(self._doubles, then)))

    def edges(
        self,
        first_atom: Int64Array,
        positions: FloatArray,
        cells: FloatArray,
        boxes: FloatArray,
        pbc: npt.NDArray[np.bool_],
        cutoff: float,
    ) -> Found | None:
        """All ordered pairs closer than `cutoff`, or None for atoms too many boxes apart to be told here.

        Args:
            first_atom: [n_systems+1].
            positions: [n_atoms, 3] angstrom, finite.
            cells: [n_systems, 3, 3] angstrom, of which the translations are multiples.
            boxes: [n_systems, 3, 3], `closed_box` of the cells.
            pbc: [n_systems, 3].
            cutoff: angstrom.
        """
        n_systems, n_atoms = len(cells), len(positions)
        first_edge, counts = np.empty(n_atoms + 1, np.int64), np.zeros(3, np.int64)
        periodic = pbc.astype(np.int32)
        n_edges, n_shifts = _guess(first_atom, boxes, pbc, cutoff), 128 * n_systems + 512
        while True:
            to, rows = np.empty(n_edges, np.int32), np.empty(n_edges, np.int32)
            multiples, systems = np.empty((n_shifts, 3), np.int32), np.empty(n_shifts, np.int32)
            code = self._library.acegen_search(
                n_systems,
                self._view("int64_t[]", first_atom),
                self._view("double[]", positions),
                self._view("double[]", boxes),
                self._view("int32_t[]", periodic),
                cutoff,
                self._view("int64_t[]", first_edge),
                n_edges,
                self._view("int32_t[]", to),
                self._view("int32_t[]", rows),
                n_shifts,
                self._view("int32_t[]", multiples),
                self._view("int32_t[]", systems),
                self._view("int64_t[]", counts),
            )
            if code == _NO_MEMORY:
                raise MemoryError("neighbour search: no memory for its cells")
            if code != _GOOD:
                return None
            if counts[0] <= n_edges and counts[1] <= n_shifts:
                break
            n_edges, n_shifts = int(counts[0]), int(counts[1])
        to, rows = _trimmed(to, int(counts[0])), _trimmed(rows, int(counts[0]))
        if not counts[2]:
            return Found(first_edge, to, None)
        multiples, systems = multiples[: counts[1]].copy(), systems[: counts[1]].copy()
        return Found(first_edge, to, Shifts(rows, translations(multiples, systems, cells), multiples, systems))

    def _view(self, ctype: str, array: npt.NDArray[Any]) -> Any:
        return self._ffi.from_buffer(ctype, array)


@functools.cache
def compiled_search() -> Search | None:
    """The search, compiled when the cache does not hold it; None without a working C compiler."""
    folder = Path(__file__).parent
    try:
        return Search(cached_library([folder / "neighbours.c"], [folder / "grid.h"]))
    except BuildError:
        return None


def _guess(first_atom: Int64Array, boxes: FloatArray, pbc: npt.NDArray[np.bool_], cutoff: float) -> int:
    """Edges to make room for: those of a uniform density with a margin, where there is a density."""
    counts = np.diff(first_atom).astype(np.float64)
    volumes = np.abs(np.linalg.det(boxes)) if len(boxes) else np.zeros(0)
    uniform = 1.2 * (4.0 / 3.0 * math.pi) * cutoff**3 * counts / np.where(pbc.all(axis=1), volumes, np.inf)
    per_atom = np.where(pbc.all(axis=1), np.minimum(uniform + 8.0, 1000.0), np.minimum(counts, 100.0))
    return int((counts * per_atom).sum()) + 64


def _trimmed(array: Int32Array, n: int) -> Int32Array:
    """The first n entries; a copy when much memory would be held for nothing."""
    return array[:n] if n >= 0.75 * len(array) else array[:n].copy()
