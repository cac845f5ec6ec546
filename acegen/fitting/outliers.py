"""Single structures whose forces the model contradicts where it agrees with others: sign, order of atoms, unit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from acegen.fitting.accuracy import Comparison
from acegen.runtime.arrays import FloatArray

_FEWEST = 6  # structures of one type; fewer have no usual error
_FAR = 10.0  # median absolute deviations from the median error
_SHARE = 0.3  # of the median force, from which an error is no matter of small forces
_USUAL, _ODD = 0.8, 0.3  # correlation of predicted with given forces: of the median structure, of one that is wrong
_OTHER_UNIT = 5.0  # factor between forces that point the same way
_NAMED = 3  # sentences


def contradicted_forces(comparisons: Sequence[Comparison]) -> list[str]:
    """Sentences about structures whose forces are far from the model's: of another direction, or another size."""
    labelled = [one for one in comparisons if len(one.forces) > 3 and one.forces[:, 0].any()]
    kinds = dict.fromkeys(one.structure.kind for one in labelled)
    groups = [[one for one in labelled if one.structure.kind == kind] for kind in kinds]
    odd = [one for group in groups for one in _odd(group if len(group) >= _FEWEST else labelled, group)]
    found = [_sentence(one) for one in odd[:_NAMED]]
    if len(odd) > _NAMED:
        found.append(f"{len(odd) - _NAMED} more structures with forces that the model contradicts")
    return found


def _odd(usual: Sequence[Comparison], group: Sequence[Comparison]) -> list[Comparison]:
    """Those of a group that stand out among the usual ones."""
    if len(usual) < _FEWEST:
        return []
    errors = np.array([_error(one.forces) for one in usual])
    middle = float(np.median(errors))
    limit = middle + _FAR * float(np.median(np.abs(errors - middle)))
    limit = max(limit, _SHARE * float(np.median([_sizes(one.forces)[0] for one in usual])))
    if np.median([_correlation(one.forces) for one in usual]) < _USUAL:
        return []
    return [
        one
        for one in group
        if _error(one.forces) > limit and (_correlation(one.forces) < _ODD or _of_another_unit(one.forces))
    ]


def _error(pairs: FloatArray) -> float:
    return float(np.sqrt(np.mean((pairs[:, 1] - pairs[:, 0]) ** 2)))


def _sizes(pairs: FloatArray) -> tuple[float, float]:
    """Root mean squares of the given and the predicted components."""
    label, predicted = np.sqrt(np.mean(pairs**2, axis=0)).tolist()
    return label, predicted


def _of_another_unit(pairs: FloatArray) -> bool:
    """Whether they point the same way and are of quite another size."""
    label, predicted = _sizes(pairs)
    return predicted > 0.0 and _correlation(pairs) > _USUAL and not 1.0 / _OTHER_UNIT < label / predicted < _OTHER_UNIT


def _correlation(pairs: FloatArray) -> float:
    """Cosine between label and prediction; 1 where one of them is nothing."""
    size = float(np.linalg.norm(pairs[:, 0]) * np.linalg.norm(pairs[:, 1]))
    return 1.0 if size == 0.0 else float(pairs[:, 0] @ pairs[:, 1]) / size


def _sentence(one: Comparison) -> str:
    cosine = _correlation(one.forces)
    if _of_another_unit(one.forces):
        label, predicted = _sizes(one.forces)
        return (
            f"{one.structure.frame.place}: its forces are {label / predicted:.3g} times as large as the model's, where "
            "others agree: are they in another unit (Hartree/bohr, Rydberg/bohr, kcal/mol/angstrom)?"
        )
    guess = "of the wrong sign" if cosine < -0.5 * _USUAL else "of another structure, sign or order of the atoms"
    return (
        f"{one.structure.frame.place}: its forces are {_error(one.forces):.3g} eV/angstrom away from the model's, with "
        f"a correlation of {cosine:.2f} where others agree: are they {guess}?"
    )
