"""Linear models rebuilt from a spec alone give the frozen numbers of the independent reference."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from acegen.basis.coupled import enumerate_potential
from acegen.basis.one_particle import radial_channels
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


def test_given_one_hot_radial_weights_are_the_one_hot_model(tmp_path: Path) -> None:
    """Channels over all neighbour species, filled with a one-hot matrix from a file, give the same basis rows."""
    text = "elements: [Si, Ge]\norder: 3\ndegree: 5\ncutoff: 5\npair: {degree: 3}\n"
    (tmp_path / "model.yaml").write_text(text)
    spec = read_spec(tmp_path / "model.yaml")
    listed = radial_channels(spec)
    matrix = np.zeros((2, 2, len(listed), 5))
    for row, channel in enumerate(listed):
        matrix[:, (channel.n - 1) % 2, row, (channel.n - 1) // 2] = 1.0
    np.savez(tmp_path / "radial.npz", W=matrix)
    extra = "radial: {n_polynomials: 5, weights: {kind: file, file: radial.npz}}\n"
    (tmp_path / "given.yaml").write_text(text + extra)
    stream = np.random.Generator(np.random.Philox(2))
    species, positions = np.array([0, 1, 1, 0, 1, 0]), stream.uniform(0.0, 4.5, (6, 3))
    rows = [
        interpret(enumerate_potential(each), species, positions, 4.5 * np.eye(3), np.ones(3, dtype=bool)).basis
        for each in (spec, read_spec(tmp_path / "given.yaml"))
    ]
    assert np.abs(rows[0] - rows[1]).max() < 1e-13 * np.abs(rows[0]).max()
