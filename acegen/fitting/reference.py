"""Reference energies E0: of isolated atoms in the structures, by least squares, of the specification, or given."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from acegen.errors import InputError
from acegen.fitting.structures import Structure
from acegen.runtime.arrays import FloatArray
from acegen.runtime.graph import GraphBatch
from acegen.spec.model import BasisSpec

_LARGEST = 5e6  # eV; the largest energies of all electrons are 2e6
WAYS = ("auto", "isolated", "lsq", "spec")


@dataclass(frozen=True, slots=True)
class Reference:
    """E0 of every species and where it comes from."""

    energies: tuple[float, ...]  # [n_species] eV
    origins: tuple[str, ...]  # [n_species]

    def sentences(self, species: Sequence[str]) -> list[str]:
        """One line for people for each species."""
        own = zip(species, self.energies, self.origins, strict=True)
        return [f"E0 of {symbol}: {energy:.6f} eV, from {origin}" for symbol, energy, origin in own]

    def of(self, composition: FloatArray) -> FloatArray:
        """Sum of E0 (eV) of compositions [..., n_species]."""
        total: FloatArray = composition @ np.array(self.energies)
        return total


def compositions(structures: Sequence[Structure], species: Sequence[str]) -> FloatArray:
    """Number of atoms of each species [n_structures, n_species]."""
    counts = np.zeros((len(structures), len(species)))
    for row, structure in zip(counts, structures, strict=True):
        symbols = structure.atoms.get_chemical_symbols()  # type: ignore[no-untyped-call]
        row[:] = [symbols.count(symbol) for symbol in species]
    return counts


def reference_energies(
    structures: Sequence[Structure], spec: BasisSpec, way: str | Mapping[str, float], in_spec: bool
) -> Reference:
    """E0 of every element of the specification.

    Args:
        way: "isolated", "lsq", "spec", numbers in eV by symbol (the others then by "auto"), or "auto": what the
            specification says, else isolated atoms, else least squares of all energies on the compositions.
        in_spec: whether the specification has the key reference_energies.

    Raises:
        InputError: an unknown way or symbol; "isolated" where an element has no isolated atom.
    """
    given = {} if isinstance(way, str) else dict(way)
    chosen = way if isinstance(way, str) else "auto"
    if chosen not in WAYS:
        raise InputError(f"e0: expected one of {', '.join(WAYS)} or energies by symbol, found {way!r}")
    for symbol, value in given.items():
        if symbol not in spec.elements:
            raise InputError(f"e0: {symbol!r} is no element of the specification, which has {', '.join(spec.elements)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"e0: {symbol}: expected an energy in eV, found {value!r}")
        if abs(value) > _LARGEST:
            raise InputError(f"e0: {symbol}: expected an energy of at most {_LARGEST:g} eV, found {value!r}")
    if chosen == "spec" or (chosen == "auto" and in_spec):
        known = {
            symbol: (e0, "the specification") for symbol, e0 in zip(spec.elements, spec.reference_energies, strict=True)
        }
    elif chosen == "lsq":
        known = {}
    else:
        known = {symbol: (e0, "an isolated atom") for symbol, e0 in isolated_energies(structures, spec).items()}
        absent = [symbol for symbol in spec.elements if symbol not in known]
        if chosen == "isolated" and absent:
            raise InputError(
                f"e0: isolated: no isolated atom of {', '.join(absent)} with an energy among the structures"
            )
    known |= {symbol: (float(e0), "given") for symbol, e0 in given.items()}
    known |= _least_squares(structures, spec.elements, {symbol: e0 for symbol, (e0, _) in known.items()})
    return Reference(
        tuple(known[symbol][0] for symbol in spec.elements), tuple(known[symbol][1] for symbol in spec.elements)
    )


def isolated_energies(structures: Sequence[Structure], spec: BasisSpec) -> dict[str, float]:
    """Energies of single atoms that see no image of themselves; of several the first."""
    found: dict[str, float] = {}
    for symbol, structure in isolated_atoms(structures, spec):
        if structure.energy is not None:
            found.setdefault(symbol, structure.energy)
    return found


def isolated_atoms(structures: Sequence[Structure], spec: BasisSpec) -> Iterator[tuple[str, Structure]]:
    """Symbols and structures of single atoms with an energy that see no image of themselves."""
    cutoff = max(bond.cutoff for row in spec.bonds for bond in row)
    for structure in structures:
        if structure.n_atoms == 1 and structure.energy is not None:
            graph = GraphBatch.from_atoms(structure.atoms, cutoff, species=spec.elements)
            if graph.n_edges == 0:
                yield structure.atoms.get_chemical_symbols()[0], structure  # type: ignore[no-untyped-call]


def _least_squares(
    structures: Sequence[Structure], species: Sequence[str], known: Mapping[str, float]
) -> dict[str, tuple[float, str]]:
    """E0 of the elements not known yet; of those the compositions cannot tell apart, the smallest numbers that do."""
    unknown = [symbol for symbol in species if symbol not in known]
    if not unknown:
        return {}
    labelled = [structure for structure in structures if structure.energy is not None]
    if not labelled:
        return dict.fromkeys(unknown, (0.0, "nothing, there are no energies"))
    counts = compositions(labelled, species)
    sizes = np.maximum(counts.sum(axis=1), 1.0)
    energies = np.array([structure.energy for structure in labelled], np.float64)
    fixed = np.array([known.get(symbol, 0.0) for symbol in species])
    columns = [k for k, symbol in enumerate(species) if symbol in unknown]
    # Per atom, so that large structures do not decide alone.
    target = (energies - counts @ fixed) / sizes
    solved = np.linalg.lstsq(counts[:, columns] / sizes[:, None], target, rcond=1e-8)[0]
    return {symbol: (float(e0), "least squares") for symbol, e0 in zip(unknown, solved, strict=True)}
