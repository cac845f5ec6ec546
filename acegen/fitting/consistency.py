"""Do the labels speak of one energy: a fit to the forces alone predicts energies and virials, and tells their units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from acegen.fitting.accuracy import Comparison, compare
from acegen.fitting.checks import residual_energies
from acegen.fitting.parameters import as_weights
from acegen.fitting.rows import Factors
from acegen.fitting.settings import Settings
from acegen.fitting.solvers import solve
from acegen.fitting.structures import Structure
from acegen.runtime.arrays import FloatArray
from acegen.runtime.model import Model

_MOST, _FEWEST = 200, 6  # structures compared, spread over all; fewer say nothing
_CLEAR = 0.9  # correlation from which a factor means something
_USUAL = 6.0  # what few structures may well be wrong by; no mistake of units is smaller
_ENERGY_UNITS = {
    13.606: "1 Rydberg is 13.6 eV",
    23.061: "1 eV is 23.1 kcal/mol",
    27.211: "1 Hartree is 27.2 eV",
    51.422: "1 Hartree/bohr is 51.4 eV/angstrom",
    96.485: "1 eV is 96.5 kJ/mol",
    1000.0: "1 eV is 1000 meV",
}
_STRESS_UNITS = {160.22: "1 eV/angstrom^3 is 160 GPa", 1602.2: "1 eV/angstrom^3 is 1602 kB"}


def unit_mistakes(model: Model, structures: Sequence[Structure], factors: Factors, gamma: FloatArray) -> list[str]:
    """Sentences for energies and virials that are a clear multiple of what the forces say.

    Energies are predicted from the forces, virials from forces and energies. The weights of the model are replaced.
    """
    forces = factors.by_label["forces"]
    labelled = [one for one in structures if one.energy is not None or one.virial is not None]
    if forces.n_rows < 3 * _FEWEST or len(labelled) < _FEWEST:
        return []
    chosen = labelled[:: max(1, len(labelled) // _MOST)]
    model.weights = as_weights(model, solve(forces, gamma, Settings()).parameters)
    found = [_energies(compare(model, chosen), model.species)]
    if factors.by_label["virial"].n_rows:
        both = forces if found[0] else factors.joined(("energy", "forces"))
        model.weights = as_weights(model, solve(both, gamma, Settings()).parameters)
        found.append(_virials(compare(model, chosen)))
    return [text for text in found if text is not None]


def _energies(compared: Sequence[Comparison], species: Sequence[str]) -> str | None:
    own = [one for one in compared if len(one.energy)]
    if len(own) < _FEWEST:
        return None
    predicted = [
        Structure(one.structure.frame, "", float(one.energy[0, 1]) * one.structure.n_atoms, None, None) for one in own
    ]
    pairs = np.stack(
        [residual_energies([one.structure for one in own], species), residual_energies(predicted, species)], axis=1
    )
    slope = _factor(pairs)
    if slope is None:
        return None
    if slope < 0.0:
        return (
            f"{own[0].structure.frame.source}: the energies vary {slope:.3g} times as much as the forces say: are the "
            "forces of the wrong sign (gradients of the energy)?"
        )
    return (
        f"{own[0].structure.frame.source}: the energies vary {slope:.3g} times as much as the forces say: are they in "
        f"eV, and the forces in eV/angstrom?{_hint(slope, _ENERGY_UNITS)}"
    )


def _virials(compared: Sequence[Comparison]) -> str | None:
    own = [one for one in compared if len(one.virial)]
    if len(own) < _FEWEST:
        return None
    slope = _factor(np.concatenate([one.virial for one in own]))
    if slope is None:
        return None
    if slope < 0.0:
        sign = ", with the wrong sign (ASE's stress is positive under tension; the virial is -V times it)"
    else:
        sign = ""
    return (
        f"{own[0].structure.frame.source}: the stresses or virials are {abs(slope):.3g} times what the forces "
        f"say{sign}: are they in eV/angstrom^3 (stress) or eV (virial)?{_hint(slope, _STRESS_UNITS)}"
    )


def _factor(pairs: FloatArray) -> float | None:
    """Slope label over prediction [n, 2], when it is clear and not about 1."""
    label, predicted = pairs.T
    own, other = float(label @ label), float(predicted @ predicted)
    if own <= 0.0 or other <= 0.0:
        return None
    product = float(label @ predicted)
    if abs(product) < _CLEAR * np.sqrt(own * other):
        return None
    slope = product / other
    return None if 1.0 / _USUAL < slope < _USUAL else slope


def _hint(slope: float, units: Mapping[float, str]) -> str:
    """The unit whose factor is near, in brackets."""
    size = max(abs(slope), 1.0 / abs(slope))
    near = min(units, key=lambda unit: abs(np.log(size / unit)))
    return f" ({units[near]})" if abs(np.log(size / near)) < 0.15 else ""
