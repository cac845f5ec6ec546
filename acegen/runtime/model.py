"""Stage 6, run: `Model`, a loaded kernel that evaluates batches of structures."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from acegen.manifest import Manifest
from acegen.runtime.arrays import FloatArray, check_range
from acegen.runtime.derived import run_derived
from acegen.runtime.design import (
    ROWS,
    Design,
    DesignKernel,
    check_outputs,
    checked_rows,
    new_design,
    parts_of,
    rows_in,
)
from acegen.runtime.evaluation import DEFAULT_PROPERTIES, DERIVED, FORWARD, Evaluation, checked_properties
from acegen.runtime.finite import check_apart, check_finite
from acegen.runtime.graph import GraphBatch
from acegen.runtime.kernel import Kernel, Scratch
from acegen.runtime.loaded import LoadedModel
from acegen.runtime.part import systems_of
from acegen.runtime.room import room_for, room_for_rows
from acegen.runtime.site import check_site_finite, checked_site
from acegen.runtime.weights import FoldMap

if TYPE_CHECKING:
    from ase import Atoms

_DERIVED = frozenset(DERIVED)
_ATOMS_PER_THREAD = 32  # fewer, and starting a thread costs more than its work


class Model(LoadedModel):
    """A kernel with its weights; made by `acegen.load`. Safe to call from several threads at once."""

    device = "cpu"

    def __init__(
        self,
        manifest: Manifest,
        kernel: Kernel,
        precision: str,
        threads: int,
        weights: tuple[FloatArray, ...] | None = None,
        fold: FoldMap | None = None,
        origin: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(manifest, precision, weights, fold, origin)
        self.threads = threads
        self.kernel = kernel
        self._coefficients_pointer = kernel.coefficients_pointer(None)
        self._scratch = threading.local()
        self._threaded_in: int | None = None  # process that has started OpenMP threads

    def _use_coefficients(self, coefficients: FloatArray) -> None:
        self._coefficients_pointer = self.kernel.coefficients_pointer(coefficients)  # keeps the array alive

    def evaluate(
        self, graph: GraphBatch | Atoms | Sequence[Atoms], properties: str | Iterable[str] = DEFAULT_PROPERTIES
    ) -> Evaluation:
        """Evaluate a batch of structures.

        Args:
            graph: a GraphBatch, or one or several ASE structures (their neighbours are searched each time).
            properties: any of energy, energies, forces, virial, virials, basis, edge_gradients, basis_gradients; gamma
                of a model with an active set; energy_std and forces_std of one with a committee.

        Returns:
            float64 arrays, see `Evaluation`.

        Raises:
            InputError: unknown property or element; the graph does not fit the model; two atoms are at one place;
                gamma without an active set, deviations without a committee.
        """
        names = checked_properties(properties, DERIVED)
        batch = graph if isinstance(graph, GraphBatch) else GraphBatch.from_atoms(graph, self)
        results = self.run(batch, names) if _DERIVED.isdisjoint(names) else run_derived(self, batch, names)
        if "edge_gradients" in results:
            results["edge_gradients"] = batch.in_caller_order(results["edge_gradients"])
        check_finite(batch, results)
        return Evaluation(results)

    def run(self, batch: GraphBatch, names: tuple[str, ...]) -> dict[str, FloatArray]:
        """Outputs of the kernels for a graph, numbers not checked."""
        n_threads, scratch = self._prepare(batch)
        plain = tuple(name for name in names if name != FORWARD)
        if plain == names:
            return self.kernel.evaluate(batch, names, self._coefficients_pointer, n_threads, scratch)
        gradients = room_for(FORWARD, (batch.n_edges, 3, self.n_basis), "evaluate fewer structures at a time", np.zeros)
        results = self.kernel.evaluate(batch, plain, self._coefficients_pointer, n_threads, scratch) if plain else {}
        self.write_gradients(batch, None, gradients)
        results[FORWARD] = batch.in_caller_order(gradients)
        return results

    def run_members(self, batch: GraphBatch, names: tuple[str, ...], coefficients: FloatArray) -> dict[str, FloatArray]:
        """Outputs energy, forces or virial for each row of `coefficients` [n_members, n_coefficients]."""
        self._check_fits(batch)
        n_threads = self._threads_for(batch.n_atoms)
        n_bytes = self.kernel.committee_bytes(batch.n_atoms, batch.max_neighbours, len(coefficients), n_threads)
        return self.kernel.committee(batch, names, coefficients, n_threads, self._workspace(n_bytes))

    @cached_property
    def design_kernel(self) -> DesignKernel:
        """The forward-mode kernel, compiled at its first use.

        Raises:
            InputError: the bundle has none: it is no linear model.
            BuildError: no compiler, or it failed.
        """
        return DesignKernel(self.manifest, Path(self._origin[0]))

    def design(
        self,
        graph: GraphBatch | Atoms | Sequence[Atoms],
        properties: str | Iterable[str] = ROWS,
        out: Design | None = None,
    ) -> Design:
        """Rows of the design matrix: energy, forces and virial as linear functions of the weights.

        Args:
            graph: a GraphBatch, or one or several ASE structures.
            properties: any of energy, forces, virial.
            out: arrays to overwrite, C-contiguous float64 of the right shapes; None: new ones.

        Returns:
            Rows in the order of `parameter_slices`; reference energies and core repulsion are not in them.

        Raises:
            InputError: no linear model, unknown property or element, an array that does not fit, two atoms at one
                place, rows that no memory holds.
        """
        names = checked_rows(properties)
        batch = graph if isinstance(graph, GraphBatch) else GraphBatch.from_atoms(graph, self)
        kernel = self.design_kernel
        rows = new_design(kernel.shapes(batch), names, out, room_for_rows)
        check_outputs(batch, energy=rows.energy, forces=rows.forces, virial=rows.virial)
        n_threads, scratch = self._prepare_design(batch)
        kernel.rows(batch, rows, n_threads, scratch)
        small = (
            rows.energy if rows.energy is not None else rows.virial
        )  # B is not finite where two atoms are at one place
        if small is not None:
            check_finite(batch, {"energy": small})
        elif rows.forces is not None:
            check_apart(batch, "forces")
        return rows

    def design_blocks(
        self,
        graph: GraphBatch | Atoms | Sequence[Atoms],
        properties: str | Iterable[str] = ROWS,
        max_bytes: int = 64 << 20,
    ) -> Iterator[tuple[range, Design]]:
        """(systems, their rows) one part of the batch after another, each at most `max_bytes` or one system.

        The memory of a part is used again for the next one.
        """
        names = checked_rows(properties)
        memory: dict[str, FloatArray] = {}
        batch = graph if isinstance(graph, GraphBatch) else GraphBatch.from_atoms(graph, self)
        for start, stop in parts_of(batch.first_atom, 8 * self.n_parameters, max_bytes):
            part = systems_of(batch, start, stop)
            rows = rows_in(memory, self.design_kernel.shapes(part), names)
            yield range(start, stop), self.design(part, names, rows)

    def write_gradients(self, graph: GraphBatch, basis: FloatArray | None, gradients: FloatArray) -> None:
        """Basis [n_atoms, n_basis] and gradients [n_edges, 3, n_basis] (1/A, kernel order of the edges) into memory.

        Args:
            graph: a GraphBatch.
            basis: C-contiguous float64 to overwrite; None: not wanted.
            gradients: likewise, zeros on entry: rows of edges beyond the cutoff of their pair of species and columns
                that a species does not have are left as they are, or set to zero.

        Raises:
            InputError: no linear model, no GraphBatch, arrays of another kind or shape or that cannot be written to.
        """
        kernel = self.design_kernel
        check_outputs(graph, basis=basis, gradients=gradients)
        n_threads, scratch = self._prepare_design(graph)
        kernel.gradients(graph, basis, gradients, n_threads, scratch)

    def site(self, species: int, neighbour_species: npt.ArrayLike, vectors: npt.ArrayLike) -> tuple[float, FloatArray]:
        """Energy (eV) of one centre and its gradient [n_neighbours, 3] (eV/A): the entry for other hosts.

        Args:
            species: species index of the centre.
            neighbour_species: [n_neighbours] species indices.
            vectors: [n_neighbours, 3] r_j - r_i in angstrom.
        """
        centre, around, bonds = checked_site(self.species, species, neighbour_species, vectors)
        scratch = self._workspace(self.kernel.workspace_bytes(1, len(around), 1))
        energy, gradient = self.kernel.site(centre, around, bonds, self._coefficients_pointer, scratch)
        check_site_finite(energy, gradient, bonds)
        return energy, gradient

    def _prepare(self, graph: GraphBatch) -> tuple[int, Scratch]:
        """Threads and workspace for `graph`; what was found for one thread is kept in the graph."""
        threads, plan = self.threads, graph.prepared.get("plan")
        if plan is not None and plan[0] is self and plan[1] == threads:
            return 1, self._workspace(plan[2])
        self._check_fits(graph)
        n_threads = self._threads_for(graph.n_atoms)
        n_bytes = self.kernel.workspace_bytes(graph.n_atoms, graph.max_neighbours, n_threads)
        if n_threads == 1:
            graph.prepared["plan"] = self, threads, n_bytes
        return n_threads, self._workspace(n_bytes)

    def _prepare_design(self, graph: GraphBatch) -> tuple[int, Scratch]:
        """Threads and workspace of the forward-mode kernel for `graph`; kept as in `_prepare`."""
        threads, plan = self.threads, graph.prepared.get("design_plan")
        if plan is not None and plan[0] is self and plan[1] == threads:
            return 1, self._workspace(plan[2])
        self._check_fits(graph)
        n_threads = self._threads_for(graph.n_atoms)
        n_bytes = self.design_kernel.workspace_bytes(graph, n_threads)
        if n_threads == 1:
            graph.prepared["design_plan"] = self, threads, n_bytes
        return n_threads, self._workspace(n_bytes)

    def _check_fits(self, graph: GraphBatch) -> None:
        """Refuse graphs made for another model."""
        self._check_made_for(graph.symbols, graph.cutoff)
        if graph.largest_species >= len(self.species):
            check_range("species", graph.species, len(self.species), f"species of model {self.name!r}")

    def _threads_for(self, n_atoms: int) -> int:
        """Threads worth starting; one in a forked child, where OpenMP would wait for threads that are not there."""
        wanted = max(1, min(self.threads, n_atoms // _ATOMS_PER_THREAD))
        if wanted > 1:
            process = os.getpid()
            if self._threaded_in is None:
                self._threaded_in = process
            elif self._threaded_in != process:
                return 1
        return wanted

    def _workspace(self, n_bytes: int) -> Scratch:
        """Scratch memory of the calling thread, grown when needed: threads that share a model share none of it."""
        try:
            held: Scratch = self._scratch.held
        except AttributeError:
            held = self._scratch.held = Scratch()
        if n_bytes > held.n_bytes:
            held.reserve(n_bytes)
        return held

    def __repr__(self) -> str:
        return (
            f"Model({self.name!r}, species={self.species}, cutoff={self.cutoff:g}, n_basis={self.n_basis}, "
            f"precision={self.precision!r}, threads={self.threads})"
        )
