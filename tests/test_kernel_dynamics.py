"""Molecular dynamics through the ASE calculator conserves energy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import units
from ase.build import bulk
from ase.md.verlet import VelocityVerlet
from kernels import Kernels
from zoo import zoo_file

LARGEST_DRIFT = 1e-5  # eV per atom


def test_energy_is_conserved(shared: Path, kernels: Kernels) -> None:
    """1,000 steps of 1 fs with 64 atoms at 300 K: no drift, and neighbour lists are reused.

    Zoo potentials are random; this one has a stable crystal at a = 2.844 A.
    """
    atoms = bulk("W", "bcc", a=2.844, cubic=True).repeat((4, 4, 2))
    assert len(atoms) == 64
    calculator = kernels(zoo_file(shared, "W-small-s2")).calculator()
    atoms.calc = calculator
    # twice the temperature: half of it becomes potential energy
    gauss = np.random.Generator(np.random.Philox(1)).standard_normal((64, 3))
    atoms.set_momenta(np.sqrt(units.kB * 600.0 * atoms.get_masses())[:, None] * (gauss - gauss.mean(axis=0)))
    dynamics = VelocityVerlet(atoms, 1.0 * units.fs)
    energies = []
    dynamics.attach(lambda: energies.append(atoms.get_total_energy() / len(atoms)))
    dynamics.run(1000)
    kinetic = atoms.get_kinetic_energy() / len(atoms)
    assert kinetic > 0.01  # still hot: about 300 K after equipartition
    time = np.linspace(-0.5, 0.5, len(energies))
    slope = time @ np.array(energies) / (time @ time)  # least squares: change over the whole run
    assert abs(slope) < LARGEST_DRIFT
    assert calculator.n_lists < 50
    print(
        f"\ndrift {1e3 * slope:.1e} meV/atom in 1,000 steps, {calculator.n_lists} neighbour lists, "
        f"spread {1e3 * np.ptp(energies):.1e} meV/atom"
    )
