"""The compiled kernels reproduce every reference value of the PACE zoo.

float64: 1e-12 of the largest site energy, 1e-10 of the largest force component and of the largest virial entry.
float32: 1e-6 of the largest site energy, 1e-5 of the largest force and virial entry.
Only the published copper cancels sums of 1e5 eV to 1 eV: four units in the last place of those sums are granted on top
to its site energies.  `pytest -s` prints how close each kernel came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from kernels import Kernels
from zoo import KINDS, QUIRKS, Frame, frames, quirk, zoo_file

from acegen.pace.read import read_pace
from acegen.potential import Potential
from acegen.runtime.model import Model

PROPERTIES = ("energy", "energies", "forces", "virial", "virials")
DOUBLE = (1e-12, 1e-10)
SINGLE = (1e-6, 1e-5)
SEEDS = (1, 2)
FROM_B_BASIS = ("W-small-s1", "AlNi-mixed-s2", "NiTi-zbl-s2")


class Closeness:
    """Measured agreement, printed as a table at the end."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, float, float]] = []

    def check(self, name: str, model: Model, references: Sequence[Frame], terms: Sequence[float] = ()) -> None:
        """Evaluate every structure; energies of each atom and of the whole, forces, virial.

        Args:
            terms: per structure, sum of |terms| of the site energy where cancellation matters, eV.
        """
        single = model.precision == "float32"
        limits = SINGLE if single else DOUBLE
        ulp = float(np.finfo(np.float32 if single else np.float64).eps)
        measured = [deviations(model, frame) for frame in references]
        self.rows.append((name, *np.max(measured, axis=0).tolist()))
        for k, (energies, forces, virial) in enumerate(measured):
            frame = references[k]
            cancelling = terms[k] / np.abs(frame.energies).max() if terms else 0.0
            assert energies <= limits[0] + 4.0 * ulp * cancelling
            assert forces <= limits[1]
            assert virial <= limits[1]


def size(array: np.ndarray) -> float:
    """Largest magnitude; 1 for an array of zeros, to divide by."""
    return float(np.abs(array).max()) or 1.0


def deviations(model: Model, frame: Frame) -> tuple[float, float, float]:
    """Largest relative error of site energies, forces and virial; structure sums are consistent with their parts."""
    out = model.evaluate(frame.atoms, PROPERTIES)
    scale = size(frame.energies)
    energies = np.abs(out.energies - frame.energies).max() / scale
    energy = abs(out.energy[0] - frame.energies.sum()) / (len(frame.atoms) * scale)
    forces = np.abs(out.forces - frame.forces).max() / size(frame.forces)
    virial = np.abs(out.virial[0] - frame.virial).max() / size(frame.virial)
    assert abs(out.energies.sum() - out.energy[0]) <= 1e-12 * np.abs(out.energies).sum()
    assert np.abs(out.virials.sum(axis=0) - out.virial[0]).max() <= 1e-12 * np.abs(out.virials).sum(axis=0).max()
    return max(energies, energy), forces, virial


def magnitudes(model: Model, potential: Potential, references: Sequence[Frame]) -> list[float]:
    """Per structure, the largest sum over basis functions of |weight B| in the first density of an atom, eV."""
    found = []
    for frame in references:
        rows = np.abs(model.evaluate(frame.atoms, "basis").basis)
        species = [potential.species.index(symbol) for symbol in frame.atoms.symbols]
        sums = [
            rows[i, : len(potential.centres[a].weights)] @ np.abs(potential.centres[a].weights[:, 0])
            for i, a in enumerate(species)
        ]
        found.append(float(max(sums)))
    return found


@pytest.fixture(scope="module")
def closeness() -> Iterator[Closeness]:
    table = Closeness()
    yield table
    print(f"\n{'kernel':36}{'site energies':>14}{'forces':>10}{'virial':>10}   largest relative error")
    for name, energies, forces, virial in table.rows:
        print(f"{name:36}{energies:14.1e}{forces:10.1e}{virial:10.1e}")


@pytest.fixture(scope="module", autouse=True)
def started(request: pytest.FixtureRequest, shared: Path, kernels: Kernels) -> None:
    """Build the kernels of all selected tests in the background, in their order."""
    for item in request.session.items:
        if item.path == request.path and isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            values = item.callspec.params
            if "quirk_name" in values:
                kernels.start(quirk_file(shared, values["quirk_name"]))
            elif "b_basis" in values:
                kernels.start(zoo_file(shared, values["b_basis"]).with_suffix(".yaml"))
            elif "name" in values:
                kernels.start(zoo_file(shared, values["name"]), values.get("precision"))


def quirk_file(shared: Path, name: str) -> Path:
    return shared / "zoo" / "quirks" / f"{name}.yace"


@pytest.mark.parametrize("name", [f"{kind}-s{seed}" for kind in KINDS for seed in SEEDS])
def test_zoo(shared: Path, kernels: Kernels, closeness: Closeness, name: str) -> None:
    """Both seeds of every kind at the default settings."""
    path = zoo_file(shared, name)
    closeness.check(name, kernels(path), frames(path.parent))


@pytest.mark.parametrize("precision", ["float32"])
@pytest.mark.parametrize("name", [f"{kind}-s1" for kind in KINDS])
def test_zoo_in_single_precision(
    shared: Path, kernels: Kernels, closeness: Closeness, name: str, precision: str
) -> None:
    path = zoo_file(shared, name)
    closeness.check(f"{name} {precision}", kernels(path, precision), frames(path.parent))


@pytest.mark.parametrize("b_basis", FROM_B_BASIS)
def test_zoo_from_the_b_basis(shared: Path, kernels: Kernels, closeness: Closeness, b_basis: str) -> None:
    """The .yaml files have the same functions in another form, without the energies of isolated atoms."""
    path = zoo_file(shared, b_basis)
    model = kernels(path.with_suffix(".yaml"))
    twin = read_pace(path)
    assert twin.species == model.species
    isolated = {symbol: centre.e0 for symbol, centre in zip(twin.species, twin.centres, strict=True)}
    references = [
        Frame(
            frame.atoms,
            frame.energies - [isolated[symbol] for symbol in frame.atoms.symbols],
            frame.forces,
            frame.virial,
        )
        for frame in frames(path.parent)
    ]
    closeness.check(f"{b_basis}.yaml", model, references)


@pytest.mark.parametrize("quirk_name", QUIRKS)
def test_quirks(shared: Path, kernels: Kernels, closeness: Closeness, quirk_name: str) -> None:
    """Corner cases: every radial basis, inner mode, core repulsion, legacy keys, ACE.jl radial functions."""
    closeness.check(quirk_name, kernels(quirk_file(shared, quirk_name)), [quirk(shared, quirk_name)])


def test_published_copper(shared: Path, kernels: Kernels, copper: Path, closeness: Closeness) -> None:
    """The text format; its densities cancel from ~1e5 to ~1."""
    model, references = kernels(copper), frames(shared / "zoo" / "Cu-PBE-core-rep")
    closeness.check(copper.name, model, references, magnitudes(model, read_pace(copper), references))
    for frame in references:  # rounding of single sites averages out: the plain limit holds for structures
        energy, expected = model.evaluate(frame.atoms, "energy").energy[0], frame.energies.sum()
        assert abs(energy - expected) <= DOUBLE[0] * abs(expected)
