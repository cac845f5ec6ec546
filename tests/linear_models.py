"""Linear models for tests of the files of ace-jax and ACEpotentials: specifications, structures, comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from acegen.inputs import read_input
from acegen.potential import Potential

MODELS = {
    "si": "preset: ace_jax\nelements: [Si]\norder: 4\ndegree: 7\n",
    "sige": "preset: ace_jax\nelements: [Si, Ge]\norder: 3\ndegree: 4\nradial: {transform: {r_in: 0.3}}\n"
    "reference_energies: {Si: -1.5, Ge: 2.0}\n",
    "mixed": "elements: [Ni, Al, Ti]\norder: 2\ndegree: 4\ncutoff: 4.8\nradial: {weights: {kind: glorot, seed: 6}}\n"
    "pair: {degree: 2}\nbonds: {Ni-Al: {cutoff: 4.4}, Ti->Ni: {cutoff: 4.1}}\n",
    "jacobi": "preset: ace1\nelements: [Si, Ge]\norder: 3\ndegree: 4\nradial: {evaluation: exact}\n"
    "pair: {evaluation: exact}\n",
    "splined": "preset: ace1\nelements: [Ge, Si]\norder: 3\ndegree: 4\n",
}


WEIGHTS = "weights: {kind: random, seed: 3}\n"


def specified(folder: Path, name: str) -> Potential:
    path = folder / f"{name}.yaml"
    path.write_text(MODELS[name] + WEIGHTS)
    return read_input(path).exact


def atoms(n_species: int, periodic: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Species, positions, cell and pbc of eight atoms at random, not too close."""
    random = np.random.default_rng(5)
    grid = np.stack(np.meshgrid(*[np.arange(2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    positions = 2.7 * grid + random.uniform(-0.4, 0.4, (8, 3))
    cell = 5.4 * np.eye(3) + random.uniform(-0.3, 0.3, (3, 3))
    return np.arange(8) % n_species, positions, cell, np.full(3, periodic)


def assert_same(found: Any, expected: Any, tolerance: float = 1e-12) -> None:
    """Energies relative to the sum of their sizes, all else to the largest entry."""
    scale = np.abs(np.asarray(expected.energies)).sum()
    assert abs(float(np.sum(found.energy)) - float(np.sum(expected.energy))) < tolerance * scale
    for key in ("forces", "virial", "basis"):
        a, b = np.asarray(getattr(found, key)), np.asarray(getattr(expected, key))
        assert np.abs(a.reshape(b.shape) - b).max() < tolerance * np.abs(b).max(), key
