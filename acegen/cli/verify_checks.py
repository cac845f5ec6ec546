"""What `acegen verify` checks with: the subject, one line of the table, and the basic comparisons."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from acegen.cli.verify_structures import Structure, lone_atom
from acegen.runtime.arrays import FloatArray
from acegen.runtime.cuda.model import CudaModel
from acegen.runtime.evaluation import Evaluation
from acegen.runtime.graph import GraphBatch
from acegen.runtime.loaded import LoadedModel
from acegen.runtime.model import Model

if TYPE_CHECKING:
    from acegen.compiler import Compiled

ALL = ("energy", "energies", "forces", "virial", "virials", "basis", "edge_gradients")
SINGLE_ENERGY, SINGLE_FORCES = 1e-6, 1e-5  # of single precision: energy per atom; forces, and all that follows them


@dataclass(frozen=True, slots=True)
class Check:
    """One line: `measured` is good up to `limit`; None: could not be measured, `note` says why."""

    name: str
    measured: float | None
    limit: float
    note: str = ""
    required: bool = True  # False: tells, but does not fail

    @property
    def failed(self) -> bool:
        """True unless measured within the limit (nan fails) or not measured at all."""
        return self.required and self._beyond

    @property
    def _beyond(self) -> bool:
        return self.measured is not None and not self.measured <= self.limit

    @property
    def verdict(self) -> str:
        """Word for the table."""
        if self.measured is None:
            return "not checked"
        if not self._beyond:
            return "good"
        return "FAILED" if self.required else "beyond"


@dataclass(frozen=True, eq=False)
class Subject:
    """The kernel under test, in the precision asked for, and where it came from."""

    model: LoadedModel
    folder: Path  # its bundle
    structures: tuple[Structure, ...]
    scratch: Path  # folder for what the checks compile
    compiled: Compiled | None = None  # None: only the bundle is known
    source: Path | None = None
    options: dict[str, str] = field(default_factory=dict)  # form and products asked for

    @property
    def default_precision(self) -> str:
        """Arithmetic that the input or the bundle asks for."""
        return self.model.manifest.precision if self.compiled is None else self.compiled.source.precision

    def limit(self, double: float, single: float) -> float:
        """The one that holds for the precision of the kernel."""
        return single if self.model.precision == "float32" else double

    def graph(self, structures: Sequence[Structure]) -> GraphBatch:
        """One batch of structures."""
        return GraphBatch.from_atoms([one.atoms(self.model.species) for one in structures], self.model)

    @cached_property
    def base_graph(self) -> GraphBatch:
        """All structures in one batch."""
        return self.graph(self.structures)

    @cached_property
    def base(self) -> Evaluation:
        """Everything about all structures, evaluated in one batch."""
        return self.model.evaluate(self.base_graph, ALL)

    @cached_property
    def largest_force(self) -> float:
        """eV/angstrom, the scale of all force errors."""
        return max(largest(self.base.forces), 1e-3)

    @cached_property
    def largest_virial(self) -> float:
        """eV, the scale of all virial errors."""
        return max(largest(self.base.virial), 1e-3)

    @cached_property
    def lone_energies(self) -> FloatArray:
        """[n_species] eV: of an atom without neighbours, the reference energy."""
        alone = [lone_atom(a) for a in range(len(self.model.species))]
        return self.model.evaluate(self.graph(alone), "energies").energies

    @cached_property
    def largest_energy(self) -> float:
        """eV, the scale of all errors of site energies: the largest without reference energies, at least 1 eV.

        Reference energies of 1e5 eV leave 1e-11 eV of rounding in every site energy, hence the part of them. Fitted
        weights may leave 5 eV of terms of 1e5 eV: their rounding stays too, some 1e-15 of the terms.
        """
        binding = self.base.energies - self.lone_energies[self.base_graph.species]
        return max(1.0, largest(binding), 1e-3 * largest(self.lone_energies), 1e-2 * self.cancelling_energy)

    @cached_property
    def cancelling_energy(self) -> float:
        """eV, the largest sum of |w B| of one atom, whose terms a linear energy adds up; 0 where w is not known."""
        manifest, species = self.model.manifest, self.base_graph.species
        if self.compiled is not None and manifest.design is not None:
            weights = [centre.weights for centre in self.compiled.source.exact.centres]
        elif manifest.linear:
            weights = [*self.model.weights]
        else:
            return 0.0
        rows = np.abs(self.base.basis)
        sums = [(rows[species == a, : len(w)] @ np.abs(w)).sum(axis=1) for a, w in enumerate(weights)]
        return worst_of(largest(each) for each in sums)

    def energy_error(self, found: FloatArray, expected: FloatArray) -> float:
        """Largest error of site energies relative to `largest_energy`."""
        return largest(found - expected) / self.largest_energy

    def force_error(self, found: FloatArray, expected: FloatArray) -> float:
        """Largest error of forces relative to the largest force."""
        return largest(found - expected) / self.largest_force

    def basis_error(self, found: FloatArray, expected: FloatArray) -> float:
        """Largest error of B relative to the largest value of its column (columns near zero: of all columns)."""
        if not expected.size:
            return 0.0
        columns = np.abs(self.base.basis).max(axis=0)
        return largest((found - expected) / np.maximum(columns, max(1e-3 * float(columns.max()), 1e-300)))

    def per_atom_error(self, found: FloatArray, expected: FloatArray) -> float:
        """Largest error of energies per atom [n_structures], relative to those without reference energies or 1 eV."""
        first = self.base_graph.first_atom
        lone = self.lone_energies[self.base_graph.species]  # added in double: they would hide the errors
        sizes = np.diff(first)
        per_atom = (self.base.energy - [lone[a:b].sum() for a, b in pairwise(first)]) / sizes
        return largest((found - expected) / sizes / np.maximum(1.0, np.abs(per_atom)))

    def energies_check(self, name: str, found: FloatArray, expected: FloatArray, double: float) -> Check:
        """Site energies of all structures; of single precision energies per atom, for which its limit holds."""
        if self.model.precision == "float64":
            return Check(f"{name}: site energies", self.energy_error(found, expected), double)
        ends = [*pairwise(self.base_graph.first_atom)]
        energy, wanted = (np.array([values[a:b].sum() for a, b in ends]) for values in (found, expected))
        return Check(f"{name}: energy per atom", self.per_atom_error(energy, wanted), SINGLE_ENERGY)

    def forces_check(self, name: str, found: FloatArray, expected: FloatArray, double: float) -> Check:
        """Forces of all structures."""
        return Check(f"{name}: forces", self.force_error(found, expected), self.limit(double, SINGLE_FORCES))

    def single_precision(self, name: str, single: Evaluation, double: Evaluation) -> list[Check]:
        """Energy and forces of a kernel in float32 against those in float64."""
        # Embeddings that are sharp near zero density need float64: no fault where float64 is what was asked for.
        asked = "float32" in (self.model.precision, self.default_precision)
        energies = self.per_atom_error(single.energy, double.energy)
        forces = self.force_error(single.forces, double.forces)
        return [
            Check(f"{name}: energy per atom", energies, SINGLE_ENERGY, required=asked),
            Check(f"{name}: forces", forces, SINGLE_FORCES, required=asked),
        ]


def largest(values: FloatArray) -> float:
    """Largest magnitude; nan when any is nan."""
    return float(np.abs(values).max()) if values.size else 0.0


def worst_of(errors: Iterable[float]) -> float:
    """The largest error; nan when any is nan, which `max` would pass over."""
    return largest(np.array(list(errors)))


def against_reference(subject: Subject) -> list[Check]:
    """The kernel against the interpreter, which shares no code with it."""
    names = ("site energies", "forces", "virial", "per-atom virials", "basis")
    if subject.compiled is None:
        note = "a bundle holds no potential to interpret, its selftest stands in"
        return [Check(f"reference: {name}", None, 0.0, note) for name in names[:2]]
    from acegen.interpreter.evaluate import interpret

    source = subject.compiled.source
    found = [interpret(source.exact, s.species, s.positions, s.cell, s.pbc) for s in subject.structures]
    base = subject.base
    virial = np.array([one.virial for one in found])
    virials = np.concatenate([one.virials for one in found])
    basis = np.concatenate([one.basis for one in found])
    table = max([100.0 * error for _, error in source.tables], default=0.0)  # certified, absolute, of one function
    note = "radial tables: limits are 100 times their certified error" if table > 1e-12 else ""
    energies = np.concatenate([one.energies for one in found])
    forces = np.concatenate([one.forces for one in found])
    limit = subject.limit(1e-10, SINGLE_FORCES)
    checks = [
        subject.energies_check("reference", base.energies, energies, 1e-12),
        subject.forces_check("reference", base.forces, forces, 1e-10),
        Check("reference: virial", largest(base.virial - virial) / subject.largest_virial, limit),
        Check("reference: per-atom virials", largest(base.virials - virials) / subject.largest_virial, limit),
        Check("reference: basis", subject.basis_error(base.basis, basis), subject.limit(1e-11, SINGLE_FORCES)),
    ]
    return [
        replace(check, limit=max(check.limit, table), note=note if k == 0 else "") for k, check in enumerate(checks)
    ]


def consistency(subject: Subject) -> list[Check]:
    """Outputs that must agree with each other, and the ways to ask for them."""
    return [
        *sums(subject),
        Check("single-site entry", site_error(subject), 1e-13),
        Check("batch = one by one", one_by_one(subject), 1e-14),
        Check("threads 1 = 2 = 3", _threads(subject), 1e-13),
    ]


def sums(subject: Subject) -> list[Check]:
    """Totals are the sums of their parts, and forces balance."""
    base, graph = subject.base, subject.base_graph
    first = graph.first_atom
    energy = np.array([base.energies[a:b].sum() for a, b in pairwise(first)])
    forces = np.array([base.forces[a:b].sum(axis=0) for a, b in pairwise(first)])
    virial = np.array([base.virials[a:b].sum(axis=0) for a, b in pairwise(first)])
    return [
        Check(
            "energy = sum of site energies", largest((base.energy - energy) / np.maximum(1.0, np.abs(energy))), 1e-13
        ),
        Check("forces sum to zero", largest(forces) / subject.largest_force, 1e-12),
        Check("virial = sum of per-atom virials", largest(base.virial - virial) / subject.largest_virial, 1e-12),
    ]


def site_error(subject: Subject) -> float:
    """model.site against energies and edge gradients, a few atoms of the first structures."""
    graph, base, model = subject.base_graph, subject.base, subject.model
    assert isinstance(model, Model | CudaModel)
    errors = []
    for i in range(0, graph.n_atoms, max(1, graph.n_atoms // 8)):
        part = slice(int(graph.first_edge[i]), int(graph.first_edge[i + 1]))
        to = graph.edge_to[part]
        assert graph.positions is not None  # made from atoms
        vectors = graph.positions[to] - graph.positions[i]
        if graph.shifts is not None and graph.edge_shift is not None:
            vectors = vectors + graph.shifts[graph.edge_shift[part]]
        energy, gradient = model.site(int(graph.species[i]), graph.species[to], vectors)
        errors.append(subject.energy_error(np.array([energy]), base.energies[i : i + 1]))
        errors.append(subject.force_error(gradient, base.edge_gradients[part]))
    return worst_of(errors)


def one_by_one(subject: Subject) -> float:
    """Largest error of structures evaluated alone, in units of the scales."""
    errors, start = [], 0
    for structure in subject.structures:
        alone = subject.model.evaluate(subject.graph([structure]), ("energies", "forces"))
        part = slice(start, start + len(structure.species))
        errors.append(subject.energy_error(alone.energies, subject.base.energies[part]))
        errors.append(subject.force_error(alone.forces, subject.base.forces[part]))
        start = part.stop
    return worst_of(errors)


def _threads(subject: Subject) -> float:
    """Enough copies of the first structure that threads are started."""
    from acegen.runtime.load import load_bundle

    copies = [subject.structures[0]] * (1 + 128 // max(1, len(subject.structures[0].species)))
    graph = subject.graph(copies)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # told when the subject was loaded
        models = [load_bundle(subject.folder, precision=subject.model.precision, threads=n) for n in (1, 2, 3)]
    results = [model.evaluate(graph, ("energies", "forces")) for model in models]
    energies = [subject.energy_error(other.energies, results[0].energies) for other in results[1:]]
    return worst_of([*energies, *(subject.force_error(other.forces, results[0].forces) for other in results[1:])])
