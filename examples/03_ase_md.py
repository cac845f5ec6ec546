"""Fit the weights of a compiled kernel to a known potential, then run molecular dynamics with the ASE calculator.

The reference is ASE's EMT for Cu and Au, a stand-in for electronic structure.  Nothing is compiled again: the
specification says `weights_replaceable: true`, so new weights are one assignment.

python examples/03_ase_md.py
"""

from pathlib import Path

import ase
import numpy as np
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.verlet import VelocityVerlet

import acegen

model = acegen.load(Path(__file__).parent / "specs" / "cuau.yaml", precision="float64")
random = np.random.default_rng(0)


def crystal(strain: float, rattle: float) -> ase.Atoms:
    """32 atoms of a random face-centred cubic alloy."""
    atoms = bulk("Cu", a=3.85, cubic=True) * (2, 2, 2)
    atoms.symbols[random.random(len(atoms)) < 0.5] = "Au"
    atoms.set_cell(atoms.cell * (1.0 + strain), scale_atoms=True)
    atoms.positions += random.normal(0.0, rattle, (len(atoms), 3))
    atoms.calc = EMT()
    return atoms


# Site energies are linear in the weights, so one least-squares problem for each species.
training = [crystal(random.uniform(-0.03, 0.05), random.uniform(0.02, 0.2)) for _ in range(60)]
graph = acegen.GraphBatch.from_atoms(training, model)
basis = model.evaluate(graph, properties="basis").basis
target = np.concatenate([atoms.get_potential_energies() for atoms in training])
weights = []
for species, (many_body, pair) in enumerate(model.manifest.n_basis_per_species):
    rows, values = basis[graph.species == species, : many_body + pair], target[graph.species == species]
    scale = np.linalg.norm(rows, axis=0) + 1e-12
    solution = np.linalg.lstsq(rows / scale, values, rcond=1e-7)[0]
    weights.append((solution / scale)[:, None])
model.weights = weights

test = [crystal(0.01, 0.1) for _ in range(5)]
out = model.evaluate(test)
energy_error = (out.energy - [atoms.get_potential_energy() for atoms in test]) / 32
force_error = out.forces - np.concatenate([atoms.get_forces() for atoms in test])
print(f"unseen structures: energies within {1e3 * np.abs(energy_error).max():.1f} meV/atom, forces within", end=" ")
print(f"{np.sqrt(np.mean(force_error**2)):.3f} eV/A (root mean square)")

atoms = crystal(0.0, 0.0)
atoms.calc = model.calculator(skin=0.5)
momenta = random.normal(size=(len(atoms), 3)) * np.sqrt(units.kB * 600 * atoms.get_masses())[:, None]
atoms.set_momenta(momenta - momenta.mean(axis=0))
dynamics = VelocityVerlet(atoms, timestep=2 * units.fs)
start = atoms.get_total_energy()
for _ in range(5):
    dynamics.run(100)
    drift = 1e3 * (atoms.get_total_energy() - start) / len(atoms)
    print(f"{dynamics.get_time() / units.fs:6.0f} fs  {atoms.get_temperature():4.0f} K  drift {drift:7.4f} meV/atom")
print(f"neighbour lists built: {atoms.calc.n_lists} in {dynamics.get_number_of_steps()} steps")
