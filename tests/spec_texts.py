"""Small specifications that between them use every branch of the code generator for linear models."""

from __future__ import annotations

import os
from pathlib import Path

SPECS = {
    # correlation order 4, weights that can be replaced
    "order4": """
elements: [Si]
order: 4
degree: [9, 8, 8, 7]
cutoff: 5.0
pair: {degree: 5}
reference_energies: {Si: -3.25}
weights: {kind: random, seed: 4}
weights_replaceable: true
""",
    # order 5: triples times pairs
    "order5": """
elements: [C]
order: 5
degree: [6, 6, 6, 6, 6]
cutoff: 4.2
radial: {transform: {r0: 1.5}}
weights: {kind: random, seed: 5}
""",
    # three species share channels through random radial weights
    "glorot3": """
elements: [Ni, Al, Ti]
order: 3
degree: [6, 5, 5]
cutoff: 4.8
radial: {weights: {kind: glorot, seed: 6}}
pair: {degree: 4}
bonds: {Ni-Al: {cutoff: 4.4}, Ti->Ni: {cutoff: 4.1}}
reference_energies: {Ni: -1.0, Ti: 0.5}
weights: {kind: random, seed: 6}
weights_replaceable: true
""",
    # order 5 of two species: a neighbour in few functions, some of them made of others, level by level
    "binary5": """
elements: [Ni, Al]
order: 5
degree: [5, 5, 5, 6, 6]
cutoff: 4.8
pair: {degree: 3}
bonds: {Ni-Al: {cutoff: 4.4}}
weights: {kind: random, seed: 11}
""",
    # solid harmonics, ace-jax's choices, two species
    "solid": """
preset: ace_jax
elements: [Si, Ge]
order: 3
degree: 5
cutoff: 5.0
weights: {kind: random, seed: 7, scale: 0.05}
""",
    # ACE1: Jacobi polynomials through natural cubic splines of 100 nodes
    "splined": """
preset: ace1
elements: [Cu]
order: 3
degree: 8
weights: {kind: random, seed: 8}
""",
    # certified tables of our own; the tolerance keeps them small
    "tabulated": """
elements: [Cu]
order: 3
degree: [7, 7, 6]
cutoff: 5.2
radial: {evaluation: {kind: tabulated, tolerance: 1.0e-9}}
pair: {degree: 4, envelope: poly2sx, evaluation: {kind: tabulated, tolerance: 1.0e-9}}
weights: {kind: random, seed: 9}
""",
    # two densities with an embedding
    "embedded": """
elements: [Mo]
order: 2
degree: 7
cutoff: 4.9
embedding: {kind: FinnisSinclairShiftedScaled, scales: [1.0, 0.7], exponents: [1.0, 0.5]}
weights: {kind: random, seed: 10}
""",
}


def write_spec(folder: Path, name: str) -> Path:
    """Write one of the specifications above to `folder` and return its path."""
    path = folder / f"{name}.yaml"
    if not path.exists():
        aside = folder / f".{name}.{os.getpid()}"
        aside.write_text(SPECS[name])
        aside.replace(path)
    return path
