"""Energies, forces, virial and basis of a batch of structures, and what they must satisfy.

python examples/02_energy_forces.py
"""

from pathlib import Path

import ase
import numpy as np
from ase.build import bulk

import acegen

model = acegen.load(Path(__file__).parent / "specs" / "cuau.yaml", precision="float64")
print(model)

# A batch may mix crystals, molecules and single atoms; the neighbour lists are built once.
alloy = bulk("Cu", cubic=True) * (2, 2, 2)
alloy.symbols[::4] = "Au"
alloy.rattle(0.05, seed=1)
dimer = ase.Atoms("CuAu", [(0.0, 0.0, 0.0), (2.5, 0.3, 0.1)])
graph = acegen.GraphBatch.from_atoms([alloy, dimer, ase.Atoms("Au")], model)
out = model.evaluate(graph, properties=("energy", "energies", "forces", "virial", "basis"))
print("energy of each structure (eV):", out.energy)
print("largest force (eV/A):         ", np.abs(out.forces).max())
print("trace of the virials (eV):    ", np.trace(out.virial, axis1=1, axis2=2))

# Linear in the weights: site energy = basis . weights of the own species (no reference energies here).
weights = np.array([array[:, 0] for array in model.weights])
site = np.einsum("ib,ib->i", out.basis, weights[graph.species])
print("energies - basis . weights:   ", np.abs(site - out.energies).max())

# Forces are minus the gradient of the energy: five-point differences along one coordinate.
step, shifts, factors = 0.01, (-2, -1, 1, 2), (1 / 12, -8 / 12, 8 / 12, -1 / 12)
moved = [alloy.copy() for _ in shifts]
for copy, shift in zip(moved, shifts, strict=True):
    copy.positions[7, 0] += shift * step
slope = np.dot(factors, model.evaluate(moved, properties="energy").energy) / step
print(f"force on atom 7 along x: {out.forces[7, 0]:.8f}, by finite differences {-slope:.8f} eV/A")
