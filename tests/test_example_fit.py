"""A model fitted to Tersoff's silicon, put to work by the example: it gives the crystal that Tersoff's silicon has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from acegen.fitting.fit import fit

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "06_fitted_model.py"

SPEC = """name: tersoff
elements: [Si]
order: 2
n_max: [6, 3]
l_max: [0, 4]
cutoff: 3.2
"""
# J. Tersoff, Phys. Rev. B 38, 9902 (1988): m gamma lambda3 c d cos(theta0) n beta lambda2 B R D lambda1 A
TERSOFF = (3, 1, 0, 100390, 16.217, -0.59825, 0.78734, 1.1e-6, 1.73222, 471.18, 2.85, 0.15, 2.4799, 1830.8)
SIDE = 5.432  # of its crystal, angstrom
STRAINS = np.array([-0.06, -0.04, -0.02, -0.01, 0.0, 0.01, 0.02, 0.04, 0.06])

ROW = r"^\| (\S[^|]*\S) \| ([-0-9.]+) \| ([0-9.]*) \| ([0-9.]*) \|$"  # of the table of properties


def labelled(cell: np.ndarray, rattle: float = 0.0, seed: int = 0, repeat: int = 1) -> ase.Atoms:
    """Eight atoms in `cell`, with Tersoff's energy and forces; perfect ones are repeated after that."""
    tersoff = pytest.importorskip("ase.calculators.tersoff", reason="ASE is too old to have Tersoff's potential")
    atoms = bulk("Si", "diamond", a=SIDE, cubic=True)
    atoms.set_cell(cell, scale_atoms=True)
    atoms.positions += rattle * np.random.default_rng(seed).standard_normal((8, 3))
    if rattle > 0.0 and seed % 4 == 0:
        del atoms[0]  # some with a vacancy
    atoms.calc = tersoff.Tersoff({("Si", "Si", "Si"): tersoff.TersoffParameters(*TERSOFF)})
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    out = atoms * (repeat, repeat, repeat)
    out.calc = SinglePointCalculator(out, energy=repeat**3 * energy, forces=np.tile(forces, (repeat**3, 1)))
    return out


def stretched_and_sheared() -> list[ase.Atoms]:
    """Perfect crystals of 64 atoms under one Green strain each, as in the published sets."""
    found = []
    for strain in STRAINS:
        stretched, sheared = SIDE * np.eye(3), SIDE * np.eye(3)
        stretched[0, 0] *= np.sqrt(1 + 2 * strain)
        sheared[1, :2] = SIDE * strain, SIDE * np.sqrt(1 - strain**2)
        found += [labelled(stretched, repeat=2), labelled(sheared, repeat=2)]
    return found


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the example prints; its picture is there, and nothing is said on standard error."""
    pytest.importorskip("ase.md.nose_hoover_chain", reason="ASE is too old to have Nose-Hoover chains")
    pytest.importorskip("matplotlib", reason="the example draws with matplotlib")
    folder = tmp_path_factory.mktemp("example")
    stream = np.random.default_rng(0)
    sides = SIDE * np.linspace(0.94, 1.06, 40)
    cells = [side * (np.eye(3) + 0.02 * stream.uniform(-1, 1, (3, 3))) for side in sides]
    rattled = [labelled(cell, stream.uniform(0.0, 0.15), seed) for seed, cell in enumerate(cells)]
    write(folder / "train.xyz", rattled + stretched_and_sheared())
    (folder / "tersoff.yaml").write_text(SPEC, encoding="utf-8")
    fit(folder / "tersoff.yaml", folder / "train.xyz", committee=3, threads=1).save(folder / "si")
    command = [sys.executable, "-W", "error", str(EXAMPLE), "si.yaml", "pictures", "--labels", "train.xyz"]
    command += ["--picoseconds", "1", "--kelvin", "300", "--repeat", "2"]
    single = {**os.environ, "ACEGEN_THREADS": "1"}  # 64 atoms gain nothing by more, and wait for busy cores
    result = subprocess.run(command, cwd=folder, env=single, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    assert (folder / "pictures" / "tersoff_properties.svg").read_text(encoding="utf-8").startswith("<?xml")
    return result.stdout


def test_forces_stress_and_force_constants_are_derivatives(output: str) -> None:
    errors = [float(number) for number in re.findall(r"(?:energy:|asymmetry|over the atoms) (\S+e-\d+)", output)]
    assert len(errors) == 4 and max(errors) < 1e-8


def test_elastic_constants_are_those_of_the_potential_that_was_fitted(output: str) -> None:
    rows = {name: [float(x or "nan") for x in row] for name, *row in re.findall(ROW, output, re.MULTILINE)}
    assert rows["lattice constant, Å"][0] == pytest.approx(SIDE, rel=1e-3)
    assert rows["bulk modulus of E(V), GPa"][0] == pytest.approx(rows["(C11 + 2 C12) / 3, GPa"][0], rel=2e-3)
    for name in ("C11", "clamped C44"):
        model, _, labels = rows[f"{name} of labelled cells, GPa"]
        assert model == pytest.approx(labels, rel=0.1)
    assert all(deviation > 0.0 for _, deviation, _ in rows.values())


def test_dynamics_keep_what_the_thermostat_conserves(output: str) -> None:
    drift, change = map(float, re.search(r"drift (\S+) µeV/atom/ps, largest change in 50 fs (\S+)", output).groups())
    assert abs(drift) < 500.0 and change < 1000.0
    kelvin = float(re.search(r"^\| 1 \| (\d+) \|", output, re.MULTILINE)[1])
    assert 200.0 < kelvin < 400.0
