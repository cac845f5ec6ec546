"""The reference potentials and structures of the PACE zoo, as plain lists."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import ase
import numpy as np

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


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A structure and its trusted values; virial is None where the zoo has none."""

    atoms: ase.Atoms
    energies: np.ndarray  # [n_atoms] eV
    forces: np.ndarray  # [n_atoms, 3] eV/A
    virial: np.ndarray | None  # [3, 3] eV, W = -sum g (x) r


def frames(folder: Path) -> list[Frame]:
    """Structures of ref.npz with the values called `exact`."""
    with np.load(folder / "ref.npz") as archive:
        count = sum(name.startswith("numbers_") for name in archive.files)
        return [
            Frame(
                ase.Atoms(**{key: archive[f"{key}_{k}"] for key in ("numbers", "positions", "cell", "pbc")}),
                archive[f"Ei_exact_{k}"],
                archive[f"F_exact_{k}"],
                -archive[f"virial_exact_{k}"],  # the zoo stores +dE/dstrain
            )
            for k in range(count)
        ]


def quirk(shared: Path, name: str) -> Frame:
    """The structure of a corner case."""
    raw = json.loads((shared / "zoo" / "quirks" / "quirks.json").read_text())[name]
    atoms = ase.Atoms(raw["numbers"], raw["positions"], cell=raw["cell"], pbc=True)
    xx, yy, zz, yz, xz, xy = -atoms.get_volume() * np.array(raw["stress_exact"])
    virial = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return Frame(atoms, np.array(raw["Ei_exact"]), np.array(raw["F_exact"]), virial)


def zoo_file(shared: Path, name: str) -> Path:
    """File of a zoo potential such as "W-small-s1"."""
    return shared / "zoo" / name / f"{name}.yace"
