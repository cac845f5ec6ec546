"""Fit a specification to labelled structures, keep it, and evaluate it with the uncertainty it brings along.

The labels are those of ASE's EMT for Cu and Au, a stand-in for electronic structure; in practice `train` is the name
of an extended XYZ file.  The same on the command line: acegen fit cuau.yaml train.xyz --holdout 0.2 -o fitted

python examples/05_fit.py
"""

import tempfile
from pathlib import Path

import ase
import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT

import acegen

random = np.random.default_rng(0)


def crystal(strain: float, rattle: float) -> ase.Atoms:
    """32 atoms of a random face-centred cubic alloy with energy, forces and stress."""
    atoms = bulk("Cu", a=3.85, cubic=True) * (2, 2, 2)
    atoms.symbols[random.random(len(atoms)) < 0.5] = "Au"
    atoms.set_cell(atoms.cell * (1.0 + strain), scale_atoms=True)
    atoms.positions += random.normal(0.0, rattle, (len(atoms), 3))
    atoms.calc = EMT()
    atoms.get_forces(), atoms.get_stress()
    return atoms


structures = [crystal(random.uniform(-0.03, 0.05), random.uniform(0.02, 0.2)) for _ in range(40)]
fitted = acegen.fit(Path(__file__).parent / "specs" / "cuau.yaml", structures, holdout=0.2)
for name, errors in fitted.errors.items():
    total = errors[-1]
    print(
        f"{name:8} energies {total.energy_rmse:5.2f} meV/atom, forces {total.forces_rmse:.4f} eV/A (root mean square)"
    )

with tempfile.TemporaryDirectory() as folder:
    path, arrays, report = fitted.save(Path(folder) / "fitted")
    print(path.name, arrays.name, report.name)
    model = acegen.load(path, precision="float64")

near, far = crystal(0.0, 0.1), crystal(0.25, 0.1)
gamma = model.evaluate([near, far], properties="gamma").gamma.reshape(2, -1).max(axis=1)
print(f"extrapolation grade: {gamma[0]:.1f} like the training structures, {gamma[1]:.1f} stretched by a quarter")
