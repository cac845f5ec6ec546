"""Linear models rebuilt from a spec alone give the frozen numbers of the independent reference."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from acegen.basis.coupled import enumerate_potential
from acegen.basis.real_form import real_products
from acegen.interpreter import interpret
from acegen.potential import Potential
from acegen.spec.read import read_spec

SYMBOLS = {14: "Si", 32: "Ge"}
NAMES = ["Si_o2_D6", "SiGe_o3_D5", "Si_o4_D8"]


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, dict]:
    return json.loads((shared / "prototypes" / "ace_reference" / "ace_golden.json").read_text())


def rebuild(case: dict, folder: Path) -> Potential:
    """The model of a golden case from the preset ace_jax, with its deterministic weights."""
    symbols = ", ".join(SYMBOLS[z] for z in case["elements"])
    path = folder / "golden.yaml"
    path.write_text(f"preset: ace_jax\nelements: [{symbols}]\norder: {case['order']}\ndegree: {case['totaldegree']}\n")
    potential = enumerate_potential(read_spec(path))
    body, pair = np.arange(case["n_B"]), np.arange(case["n_pair"])
    centres = tuple(
        replace(
            centre,
            e0=-1.0 - z,
            weights=np.concatenate([np.sin(1 + body + 10 * z), np.cos(1 + pair + 10 * z)])[:, None],
        )
        for z, centre in enumerate(potential.centres)
    )
    return replace(potential, centres=centres)


def evaluate(case: dict, potential: Potential):
    species = np.array([case["elements"].index(z) for z in case["Z"]])
    return interpret(potential, species, np.array(case["positions"]), np.zeros((3, 3)), np.zeros(3, dtype=bool))


@pytest.mark.parametrize("name", NAMES)
def test_energy_forces_virial(golden: dict, tmp_path: Path, name: str) -> None:
    case = golden[name]
    found = evaluate(case, rebuild(case, tmp_path))
    scale = np.abs(case["site_energies"]).sum()
    assert abs(found.energy - case["E"]) < 1e-12 * scale
    assert np.abs(found.energies - case["site_energies"]).max() < 1e-12 * scale
    assert np.abs(found.forces - case["F"]).max() < 1e-12 * np.abs(case["F"]).max()
    assert np.abs(found.virial - case["V"]).max() < 1e-12 * np.abs(case["V"]).max()


@pytest.mark.parametrize("name", NAMES)
def test_basis_rows(golden: dict, tmp_path: Path, name: str) -> None:
    """Every row of B and of the pair basis at atom 0, in ace-jax's order and gauge; sizes as published."""
    case = golden[name]
    potential = rebuild(case, tmp_path)
    row = evaluate(case, potential).basis[0]
    expected = np.array(case["B_atom0"] + case["Apair_atom0"])
    assert np.abs(row - expected).max() < 1e-12 * np.abs(expected).max()
    centre = potential.centres[0]
    products = {key for f in centre.functions if not f.pair for key in real_products(f, centre.channels)[0]}
    assert len(products) == case["n_AA"]
    assert len({a for key in products for a in key}) == case["n_A"]
