"""Files of ace-jax give the numbers of the specifications they state, with every kind of radial functions."""

from __future__ import annotations

import json
from pathlib import Path

import ase
import numpy as np
import pytest
from kernels import Kernels
from linear_files import spline_coefficients, write_ace_jax
from linear_models import MODELS, WEIGHTS, assert_same, atoms, specified

import acegen
from acegen.inputs import read_input
from acegen.interpreter import interpret
from acegen.runtime.graph import GraphBatch


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("si", "analytic"),
        ("sige", "analytic"),
        ("mixed", "analytic"),
        ("jacobi", "analytic"),
        ("splined", "spline"),
        ("splined", "spline_factorised"),
    ],
)
def test_ace_jax_file_is_the_specified_model(tmp_path: Path, name: str, kind: str) -> None:
    """A file of each radial kind gives energy, forces, virial and every row of B of the specification it states."""
    expected = specified(tmp_path, name)
    path = write_ace_jax(tmp_path / "model.npz", expected, kind)
    found = read_input(path).potential
    assert found.species == expected.species and found.replaceable and found.linear
    assert all(f is g for f, g in zip(found.centres[0].functions, found.centres[-1].functions, strict=True))
    given = atoms(len(expected.species))
    assert_same(interpret(found, *given), interpret(expected, *given))


@pytest.mark.parametrize(("name", "kind"), [("mixed", "analytic"), ("splined", "spline")])
def test_kernel_of_an_ace_jax_file(tmp_path: Path, kernels: Kernels, name: str, kind: str) -> None:
    """The compiled model agrees with the interpreter, and takes other weights."""
    path = write_ace_jax(tmp_path / f"{name}_{kind}.npz", specified(tmp_path, name), kind)
    model, potential = kernels(path), read_input(path).potential
    species, positions, cell, pbc = atoms(len(potential.species))
    structure = ase.Atoms([potential.species[s] for s in species], positions, cell=cell, pbc=pbc)
    graph = GraphBatch.from_atoms(structure, model)
    found = model.evaluate(graph, ("energy", "energies", "forces", "virial", "basis"))
    assert_same(found, interpret(potential, species, positions, cell, pbc))
    weights = [np.cos(np.arange(len(c.functions)) + a)[:, None] for a, c in enumerate(potential.centres)]
    model.weights = weights
    expected = sum(
        potential.centres[s].e0 + float(row[: len(weights[s])] @ weights[s][:, 0])
        for s, row in zip(species, found.basis, strict=True)
    )
    assert float(model.evaluate(graph, ("energy",)).energy[0]) == pytest.approx(expected, rel=1e-12)


def test_radial_functions_that_vanish(tmp_path: Path, kernels: Kernels) -> None:
    """Functions that are zero for one centre, or for all, keep their rows."""
    path = write_ace_jax(tmp_path / "vanishing.npz", specified(tmp_path, "mixed"))
    arrays = dict(np.load(path))
    weights, pair = arrays["rnl_Wnlq"].copy(), arrays["pair_Wnlq"].copy()
    weights[:, :, 0], weights[:, :, -1], weights[1, :, 1], pair[:, :, 0] = 0.0, 0.0, 0.0, 0.0
    np.savez(path, **arrays | {"rnl_Wnlq": weights, "pair_Wnlq": pair})
    model, potential = kernels(path), read_input(path).potential
    species, positions, cell, pbc = atoms(3)
    structure = ase.Atoms([potential.species[s] for s in species], positions, cell=cell, pbc=pbc)
    expected = interpret(potential, species, positions, cell, pbc)
    assert 0 < int((expected.basis == 0.0).all(axis=0).sum()) < expected.basis.shape[1]
    graph = GraphBatch.from_atoms(structure, model)
    assert_same(model.evaluate(graph, ("energy", "energies", "forces", "virial", "basis")), expected)


def test_rows_of_channels_that_some_neighbours_lack(tmp_path: Path) -> None:
    """Radial functions may be zero for one neighbour species and not for another, between others that are not."""
    order_three = MODELS["mixed"].replace("order: 2", "order: 3") + WEIGHTS
    (tmp_path / "three.yaml").write_text(order_three)
    path = write_ace_jax(tmp_path / "gaps.npz", read_input(tmp_path / "three.yaml").exact)
    arrays = dict(np.load(path))
    weights = arrays["rnl_Wnlq"].copy()
    weights[:, 1, 1::2] = 0.0
    np.savez(path, **arrays | {"rnl_Wnlq": weights})
    model = acegen.load(path, threads=1)
    species, positions, cell, pbc = atoms(len(model.species))
    structure = ase.Atoms([model.species[s] for s in species], positions, cell=cell, pbc=pbc)
    forces = model.design(structure, "forces").forces
    h = 1e-4
    for atom, axis in ((0, 0), (len(structure) - 1, 2)):
        energy = []
        for step in (h, -h):
            moved = structure.copy()
            moved.positions[atom, axis] += step
            energy.append(model.design(moved, "energy").energy[0])
        difference = (energy[1] - energy[0]) / (2 * h)
        # central differences: h^2 of the third derivative
        np.testing.assert_allclose(forces[atom, axis], difference, rtol=0, atol=1e-6 * np.abs(difference).max())


def test_older_files_hold_a_dense_coupling(tmp_path: Path) -> None:
    """A2B as a matrix, with cancellation noise in it, is the same model."""
    path = write_ace_jax(tmp_path / "model.npz", specified(tmp_path, "sige"))
    arrays = dict(np.load(path))
    dense = np.zeros(arrays["A2B_shape"])
    dense[arrays["A2B_rows"], arrays["A2B_cols"]] = arrays["A2B_vals"]
    row, column = np.argwhere(dense)[-1]
    dense[row, column - 1] += 4e-17
    kept = {key: value for key, value in arrays.items() if not key.startswith("A2B")}
    np.savez(tmp_path / "dense.npz", A2B=dense, **kept)
    given = atoms(2)
    found = interpret(read_input(tmp_path / "dense.npz").potential, *given)
    assert_same(found, interpret(read_input(path).potential, *given), 1e-14)


def test_splines_and_scales_of_their_own(tmp_path: Path) -> None:
    """Any number of nodes, and the s of an envelope, are taken from the file: doubling s doubles the functions."""
    path = write_ace_jax(tmp_path / "model.npz", specified(tmp_path, "splined"), "spline")
    arrays = dict(np.load(path))
    meta = json.loads(bytes(arrays["meta_json"]))
    x = np.linspace(-1.0, 1.0, 40)
    column = spline_coefficients(np.cos(2.0 * x))
    meta["rnl_spline"] = {"x0": -1.0, "h": 2.0 / 39, "n": 40}
    arrays["meta_json"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    shape = (2, 2, 42, arrays["rnl_spline_coefs"].shape[-1])
    arrays["rnl_spline_coefs"] = np.broadcast_to(column[:, None], shape).copy()
    np.savez(path, **arrays)
    given = atoms(2)
    first = interpret(read_input(path).potential, *given).basis
    n_body = len(arrays["WB"])
    orders = [len(f.channels) for f in read_input(path).potential.centres[0].functions]
    arrays["rnl_envelope"][..., 4] *= 2.0
    np.savez(path, **arrays)
    second = interpret(read_input(path).potential, *given).basis
    factor = np.where(np.arange(len(orders)) < n_body, 2.0 ** np.array(orders), 1.0)
    assert np.abs(second - factor * first).max() < 1e-13 * np.abs(second).max()
