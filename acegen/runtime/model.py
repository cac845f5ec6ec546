"""Stage 6, run: `Model`, a loaded kernel that evaluates batches of structures."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from acegen.errors import InputError
from acegen.manifest import Manifest
from acegen.runtime.arrays import FloatArray, check_range, float_array, int32_array
from acegen.runtime.evaluation import DEFAULT_PROPERTIES, Evaluation, checked_properties
from acegen.runtime.finite import check_finite
from acegen.runtime.graph import GraphBatch
from acegen.runtime.kernel import Kernel, Scratch
from acegen.runtime.weights import FoldMap, checked_weights

if TYPE_CHECKING:
    from ase import Atoms

    from acegen.runtime.calculator import AceCalculator

_ATOMS_PER_THREAD = 32  # fewer, and starting a thread costs more than its work


class Model:
    """A kernel with its weights; made by `acegen.load`. Safe to call from several threads at once."""

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
        self.manifest = manifest
        self.precision = precision
        self.threads = threads
        self.kernel = kernel
        self._weights = weights
        self._fold = fold
        self._origin = origin  # arguments of load_bundle, for pickle
        self._coefficients: FloatArray | None = None  # None: the ones compiled in
        self._coefficients_pointer = kernel.coefficients_pointer(None)
        self._scratch = threading.local()
        self._threaded_in: int | None = None  # process that has started OpenMP threads

    @property
    def name(self) -> str:
        """Name of the potential, prefix of its C functions."""
        return self.manifest.name

    @property
    def species(self) -> tuple[str, ...]:
        """Symbols in the order of the species indices."""
        return self.manifest.species

    @property
    def cutoff(self) -> float:
        """Largest cutoff in angstrom."""
        return self.manifest.cutoff

    @property
    def cutoffs(self) -> FloatArray:
        """Cutoffs [centre species, neighbour species] in angstrom."""
        return np.array(self.manifest.cutoffs, np.float64)

    @property
    def n_basis(self) -> int:
        """Columns of the basis output."""
        return self.manifest.n_basis

    @property
    def weights(self) -> tuple[FloatArray, ...]:
        """Weights [n_functions, n_densities] of each species (copies); assign to replace them all.

        Raises:
            InputError: the bundle keeps no weights; or, on assignment, its kernel has them compiled in.
        """
        if self._weights is None:
            raise InputError(f"weights: bundle {self.name!r} keeps none beside the kernel (no weights.npz)")
        return tuple(array.copy() for array in self._weights)

    @weights.setter
    def weights(self, new: Sequence[npt.ArrayLike]) -> None:
        if not self.manifest.replaceable or self._weights is None or self._fold is None:
            raise InputError(
                f"weights: those of {self.name!r} are compiled in; set `weights_replaceable: true` in the "
                "specification and compile again to replace them at run time"
            )
        checked = checked_weights(new, self._weights)
        coefficients = self._fold.apply(np.concatenate([array.reshape(-1) for array in checked]))
        coefficients.flags.writeable = False
        self._coefficients_pointer = self.kernel.coefficients_pointer(coefficients)  # keeps the array alive
        self._coefficients, self._weights = coefficients, checked

    @property
    def coefficients(self) -> FloatArray | None:
        """Kernel coefficients [n_coefficients] of replaced weights, a new array each time; None: the built-in ones."""
        return self._coefficients

    def evaluate(
        self, graph: GraphBatch | Atoms | Sequence[Atoms], properties: str | Iterable[str] = DEFAULT_PROPERTIES
    ) -> Evaluation:
        """Evaluate a batch of structures.

        Args:
            graph: a GraphBatch, or one or several ASE structures (their neighbours are searched each time).
            properties: any of energy, energies, forces, virial, virials, basis, edge_gradients.

        Returns:
            float64 arrays, see `Evaluation`.

        Raises:
            InputError: unknown property or element; the graph does not fit the model; two atoms are at one place.
        """
        names = checked_properties(properties)
        batch = graph if isinstance(graph, GraphBatch) else GraphBatch.from_atoms(graph, self)
        n_threads, scratch = self._prepare(batch)
        results = self.kernel.evaluate(batch, names, self._coefficients_pointer, n_threads, scratch)
        if "edge_gradients" in results:
            results["edge_gradients"] = batch.in_caller_order(results["edge_gradients"])
        check_finite(batch, results)
        return Evaluation(results)

    def site(self, species: int, neighbour_species: npt.ArrayLike, vectors: npt.ArrayLike) -> tuple[float, FloatArray]:
        """Energy (eV) of one centre and its gradient [n_neighbours, 3] (eV/A): the entry for other hosts.

        Args:
            species: species index of the centre.
            neighbour_species: [n_neighbours] species indices.
            vectors: [n_neighbours, 3] r_j - r_i in angstrom.
        """
        if isinstance(species, bool) or not isinstance(species, int | np.integer):
            raise InputError(f"species: expected an index into {self.species}, found {species!r}")
        around = int32_array("neighbour_species", neighbour_species, (None,))
        check_range("neighbour_species", around, len(self.species), "species of the model")
        check_range("species", np.array([int(species)], object), len(self.species), "species of the model")
        bonds = float_array("vectors", vectors, (len(around), 3), "angstrom")
        scratch = self._workspace(self.kernel.workspace_bytes(1, len(around), 1))
        energy, gradient = self.kernel.site(int(species), around, bonds, self._coefficients_pointer, scratch)
        if not (math.isfinite(energy) and np.isfinite(gradient).all()):
            lengths = np.linalg.norm(bonds, axis=1)
            n = int(lengths.argmin()) if len(lengths) else None
            near = "" if n is None else f"; neighbour {n} is {lengths[n]:g} angstrom away"
            raise InputError(f"vectors: the energy or its gradient is not finite{near}")
        return energy, gradient

    def calculator(self, skin: float = 0.5) -> AceCalculator:
        """ASE calculator; neighbour lists reach `skin` angstrom further and are reused while they are complete."""
        from acegen.runtime.calculator import AceCalculator

        return AceCalculator(self, skin)

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

    def _check_fits(self, graph: GraphBatch) -> None:
        """Refuse graphs made for another model."""
        if graph.symbols is not None and graph.symbols != self.species:
            raise InputError(f"graph: its species are {graph.symbols}, model {self.name!r} has {self.species}")
        if graph.largest_species >= len(self.species):
            check_range("species", graph.species, len(self.species), f"species of model {self.name!r}")
        if graph.cutoff is not None and graph.cutoff < self.cutoff:
            raise InputError(
                f"graph: its neighbours reach {graph.cutoff:g} angstrom, model {self.name!r} needs {self.cutoff:g}"
            )

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

    def __reduce__(self) -> tuple[Any, ...]:
        from acegen.runtime.load import reload_bundle

        replaced = None if self._coefficients is None else self._weights
        return reload_bundle, (*self._origin, replaced)
