"""Stage 6, input: `GraphBatch`, structures and their neighbour lists in the layout of the kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray, Int32Array, Int64Array, float_array
from acegen.runtime.edges import translations

if TYPE_CHECKING:
    from ase import Atoms


class HasSpecies(Protocol):
    """What a graph asks of a model."""

    @property
    def species(self) -> tuple[str, ...]: ...

    @property
    def cutoff(self) -> float: ...


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """Any number of structures with full neighbour lists; lengths in angstrom, arrays read-only.

    Atoms are numbered through the batch. Edge e runs from its centre i (first_edge[i] <= e < first_edge[i+1]) to
    atom edge_to[e] shifted by shifts[edge_shift[e]]: r_ij = r_j + shift - r_i.
    Make one with `from_atoms` or `from_arrays`, which check; the constructor itself does not.
    """

    n_systems: int
    n_atoms: int
    n_edges: int
    first_atom: Int64Array  # [n_systems+1]
    species: Int32Array  # [n_atoms] index
    first_edge: Int64Array  # [n_atoms+1]
    edge_to: Int32Array  # [n_edges]
    edge_shift: Int32Array | None  # [n_edges] row of shifts; None: no periodic image in the batch
    shifts: FloatArray | None  # [n_shifts, 3]
    positions: FloatArray | None  # [n_atoms, 3]; None when edge_vectors are given
    edge_vectors: FloatArray | None  # [n_edges, 3]
    cells: FloatArray  # [n_systems, 3, 3] rows are cell vectors; zero when unknown
    pbc: npt.NDArray[np.bool_]  # [n_systems, 3]
    edge_order: Int64Array | None = None  # [n_edges] place in the caller's edges; None: the same order
    shift_multiples: Int32Array | None = None  # [n_shifts, 3] shifts as cell multiples, where known
    shift_system: Int32Array | None = None  # [n_shifts]
    cutoff: float | None = None  # the edges are complete up to here, when that is known
    symbols: tuple[str, ...] | None = None  # meaning of the species indices, when that is known
    skin: float = 0.0  # angstrom of `cutoff` that atoms may use up by moving; 0: moves are not checked
    listed: tuple[FloatArray, FloatArray] | None = field(default=None, repr=False)  # positions, cells at the search
    prepared: dict[str, Any] = field(default_factory=dict, repr=False)  # pointers for the kernel, made once

    def __post_init__(self) -> None:
        # The kernel's pointers are made once: an edit behind the graph's back would skip the checks.
        for value in self.__dict__.values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "prepared": {}}  # pointers mean nothing in another process

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    @staticmethod
    def from_atoms(
        atoms: Atoms | Sequence[Atoms],
        model: HasSpecies | float,
        skin: float = 0.0,
        species: Sequence[str] | None = None,
    ) -> GraphBatch:
        """Graph of ASE structures with all neighbours closer than the cutoff plus `skin`.

        Args:
            atoms: one structure or a sequence of them; any boundary conditions, any cell.
            model: gives cutoff and species; or a cutoff in angstrom, then `species` must be given.
            skin: angstrom, >= 0; room for atoms to move before the list must be rebuilt.
            species: symbols in the order of the species indices.

        Raises:
            InputError: unknown element, non-finite positions, impossible cell.
        """
        from acegen.runtime.from_atoms import graph_from_atoms

        return graph_from_atoms(atoms, model, skin, species)

    @staticmethod
    def from_arrays(
        *,
        species: npt.ArrayLike,
        edge_to: npt.ArrayLike,
        edge_from: npt.ArrayLike | None = None,
        first_edge: npt.ArrayLike | None = None,
        positions: npt.ArrayLike | None = None,
        edge_vectors: npt.ArrayLike | None = None,
        shifts: npt.ArrayLike | None = None,
        cells: npt.ArrayLike | None = None,
        pbc: npt.ArrayLike | None = None,
        first_atom: npt.ArrayLike | None = None,
        n_atoms: npt.ArrayLike | None = None,
        cutoff: float | None = None,
        symbols: Sequence[str] | None = None,
    ) -> GraphBatch:
        """Graph of arrays, in any order of the edges (each pair listed in both directions).

        Args:
            species: [n_atoms] species indices.
            edge_to: [n_edges] neighbour of each edge.
            edge_from: [n_edges] centre of each edge; or instead
            first_edge: [n_atoms+1] offsets, for edges sorted by centre.
            positions: [n_atoms, 3] angstrom; or instead
            edge_vectors: [n_edges, 3] r_ij in angstrom.
            shifts: [n_edges, 3] integers: multiples of the cell vectors (needs cells); floats: angstrom. With cells,
                floats that are all whole numbers and no lattice vectors are refused: they are mistaken multiples.
            cells: [n_systems, 3, 3] or [3, 3] angstrom, rows are cell vectors.
            pbc: [n_systems, 3], [3] or one bool; default: periodic where cells are given and not zero.
            first_atom: [n_systems+1] offsets; or instead
            n_atoms: [n_systems] atoms of each structure; default: one structure.
            cutoff: angstrom; up to where the edges are complete, lets the model refuse too short lists.
            symbols: element of each species index, lets the model refuse another order.

        Raises:
            InputError: names the argument, what was found and what was expected.
        """
        from acegen.runtime.from_arrays import ArraysIn, graph_from_arrays

        return graph_from_arrays(
            ArraysIn(
                species=species,
                edge_to=edge_to,
                edge_from=edge_from,
                first_edge=first_edge,
                positions=positions,
                edge_vectors=edge_vectors,
                shifts=shifts,
                cells=cells,
                pbc=pbc,
                first_atom=first_atom,
                n_atoms=n_atoms,
                cutoff=cutoff,
                symbols=symbols,
            )
        )

    def with_positions(self, positions: npt.ArrayLike, cells: npt.ArrayLike | None = None) -> GraphBatch:
        """The same edges at new positions [n_atoms, 3] (and cells [n_systems, 3, 3]); nothing is searched.

        A graph with a skin refuses moves by more than half of it, after which pairs within the cutoff may be missing
        from the edges. Without one (or made of arrays) the caller sees to it that none is missing.
        """
        moved = self.moved(positions, cells)
        if self.listed is not None:
            from acegen.runtime.skin import check_within_skin

            check_within_skin(moved)
        return moved

    def moved(self, positions: npt.ArrayLike, cells: npt.ArrayLike | None = None) -> GraphBatch:
        """As `with_positions`, the skin not checked."""
        if self.positions is None:
            raise InputError("positions: this graph was made of edge_vectors, make a new one")
        moved = float_array("positions", positions, (self.n_atoms, 3), "angstrom")
        if cells is None:
            return self.replaced(positions=moved)
        flat = np.asarray(cells)
        strained = float_array("cells", flat[None] if flat.ndim == 2 else flat, (self.n_systems, 3, 3), "angstrom")
        if self.shifts is None:
            return self.replaced(positions=moved, cells=strained)
        if self.shift_multiples is None or self.shift_system is None:
            raise InputError("cells: the shifts of this graph are Cartesian, make a new one for another cell")
        shifts = translations(self.shift_multiples, self.shift_system, strained)
        return self.replaced(positions=moved, cells=strained, shifts=shifts)

    def replaced(self, **arrays: FloatArray) -> GraphBatch:
        """A copy that owns other arrays of the same kind and shapes, C-contiguous, which are not checked.

        `dataclasses.replace` would take ten times as long.
        """
        copy = object.__new__(GraphBatch)
        copy.__dict__.update(self.__dict__)
        copy.__dict__.update(arrays)
        prepared = self.prepared.copy()  # pointers of unchanged arrays stay good
        prepared["stale"] = {*prepared.get("stale", ()), *arrays}
        copy.__dict__["prepared"] = prepared
        for value in arrays.values():
            value.flags.writeable = False
        return copy

    @property
    def largest_species(self) -> int:
        """Largest species index, -1 without atoms."""
        if "largest_species" not in self.prepared:
            self.prepared["largest_species"] = int(self.species.max()) if self.n_atoms else -1
        return int(self.prepared["largest_species"])

    @property
    def max_neighbours(self) -> int:
        """Largest number of edges of one atom."""
        if "max_neighbours" not in self.prepared:
            self.prepared["max_neighbours"] = int(np.diff(self.first_edge).max()) if self.n_atoms else 0
        return int(self.prepared["max_neighbours"])

    def in_caller_order(self, values: FloatArray) -> FloatArray:
        """Rows of `values` [n_edges, ...] in the order in which the caller gave the edges."""
        if self.edge_order is None:
            return values
        sorted_back = np.empty_like(values)
        sorted_back[self.edge_order] = values
        return sorted_back
