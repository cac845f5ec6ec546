"""Labelled structures of copper and gold, by effective medium theory, and the specification they are fitted with."""

from __future__ import annotations

import ase
import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

SPEC = """# copper and gold, the smallest that is not trivial
name: cuau
elements: [Cu, Au]
order: 2
degree: 5
cutoff: 4.2
pair: {degree: 4}
reference_energies: {Cu: 0.5, Au: -0.25}
"""
COPPER = "name: cu\nelements: [Cu]\norder: 2\ndegree: 5\ncutoff: 4.2\nweights_replaceable: true\n"


def emt_labelled(seed: int, formula: str = "Cu3Au") -> ase.Atoms:
    """A strained, rattled cell with the energy, forces and stress of effective medium theory."""
    atoms = bulk("Cu", cubic=True, a=3.9)
    atoms.symbols[:] = list(ase.Atoms(formula).symbols)
    stream = np.random.default_rng(seed)
    atoms.set_cell(atoms.cell @ (np.eye(3) + 0.04 * stream.uniform(-1, 1, (3, 3))), scale_atoms=True)
    atoms.positions += 0.12 * stream.standard_normal((4, 3))
    atoms.calc = EMT()
    results = (atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress())
    atoms.calc = SinglePointCalculator(atoms, energy=results[0], forces=results[1], stress=results[2])
    atoms.info["config_type"] = "rich in copper" if formula == "Cu3Au" else "even"
    return atoms


def relabelled(frames: list[ase.Atoms], **factors: float) -> list[ase.Atoms]:
    """The same structures with labels in other units."""
    found = []
    for atoms in frames:
        copy = atoms.copy()
        results = {name: value * factors.get(name, 1.0) for name, value in atoms.calc.results.items()}
        copy.calc = SinglePointCalculator(copy, **results)
        found.append(copy)
    return found
