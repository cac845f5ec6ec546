"""The potentials on which the properties of kernels are tested, and structures that exercise them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import ase
import numpy as np
import pytest
from kernels import Kernels
from spec_texts import SPECS, write_spec
from structures import cluster, lattice
from zoo import frames, zoo_file

from acegen.inputs import read_input
from acegen.interpreter import Interpreted, interpret
from acegen.potential import Potential
from acegen.runtime.model import Model

# five species; "zbl" and "density" core repulsion; mixed numbers of densities; ACE.jl radial functions; linear models
CASES = (
    "Cantor5-medium-s1",
    "NiTi-zbl-s1",
    "Cu-medium-s1",
    "AlNi-mixed-s1",
    "order4",
    "glorot3",
    "solid",
    "splined",
    "embedded",
)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A potential, its kernel with one thread, and structures (the last one is dense: the core repulsion acts)."""

    name: str
    path: Path
    bundle: Path
    potential: Potential
    model: Model
    structures: tuple[ase.Atoms, ...]

    def interpret(self, atoms: ase.Atoms) -> Interpreted:
        """Reference values of one structure."""
        species = np.array([self.model.species.index(symbol) for symbol in atoms.symbols], int)
        return interpret(self.potential, species, atoms.positions, atoms.cell.array, atoms.pbc)


def make_case(name: str, request: pytest.FixtureRequest, kernels: Kernels, folder: Path) -> Case:
    """Compile a case; the cases after it are being built meanwhile."""

    def path_of(each: str) -> Path:
        return write_spec(folder, each) if each in SPECS else zoo_file(request.getfixturevalue("shared"), each)

    path = path_of(name)
    for later in CASES[CASES.index(name) :]:
        kernels.start(path_of(later))
    model = kernels(path)
    dense = lattice(model, (2, 2, 2), 3, spacing=0.36)
    if name not in SPECS:
        dense = frames(path.parent)[3].atoms
    structures = (lattice(model, (2, 2, 2), 1), cluster(model, 2), dense)
    return Case(name, path, kernels.bundle(path), read_input(path).exact, model, structures)
