"""Linear models: the compiled kernel gives the frozen numbers, rows B that are invariant and independent, and
energies that are their weighted sum."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
from kernels import Kernels
from spec_texts import SPECS, write_spec
from structures import cluster, edge_vectors, lattice, rotation, worst

from acegen import GraphBatch
from acegen.runtime.model import Model

SYMBOLS = {14: "Si", 32: "Ge"}
GOLDEN = ("Si_o2_D6", "SiGe_o3_D5", "Si_o4_D8")
LINEAR = ("order4", "order5", "glorot3", "solid", "splined", "tabulated")


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "prototypes" / "ace_reference" / "ace_golden.json").read_text())


@pytest.fixture(scope="module", params=GOLDEN)
def case(request: pytest.FixtureRequest, golden: dict[str, Any]) -> dict[str, Any]:
    """One frozen model of the independent reference with its structure."""
    return {"name": request.param, **golden[request.param]}


@pytest.fixture(scope="module")
def golden_model(case: dict[str, Any], spec_folder: Path, kernels: Kernels) -> Model:
    """The same model from its specification, the reference's weights in a file beside it."""
    symbols = [SYMBOLS[z] for z in case["elements"]]
    body, pair = np.arange(case["n_B"]), np.arange(case["n_pair"])
    weights = {
        f"weights_{a}": np.concatenate([np.sin(1 + body + 10 * a), np.cos(1 + pair + 10 * a)])
        for a in range(len(symbols))
    }
    np.savez(spec_folder / f"{case['name']}.npz", **weights)
    energies = ", ".join(f"{symbol}: {-1.0 - a}" for a, symbol in enumerate(symbols))
    path = spec_folder / f"{case['name']}.yaml"
    path.write_text(
        f"preset: ace_jax\nelements: [{', '.join(symbols)}]\norder: {case['order']}\ndegree: {case['totaldegree']}\n"
        f"reference_energies: {{{energies}}}\nweights: {{kind: file, file: {case['name']}.npz}}\n"
    )
    return kernels(path)


def test_golden_energy_forces_virial(case: dict[str, Any], golden_model: Model) -> None:
    out = golden_model.evaluate(
        ase.Atoms(case["Z"], case["positions"]), ("energy", "energies", "forces", "virial", "basis")
    )
    scale = np.abs(case["site_energies"]).sum()
    assert abs(out.energy[0] - case["E"]) <= 1e-12 * scale
    assert np.abs(out.energies - case["site_energies"]).max() <= 1e-12 * scale
    assert worst(out.forces, np.array(case["F"])) <= 1e-12
    assert worst(out.virial[0], np.array(case["V"])) <= 1e-12


def test_golden_basis_rows(case: dict[str, Any], golden_model: Model) -> None:
    """Every row of B and of the pair basis at atom 0, in ace-jax's order and gauge."""
    row = golden_model.evaluate(ase.Atoms(case["Z"], case["positions"]), "basis").basis[0]
    assert worst(row, np.array(case["B_atom0"] + case["Apair_atom0"])) <= 1e-12


@pytest.fixture(scope="module", params=LINEAR)
def model(request: pytest.FixtureRequest, spec_folder: Path, kernels: Kernels) -> Model:
    """Linear models; all of those that follow are being built meanwhile."""
    for name in LINEAR[LINEAR.index(request.param) :]:
        kernels.start(write_spec(spec_folder, name))
    return kernels(write_spec(spec_folder, request.param))


def reference_energies(model: Model, symbols: list[str]) -> np.ndarray:
    """E0 of every atom, from isolated atoms."""
    isolated = model.evaluate([ase.Atoms([symbol]) for symbol in model.species], "energy").energy
    return np.array([isolated[model.species.index(symbol)] for symbol in symbols])


def test_energy_is_the_weighted_sum_of_the_basis(model: Model) -> None:
    """E_i = E0 + sum_b w_b B_b(i)."""
    atoms = lattice(model, (3, 2, 2))
    out = model.evaluate(atoms, ("energies", "basis"))
    symbols = list(atoms.symbols)
    weights = [model.weights[model.species.index(symbol)][:, 0] for symbol in symbols]
    sums = np.array([row[: len(w)] @ w for row, w in zip(out.basis, weights, strict=True)])
    assert worst(sums + reference_energies(model, symbols), out.energies) <= 1e-13


def test_every_row_is_invariant(model: Model) -> None:
    """Each basis function of the kernel under rotation, reflection and permutation, relative to its own size."""
    atoms = cluster(model, 3, (2, 2, 3))
    rows = model.evaluate(atoms, "basis").basis
    order = np.random.Generator(np.random.Philox(3)).permutation(len(atoms))
    size = np.abs(rows).max(axis=0)
    assert (size[: model.manifest.n_basis] > 0.0).all()
    for matrix in (rotation(1), -rotation(2)):
        turned = ase.Atoms(atoms.symbols, atoms.positions @ matrix.T)
        assert (np.abs(model.evaluate(turned, "basis").basis - rows).max(axis=0) <= 1e-12 * size).all()
    assert (np.abs(model.evaluate(atoms[order], "basis").basis - rows[order]).max(axis=0) <= 1e-12 * size).all()


def test_rows_are_independent(model: Model) -> None:
    """As many random neighbourhoods as rows and a few more: the matrix of basis values has full rank."""
    n_rows = model.manifest.n_basis_per_species[0][0] + model.manifest.n_basis_per_species[0][1]
    stream = np.random.Generator(np.random.Philox(11))
    count, n_neighbours = 2 * n_rows + 10, 12
    directions = stream.standard_normal((count * n_neighbours, 3))
    lengths = model.cutoffs[0].min() * stream.uniform(0.3, 0.95, (count * n_neighbours, 1))
    vectors = directions / np.linalg.norm(directions, axis=1, keepdims=True) * lengths
    n_species = len(model.species)
    graph = GraphBatch.from_arrays(  # centres first, then their neighbours, which have no edges of their own
        species=np.concatenate([np.zeros(count, int), stream.integers(0, n_species, count * n_neighbours)]).astype(
            np.int32
        ),
        edge_from=np.repeat(np.arange(count), n_neighbours).astype(np.int32),
        edge_to=(count + np.arange(count * n_neighbours)).astype(np.int32),
        edge_vectors=vectors,
    )
    rows = model.evaluate(graph, "basis").basis[:count, :n_rows]
    values = np.linalg.svd(rows / np.linalg.norm(rows, axis=0), compute_uv=False)
    assert values[-1] > 1e-10 * values[0]


@pytest.mark.parametrize("name", [name for name in LINEAR if "weights_replaceable" in SPECS[name]])
def test_replaced_weights_equal_compiled_weights(name: str, spec_folder: Path, kernels: Kernels) -> None:
    """model.weights = new gives what a kernel compiled with those weights gives; the old ones come back exactly."""
    model = kernels(write_spec(spec_folder, name))
    stream = np.random.Generator(np.random.Philox(12))
    new = tuple(old * stream.uniform(-2.0, 2.0, old.shape) for old in model.weights)
    np.savez(spec_folder / f"{name}_new.npz", **{f"weights_{a}": array for a, array in enumerate(new)})
    path = spec_folder / f"{name}_new.yaml"
    text = SPECS[name].replace("weights_replaceable: true\n", "")
    lines = [line for line in text.splitlines() if not line.startswith("weights:")]
    path.write_text("\n".join([*lines, f"weights: {{kind: file, file: {name}_new.npz}}", ""]))
    fresh = kernels(path)
    properties = ("energy", "energies", "forces", "virial", "virials")
    atoms, old = [lattice(model, (2, 2, 2)), cluster(model)], model.weights
    before, expected = model.evaluate(atoms, properties), fresh.evaluate(atoms, properties)
    try:
        model.weights = new
        found = model.evaluate(atoms, properties)
    finally:
        model.weights = old
    after = model.evaluate(atoms, properties)
    for each in properties:
        assert worst(getattr(found, each), getattr(expected, each)) <= 1e-14, each
        assert worst(getattr(after, each), getattr(before, each)) <= 1e-14, each
        assert worst(getattr(found, each), getattr(before, each)) > 1e-3, each
    assert all(np.array_equal(a, b) for a, b in zip(fresh.weights, new, strict=True))


def test_zero_weights_leave_the_isolated_atoms(spec_folder: Path, kernels: Kernels) -> None:
    """Exactly E0 and no force, whatever the neighbours."""
    model = kernels(write_spec(spec_folder, "glorot3"))
    atoms, old = lattice(model, (2, 2, 2)), model.weights
    expected = reference_energies(model, list(atoms.symbols))
    try:
        model.weights = [np.zeros_like(array) for array in old]
        out = model.evaluate(atoms, ("energies", "forces", "virial"))
    finally:
        model.weights = old
    assert np.array_equal(out.energies, expected)
    assert not out.forces.any()
    assert not out.virial.any()
    assert len(edge_vectors(GraphBatch.from_atoms(atoms, model))) > 0
