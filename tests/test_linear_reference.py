"""Files of ace-jax and ACEpotentials against an independent program, and against ace-jax itself."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import ase
import numpy as np
import pytest
from kernels import Kernels
from linear_files import write_ace_jax, write_acepotentials
from linear_models import atoms, specified

from acegen.inputs import read_input
from acegen.interpreter import interpret
from acegen.potential import Potential
from acegen.runtime.graph import GraphBatch


def _reference(shared: Path) -> ModuleType:
    """The independent numpy program of the reference data."""
    where = shared / "prototypes" / "ace_reference" / "ace_ref.py"
    source = importlib.util.spec_from_file_location("ace_ref", where)
    assert source is not None and source.loader is not None
    module = importlib.util.module_from_spec(source)
    source.loader.exec_module(module)
    return module


def _evaluated(reference: ModuleType, model: Any, potential: Potential) -> tuple[Any, Any]:
    species, positions, cell, pbc = atoms(len(potential.species))
    edges = reference.neighbours(positions, potential.largest_cutoff, cell)
    numbers = np.array(model.elements)[species]
    return interpret(potential, species, positions, cell, pbc), model.evaluate(numbers, *edges)


@pytest.mark.parametrize(("name", "kind"), [("sige", "analytic"), ("splined", "spline"), ("mixed", "analytic")])
def test_ace_jax_files_against_the_reference(shared: Path, tmp_path: Path, name: str, kind: str) -> None:
    """An independent program that reads the same file finds the same rows, energies, forces and virial."""
    reference = _reference(shared)
    path = write_ace_jax(tmp_path / "model.npz", specified(tmp_path, name), kind)
    arrays = dict(np.load(path))
    lengths = [len(arrays[key]) for key in sorted(arrays) if key.startswith("aa_spec")]
    meta = json.loads(bytes(arrays["meta_json"])) | {"lmax": 8, "aa_lens": lengths}
    np.savez(path, **arrays | {"meta_json": np.frombuffer(json.dumps(meta).encode(), np.uint8)})
    found, expected = _evaluated(reference, reference.ACERef.from_npz(path), read_input(path).potential)
    assert np.abs(found.energies - expected["e"]).max() < 1e-12 * np.abs(expected["e"]).sum()
    assert np.abs(found.forces - expected["F"]).max() < 1e-12 * np.abs(expected["F"]).max()
    rows = np.concatenate([expected["B"], expected["Apair"]], axis=1)
    assert np.abs(found.basis - rows).max() < 1e-12 * np.abs(rows).max()


def ace1_reference(reference: ModuleType, keywords: dict[str, Any], r0: np.ndarray, weights: np.ndarray) -> Any:
    """ace1_model with EquivariantTensors below 0.5, assembled in the reference program (S15.2)."""
    elements, degree = keywords["elements"], keywords["totaldegree"]
    n = len(elements)
    cutoff = keywords.get("rcut", 2.5 * float(r0.max()))
    ours = reference.real_invariants
    reference.real_invariants = None
    bodies = reference.bodies(n, keywords["order"], degree, layout="julia")
    signs = {}
    for body in bodies:
        rows, keys = reference.real_invariants_et04(body)
        assert len(rows) == 1
        signs[tuple(reference._groups(body))] = (rows, keys)
    reference.real_invariants = lambda groups: signs[tuple(groups)]
    coupled = reference.Coupled(bodies, reference.channels(n, degree, 1.5))
    reference.real_invariants = ours
    model = reference.ACERef()
    model.elements = [ase.data.atomic_numbers[symbol] for symbol in elements]
    model.solid, model.penv_kind = False, "ace1_poly1sr"
    model.aspec_r, model.aspec_y, model.aa = coupled.aspec_r, coupled.aspec_y, coupled.aa
    model.a2b, model.n_B = (coupled.rows, coupled.cols, coupled.vals), coupled.n_B
    listed = reference.channels(n, degree, 1.5)
    model.lmax = max(l for _, l in listed)

    def table(species_coded: list[int], abc: tuple[np.ndarray, ...]) -> np.ndarray:
        values = reference.bspline_fit(reference.poly_eval(np.linspace(-1.0, 1.0, 100), *abc)[0])
        out = np.zeros((n, n, 102, len(species_coded)))
        for k, coded in enumerate(species_coded):
            out[:, (coded - 1) % n, :, k] = values[:, (coded - 1) // n]
        return out

    model.spl1 = model.emb = None
    model.spl = table([coded for coded, _ in listed], reference.jacobi_abc(degree + 1, 4, 4))
    model.pspl = table(list(range(1, degree * n + 1)), reference.legendre_abc(degree + 1))
    model.grid = model.pgrid = {"x0": -1.0, "h": 2.0 / 99, "n": 100}
    every = [(i, j) for i in range(n) for j in range(n)]
    model.tr, model.ptr = (
        np.array([reference.agnesi_params(p, q, 0.0, r0[i, j], cutoff) for i, j in every]).reshape(n, n, 7)
        for p, q in ((2, 4), (1, 3))
    )
    model.env = np.tile([-1.0, 1.0, 2.0, 2.0, 1.0], (n, n, 1))
    model.penv = np.array([[cutoff, r0[i, j], 2.0] for i, j in every]).reshape(n, n, 3)
    model.WB = weights[: n * model.n_B].reshape(n, model.n_B).T
    model.Wpair = weights[n * model.n_B :].reshape(n, degree * n).T
    model.E0 = np.array([keywords.get("Eref", {}).get(symbol, 0.0) for symbol in elements])
    return model


@pytest.mark.parametrize(
    ("keywords", "r0", "n_weights"),
    [
        ({"elements": ["Si"], "order": 2, "totaldegree": 6, "rcut": 5.5}, [[2.4]], 23),
        ({"elements": ["Si"], "order": 3, "totaldegree": 7, "Eref": {"Si": -158.5}}, [[2.4]], 44),
        ({"elements": ["Si", "Ge"], "order": 3, "totaldegree": 4, "rcut": 5.0}, [[2.4, 2.45], [2.45, 2.5]], 98),
    ],
)
def test_acepotentials_against_the_reference(
    shared: Path, tmp_path: Path, keywords: dict[str, Any], r0: list[list[float]], n_weights: int
) -> None:
    """Keywords and weights alone give the site energies and forces of the reference program."""
    weights = np.random.default_rng(1).standard_normal(n_weights)
    path = write_acepotentials(tmp_path / "model.json", keywords, weights)
    reference = _reference(shared)
    potential = read_input(path).potential
    model = ace1_reference(reference, keywords, np.array(r0), weights)
    found, expected = _evaluated(reference, model, potential)
    assert np.abs(found.energies - expected["e"]).max() < 1e-12 * np.abs(expected["e"]).sum()
    assert np.abs(found.forces - expected["F"]).max() < 1e-12 * np.abs(expected["F"]).max()


def _peer_python() -> str:
    python = os.environ.get("ACEGEN_PEER_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import ace_jax"], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{python} has no ace_jax")
    return python


SCRIPT = Path(__file__).with_name("ace_jax_files.py")


PEER_CASES = re.findall(r'^        "(\w+)": lambda', SCRIPT.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def peer_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that ace-jax wrote, each with the values it computes from them."""
    folder = tmp_path_factory.mktemp("ace_jax")
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    subprocess.run([_peer_python(), str(SCRIPT), str(folder), *PEER_CASES], check=True, env=environment)
    return folder


@pytest.mark.peer
@pytest.mark.parametrize("name", PEER_CASES)
def test_ace_jax_itself(peer_files: Path, kernels: Kernels, name: str) -> None:
    """Every radial kind, 1 to 3 elements, orders 2 to 4: kernels and ace-jax agree on the same file."""
    model = kernels(peer_files / f"{name}.npz")
    with np.load(peer_files / f"{name}_values.npz") as values:
        for k in range(3):
            symbols = [model.species[s] for s in values[f"species_{k}"]]
            structure = ase.Atoms(symbols, values[f"positions_{k}"], cell=values[f"cell_{k}"], pbc=values[f"pbc_{k}"])
            graph = GraphBatch.from_atoms(structure, model)
            found = model.evaluate(graph, ("energy", "energies", "forces", "virial", "basis"))
            scale = np.abs(found.energies).sum()
            assert abs(float(found.energy[0]) - float(values[f"energy_{k}"])) < 1e-12 * scale
            for key in ("forces", "virial", "basis"):
                expected = values[f"{key}_{k}"]
                got = np.asarray(getattr(found, key)).reshape(expected.shape)
                assert np.abs(got - expected).max() < 1e-12 * np.abs(expected).max(), key
        if "rows_2" in values:
            rows = model.design(graph, "forces").forces
            assert rows is not None and np.abs(rows - values["rows_2"]).max() < 1e-12 * np.abs(rows).max()
