"""Do the labels speak of one energy: a fit to the forces alone predicts energies and virials, and tells their units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from acegen.fitting.accuracy import Comparison, compare
from acegen.fitting.checks import per_atom, residual_energies
from acegen.fitting.energies import extended
from acegen.fitting.parameters import as_weights
from acegen.fitting.rows import Factors
from acegen.fitting.settings import Settings
from acegen.fitting.solvers import solve
from acegen.fitting.structures import Structure
from acegen.runtime.arrays import FloatArray
from acegen.runtime.model import Model

_MOST, _FEWEST = 200, 6  # structures compared, spread over all; fewer say nothing
_CLEAR = 0.9  # correlation from which a factor means something
_CLOSER = 0.7  # what energies per atom, multiplied by the atoms, leave of the distance to what the forces say
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


def unit_mistakes(
    model: Model, structures: Sequence[Structure], factors: Factors, gamma: FloatArray
) -> tuple[list[str], list[Comparison]]:
    """Sentences for energies and virials that are a clear multiple of what the forces say.

    Energies are predicted from the forces, virials from forces and energies. The weights of the model are replaced.

    Returns:
        The sentences, and all structures with energies beside what the forces alone say of them.
    """
    forces = factors.by_label["forces"]
    labelled = [one for one in structures if one.energy is not None or one.virial is not None]
    if forces.n_rows < 3 * _FEWEST or len(labelled) < _FEWEST:
        return [], []
    chosen = labelled[:: max(1, len(labelled) // _MOST)]
    model.weights = as_weights(model, solve(forces, gamma, Settings()).parameters)
    by_forces = compare(model, labelled)
    found = [_energies(by_forces[:: max(1, len(labelled) // _MOST)], model.species)]
    if factors.by_label["virial"].n_rows:
        both = forces if found[0] else factors.joined(("energy", "forces"))
        model.weights = as_weights(model, solve(both, gamma, Settings()).parameters)
        found.append(_virials(compare(model, chosen)))
    return [text for text in found if text is not None], by_forces


def _energies(compared: Sequence[Comparison], species: Sequence[str]) -> str | None:
    own = [one for one in compared if len(one.energy)]
    own = extended(own) or own
    if len(own) < _FEWEST:
        return None
    structures = [one.structure for one in own]
    predicted = _with_energies(structures, [float(one.energy[0, 1]) * one.structure.n_atoms for one in own])
    multiplied = _with_energies(structures, [float(one.energy[0, 0]) * one.structure.n_atoms**2 for one in own])
    said, label, larger = (residual_energies(part, species) for part in (predicted, structures, multiplied))
    closer = np.linalg.norm(larger - said) < _CLOSER * np.linalg.norm(label - said)
    if closer and _agree(larger, said) and not _agree(label, said):
        return per_atom(structures)
    slope = _factor(np.stack([label, said], axis=1))
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


def _with_energies(structures: Sequence[Structure], energies: Sequence[float]) -> list[Structure]:
    """The structures with other energies (eV)."""
    return [replace(one, energy=energy) for one, energy in zip(structures, energies, strict=True)]


def _agree(label: FloatArray, predicted: FloatArray) -> bool:
    """Whether both vary together and about as much."""
    own, other, product = float(label @ label), float(predicted @ predicted), float(label @ predicted)
    return product > _CLEAR * np.sqrt(own * other) > 0.0 and other / _USUAL < product < other * _USUAL


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
