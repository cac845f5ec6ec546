"""Structures and labels that would spoil a fit: refused, or warned of where they look like a mistake of units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from acegen.errors import InputError
from acegen.fitting.reference import Reference, compositions, isolated_atoms, isolated_energies
from acegen.fitting.structures import Structure
from acegen.runtime.arrays import FloatArray
from acegen.runtime.finite import TOO_CLOSE
from acegen.runtime.graph import GraphBatch
from acegen.spec.model import BasisSpec

_FAR = 1e4  # angstrom, from which boxes are counted
_MOST_BOXES = 1e5
_LARGE_FORCE = 300.0  # eV/A
_LARGE_STRESS = 3.0  # eV/A^3, 480 GPa
_OTHER_E0 = 0.01  # eV, of an isolated atom and E0
_UNDECIDED = 0.5  # parameters
_FEWEST = 6  # structures that say how energies grow
_PER_ATOM = 0.5  # what a constant energy leaves of the energies, in what one that grows with the atoms leaves
_LARGE_SPREAD = 200.0  # eV per atom, of energies less those of the elements


def check_structures(structures: Sequence[Structure], species: Sequence[str]) -> None:
    """Refuse structures that no fit can use.

    Raises:
        InputError: names file and frame: no atoms, an unknown element, coordinates that are not finite, an
            impossible cell, two atoms at one place.
    """
    known = set(species)
    for structure in structures:
        atoms, place = structure.atoms, structure.frame.place
        if not len(atoms):
            raise InputError(f"{place}: has no atoms")
        for number, symbol in enumerate(atoms.get_chemical_symbols()):  # type: ignore[no-untyped-call]
            if symbol not in known:
                raise InputError(f"{place}: atom {number} is {symbol}, the specification has {', '.join(species)}")
        for name, array in (("positions", atoms.positions), ("cell", atoms.cell.array)):
            if not np.isfinite(array).all():
                raise InputError(f"{place}: {name}: expected finite lengths, found nan or infinity")
        _check_boxes(structure)
    for first in range(0, len(structures), 256):
        _check_distances(structures[first : first + 256], species)


def _check_boxes(structure: Structure) -> None:
    """Refuse atoms that are lost: so many periodic boxes away that no box can be meant."""
    atoms = structure.atoms
    if not atoms.pbc.any() or np.abs(atoms.positions).max() < _FAR or atoms.cell.rank < int(atoms.pbc.sum()):
        return
    boxes = np.abs(np.linalg.solve(atoms.cell.complete().array.T, atoms.positions.T).T[:, atoms.pbc]).max(axis=1)
    at = int(boxes.argmax())
    if boxes[at] > _MOST_BOXES:
        raise InputError(
            f"{structure.frame.place}: atom {at} at {atoms.positions[at].tolist()} is {boxes[at]:.3g} periodic boxes "
            f"away, expected at most {_MOST_BOXES:g}: wrap it into the cell"
        )


def _check_distances(structures: Sequence[Structure], species: Sequence[str]) -> None:
    """Refuse atoms at one place; impossible cells show here too."""
    frames = [structure.atoms for structure in structures]
    try:
        graph = GraphBatch.from_atoms(frames, TOO_CLOSE, species=species)
    except InputError:
        for structure in structures:  # one of them is wrong: say which
            try:
                GraphBatch.from_atoms(structure.atoms, TOO_CLOSE, species=species)
            except InputError as error:
                raise InputError(f"{structure.frame.place}: {str(error).removeprefix('atoms: ')}") from error
        raise
    if graph.n_edges:
        centre = int(np.searchsorted(graph.first_edge, 0, side="right")) - 1
        k = int(np.searchsorted(graph.first_atom, centre, side="right")) - 1
        first = int(graph.first_atom[k])
        raise InputError(
            f"{structures[k].frame.place}: atoms {centre - first} and {int(graph.edge_to[0]) - first} are closer than "
            f"{TOO_CLOSE:g} angstrom"
        )


def suspicions(structures: Sequence[Structure], species: Sequence[str]) -> list[str]:
    """Sentences about labels that do not look like those of these structures, and about elements never seen."""
    found: list[str] = []
    seen = compositions(structures, species).sum(axis=0) > 0
    absent = [symbol for symbol, there in zip(species, seen, strict=True) if not there]
    if absent:
        found.append(f"{', '.join(absent)}: in the specification, but in no training structure: its weights stay 0")
    for source in dict.fromkeys(structure.frame.source for structure in structures):
        own = [structure for structure in structures if structure.frame.source == source]
        told = (_per_atom(own, species), _repeated(own))
        found += [text for text in told if text]
    return found


def large_labels(structures: Sequence[Structure], species: Sequence[str]) -> list[str]:
    """Sentences about labels whose size does not look like eV and angstrom; a fit with them says little of others."""
    found: list[str] = []
    for source in dict.fromkeys(structure.frame.source for structure in structures):
        own = [structure for structure in structures if structure.frame.source == source]
        found += [text for text in (_forces(own), _stresses(own), _energies(own, species)) if text]
    return found


def contradicted(structures: Sequence[Structure], spec: BasisSpec, reference: Reference) -> list[str]:
    """Sentences about isolated atoms whose energy is not E0, which no weights can mend."""
    alone = isolated_energies(structures, spec)
    known = zip(spec.elements, reference.energies, reference.origins, strict=True)
    return [
        f"E0 of {symbol}: {e0:.6g} eV from {origin}, but an isolated atom in the structures has {alone[symbol]:.6g} eV"
        for symbol, e0, origin in known
        if symbol in alone and abs(alone[symbol] - e0) > _OTHER_E0
    ]


def disagreeing(structures: Sequence[Structure], spec: BasisSpec) -> list[str]:
    """Sentences about isolated atoms of one element with different energies; one for each element."""
    first: dict[str, Structure] = {}
    found: dict[str, str] = {}
    for symbol, structure in isolated_atoms(structures, spec):
        other = first.setdefault(symbol, structure)
        if abs((structure.energy or 0.0) - (other.energy or 0.0)) > _OTHER_E0:
            found.setdefault(
                symbol,
                f"{structure.frame.place}: an isolated atom of {symbol} with {structure.energy:.6g} eV, but "
                f"{other.frame.place} has one with {other.energy:.6g} eV: the first one counts",
            )
    return list(found.values())


def _per_atom(structures: Sequence[Structure], species: Sequence[str]) -> str | None:
    """Energies that do not grow with the number of atoms."""
    labelled = [one for one in structures if one.energy is not None and one.n_atoms > 1]
    sizes = np.array([one.n_atoms for one in labelled])
    if len(labelled) < _FEWEST or sizes.max() == sizes.min():
        return None
    counts = compositions(labelled, species)
    energies = np.array([one.energy for one in labelled], np.float64)
    rests = []
    for columns in (counts, counts / sizes[:, None]):
        rest = energies - columns @ np.linalg.lstsq(columns, energies, rcond=1e-8)[0]
        rests.append(float(np.sqrt(np.mean(rest**2))))
    if rests[1] >= _PER_ATOM * rests[0]:
        return None
    return per_atom(labelled)


def per_atom(structures: Sequence[Structure]) -> str:
    """The sentence about energies of one source that are given per atom."""
    sizes = [one.n_atoms for one in structures]
    if min(sizes) < max(sizes):
        why = f"do not grow with the number of atoms, {min(sizes)} to {max(sizes)}"
    else:
        why = f"vary as the forces say of one of {sizes[0]} atoms"
    return (
        f"{structures[0].frame.source}: the energies {why}: are they per atom, where those of whole structures are "
        "expected?"
    )


def undecided(effective: float, n_parameters: int) -> list[str]:
    """A sentence where the prior swallows the labels: the weights then say nothing of them.

    Args:
        effective: number of parameters that the labels decide.
    """
    if effective >= _UNDECIDED:
        return []
    return [
        f"the labels decide {effective:.1g} of {n_parameters} parameters, for no function of the basis explains them "
        "better than none does: do they belong to these structures, or is the regularisation too strong?"
    ]


def _forces(structures: Sequence[Structure]) -> str | None:
    worst, at = 0.0, None
    for structure in structures:
        if structure.forces is not None and structure.n_atoms:
            largest = float(np.sqrt((structure.forces**2).sum(axis=1).max()))
            if largest > worst:
                worst, at = largest, structure
    if at is None or worst <= _LARGE_FORCE:
        return None
    return (
        f"{at.frame.place}: a force of {worst:.4g} eV/angstrom: are the forces in another unit (meV/angstrom, "
        "kcal/mol/angstrom)?"
    )


def _stresses(structures: Sequence[Structure]) -> str | None:
    worst, at = 0.0, None
    for structure in structures:
        if structure.virial is not None and structure.atoms.cell.rank == 3:
            largest = float(np.abs(structure.virial).max()) / float(structure.atoms.cell.volume)
            if largest > worst:
                worst, at = largest, structure
    if at is None or worst <= _LARGE_STRESS:
        return None
    return (
        f"{at.frame.place}: a stress of {worst:.4g} eV/angstrom^3, which is {worst * 160.21766:.4g} GPa: is it in "
        "another unit (GPa, kB)?"
    )


def _energies(structures: Sequence[Structure], species: Sequence[str]) -> str | None:
    labelled = [structure for structure in structures if structure.energy is not None]
    if len(labelled) < 2:
        return None
    per_atom = residual_energies(labelled, species)
    distance = np.abs(per_atom - np.median(per_atom))
    at = int(distance.argmax())
    if distance[at] <= _LARGE_SPREAD:
        return None
    return (
        f"{labelled[at].frame.place}: its energy is {distance[at]:.4g} eV per atom away from the others: is it in "
        "another unit (meV, kJ/mol), or of another calculation?"
    )


def _repeated(structures: Sequence[Structure]) -> str | None:
    """Forces that belong to other positions: a slip in a set, or one ASE calculator shared by all structures."""
    first: dict[bytes, Structure] = {}
    for structure in structures:
        if structure.forces is None or not structure.forces.any():
            continue
        other = first.setdefault(structure.forces.tobytes(), structure)
        if not np.array_equal(other.atoms.positions, structure.atoms.positions):
            return (
                f"{structure.frame.place}: the forces of frame {other.frame.number} at other positions: are they "
                "labels of another structure (a calculator shared by several keeps only its last results)?"
            )
    return None


def residual_energies(structures: Sequence[Structure], species: Sequence[str]) -> FloatArray:
    """Energies per atom (eV) less what the composition explains, by least squares."""
    counts = compositions(structures, species)
    shares = counts / counts.sum(axis=1, keepdims=True)
    energies = np.array([structure.energy for structure in structures], np.float64) / counts.sum(axis=1)
    residual: FloatArray = energies - shares @ np.linalg.lstsq(shares, energies, rcond=1e-8)[0]
    return residual
