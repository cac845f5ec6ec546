"""Single structures whose energy does not belong to the others: another unit, per atom, of another calculation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from acegen.fitting.accuracy import Comparison
from acegen.fitting.reference import compositions
from acegen.fitting.structures import Structure
from acegen.runtime.arrays import FloatArray

_FEWEST = 6  # structures of one type; fewer have no usual error
_FAR = 20.0  # median absolute deviations from the median
_FEW = 0.03  # of all structures, that may be slips; more are what the basis cannot tell
_SMALLEST = 0.05  # eV per atom, of an error that may be a slip
_SMALLEST_OF_FORCES = 0.3  # eV per atom, of one by forces alone, whose energies are less sure
# of such an error, that the fit with this energy leaves of it, or forces and energy agree after all
_LEFT, _LEFT_OF_LARGE = 0.25, 0.05
_LARGE, _VERY_FAR = 1.5, 25.0  # eV per atom and deviations, by compositions alone, which leave out the cohesion
_SMALL_MOLECULE = 8  # atoms
_SWEEPS = 30  # of the absolute deviations
_NAMED = 3  # structures


def contradicted_energies(
    compared: Sequence[Comparison], by_forces: Sequence[Comparison], species: Sequence[str]
) -> list[str]:
    """A sentence about energies that stand out by their errors.

    Args:
        compared: with the fitted model.
        by_forces: the same labels with a model of the forces alone, which a wrong energy cannot spoil; may be empty.
        species: of the model.
    """
    final = {id(one.structure): one for one in compared}
    suspects = {
        id(structure): (error, structure)
        for structure, error in _far(extended(by_forces), _SMALLEST_OF_FORCES, species)
        if abs(_error(final[id(structure)])) > (_LEFT_OF_LARGE if abs(error) > _LARGE else _LEFT) * abs(error)
    }
    for structure, error in _far(compared, _SMALLEST, species) + ([] if by_forces else _alone(compared, species)):
        suspects.setdefault(id(structure), (error, structure))
    return _sentence(list(suspects.values()))


def _far(ones: Sequence[Comparison], smallest: float, species: Sequence[str]) -> list[tuple[Structure, float]]:
    """Structures of several atoms whose errors stand out, and the errors."""
    own = [one for one in ones if len(one.energy) and one.structure.n_atoms > 1]
    errors = np.array([_error(one) for one in own])
    found = _standing_out([one.structure for one in own], errors, (smallest, _FAR), species)
    few = len(found) <= max(_NAMED, _FEW * len(own))
    return [one for one in found if few or abs(one[1]) > _LARGE]


def _error(one: Comparison) -> float:
    """Label less model, eV per atom."""
    return float(one.energy[0, 0] - one.energy[0, 1])


def extended(ones: Sequence[Comparison]) -> list[Comparison]:
    """Without a few atoms in vacuum, of whose binding neither the composition nor forces near a minimum say much."""
    return [one for one in ones if one.structure.atoms.pbc.any() or one.structure.n_atoms >= _SMALL_MOLECULE]


def _alone(ones: Sequence[Comparison], species: Sequence[str]) -> list[tuple[Structure, float]]:
    """Structures whose composition alone shows their energy to be wrong; the model may have given in to it."""
    own = [one.structure for one in extended(ones) if len(one.energy)]
    energies = np.array([(one.energy or 0.0) / one.n_atoms for one in own])
    return _standing_out(own, energies, (_LARGE, _VERY_FAR), species)


def _standing_out(
    structures: Sequence[Structure], values: FloatArray, beyond: tuple[float, float], species: Sequence[str]
) -> list[tuple[Structure, float]]:
    """Structures and eV per atom of those far from the usual of their type; one number per element is free.

    Args:
        structures: with their energies or errors `values`, eV per atom.
        values: [n_structures].
        beyond: smallest distance that counts, in eV per atom and in median absolute deviations.
        species: of the compositions.
    """
    if len(structures) < _FEWEST:
        return []
    rest = _robust_rest(compositions(structures, species), values)
    kinds = np.array([structure.kind for structure in structures])
    found = []
    for kind in dict.fromkeys(kinds.tolist()):
        group = rest[kinds == kind]
        usual = group if len(group) >= _FEWEST else rest
        middle = float(np.median(usual))
        limit = max(beyond[0], beyond[1] * float(np.median(np.abs(usual - middle))))
        far = np.flatnonzero((kinds == kind) & (np.abs(rest - middle) > limit)).tolist()
        found += [(structures[k], float(rest[k] - middle)) for k in far]
    return found


def _robust_rest(counts: FloatArray, values: FloatArray) -> FloatArray:
    """Values per atom less what the composition explains, by least absolute deviations: a few wrong ones do not count.

    Reweighted least squares (Schlossmacher, J. Am. Stat. Assoc. 68, 857 (1973)).
    """
    shares = counts / counts.sum(axis=1, keepdims=True)
    rest = values - np.median(values)
    for _ in range(_SWEEPS):
        size = np.abs(rest)
        scale = 1.0 / np.sqrt(np.maximum(size, 1e-6 * max(float(size.max()), 1e-300)))
        solved = np.linalg.lstsq(shares * scale[:, None], values * scale, rcond=1e-8)[0]
        rest = values - shares @ solved
    return np.asarray(rest, np.float64)


def _sentence(found: Sequence[tuple[float, Structure]]) -> list[str]:
    """The worst one, and the names of others."""
    if not found:
        return []
    order = sorted(found, key=lambda one: -abs(one[0]))
    error, worst = order[0]
    where = "above" if error > 0.0 else "below"
    others = likewise([structure for _, structure in order[1:]], worst.frame.source)
    return [
        f"{worst.frame.place}: its energy is {abs(error):.3g} eV per atom {where} what the others say{others}: are "
        "such energies in another unit (Rydberg, Hartree, kcal/mol), per atom, or of another calculation?"
    ]


def likewise(others: Sequence[Structure], source: str) -> str:
    """Names of more structures of which the same is true, in brackets; nothing where there are none.

    Args:
        others: structures.
        source: of the one named before.
    """
    if not others:
        return ""
    frames = [f"frame {one.frame.number}" if one.frame.source == source else one.frame.place for one in others]
    more = f" and {len(others) - _NAMED + 1} more" if len(others) > _NAMED - 1 else ""
    return f" (likewise {', '.join(frames[: _NAMED - 1])}{more})"
