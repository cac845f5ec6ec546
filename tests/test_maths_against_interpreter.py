"""Generated mathematics and the interpreter, written apart, agree on every bond, core and embedding of the zoo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from acegen.interpreter.core import core_energy
from acegen.interpreter.embedding import embed
from acegen.interpreter.radial import family_values
from acegen.maths.core import core_code
from acegen.maths.derivative import evaluate
from acegen.maths.embedding import embedding_code
from acegen.maths.radial import radial_code
from acegen.maths.tabulated import radial_values
from acegen.pace.read import read_pace
from acegen.potential import Bond, Embedding, Potential


@pytest.fixture(scope="module")
def potentials(shared: Path) -> list[Potential]:
    """Small potentials of the zoo that together have every radial basis, core and embedding."""
    files = sorted((shared / "zoo" / "quirks").rglob("*.yace"))
    files += [shared / "zoo" / name / f"{name}.yace" for name in ("NiTi-zbl-s1", "W-small-s1", "Mo-fs3-s1")]
    return [read_pace(file) for file in files if file.is_file()]


def bonds(potentials: list[Potential]) -> Iterator[Bond]:
    for potential in potentials:
        for row in potential.bonds:
            yield from row


def close(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Within a tolerance of the local value or, where that is small, of 1."""
    np.testing.assert_array_less(np.abs(found - expected) / np.maximum(1.0, np.abs(expected)), tolerance)


def test_primitives(potentials: list[Potential]) -> None:
    families = {(family, bond.cutoff) for bond in bonds(potentials) for family in bond.families}
    assert {family.kind for family, _ in families} >= {"chebexpcos", "chebpow", "cheblinear", "sbessel", "acejl"}
    for family, cutoff in families:
        r = np.linspace(0.3, cutoff, 97)[:-1]
        for found, expected in zip(radial_values(radial_code(family), r), family_values(family, r), strict=True):
            close(found, expected, 1e-12)


def test_core_repulsion(potentials: list[Potential]) -> None:
    cores = {(bond.core, bond.cutoff) for bond in bonds(potentials) if bond.core is not None}
    assert {core.kind for core, _ in cores} == {"exponential", "zbl", "acejl"}
    for core, cutoff in cores:
        r = np.linspace(0.3, cutoff, 97)[:-1]
        for found, expected in zip(radial_values(core_code(core), r), core_energy(core, r), strict=True):
            close(found[:, 0], expected, 1e-12)


@pytest.mark.parametrize("kind", ["linear", "FinnisSinclair", "FinnisSinclairShiftedScaled"])
@pytest.mark.parametrize("exponent", [0.5, 0.37, 0.75, 1.0, 1.6, 2.0])
def test_embedding(kind: str, exponent: float) -> None:
    size = np.concatenate([[0.0, 1e-12], np.logspace(-11, 2, 200)])
    rho = np.concatenate([-size[::-1], size])
    code = embedding_code(kind, exponent)
    found = evaluate(code.section, {"rho": rho, **{c.symbol.name: c.value for c in code.constants}})
    value, slope = embed(Embedding(kind, (1.0,), (exponent,)), rho[:, None])
    close(found["F"], np.ravel(value), 1e-14)
    # at |rho| = 1e-11..1e-6 1 - exp(-(W z)^3) cancels in both; its rounding is multiplied by m z^(m-1)
    close(found["dF"], np.ravel(slope), 1e-11)
