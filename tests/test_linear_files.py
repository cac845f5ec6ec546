"""Models of ace-jax and ACEpotentials give the numbers of their own program, or are refused with one sentence."""

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
from linear_files import spline_coefficients, write_ace_jax, write_acepotentials

import acegen
from acegen.errors import AcegenError
from acegen.inputs import read_input
from acegen.interpreter import interpret
from acegen.potential import Potential
from acegen.runtime.graph import GraphBatch

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


def _complaint(path: Path) -> str:
    with pytest.raises(AcegenError) as caught:
        read_input(path)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400 and path.name in text
    return text


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("meta_json", None, "expected an ace-jax model (an array meta_json), found arrays A2B_cols"),
        ("WB", None, "WB: expected this array"),
        ("E0", np.zeros(5), "E0: expected shape [2], found [5]"),
        ("WB", np.full((3, 2), np.nan), "WB: expected finite numbers"),
        ("WB", np.zeros((3, 2)), "A2B_shape: expected [3, "),
        ("Wpair", np.zeros((1, 2)), "Wpair: expected a row for each of the "),
        ("elements", np.array([14, 14]), "elements: expected different atomic numbers"),
        ("aspec_r", np.array([99]), "aspec_r: expected indices from 0"),
        ("polys_A", np.ones(2), "polys_A: expected shape"),
        ("A2B_rows", np.array([0.5]), "A2B_rows: expected"),
        ("pair_rcuts", np.full((2, 2), "far"), "pair_rcuts: expected real numbers, found type <U3"),
        ("rcuts", np.full((2, 2), np.nan), "rcuts: expected finite numbers"),
    ],
)
def test_damaged_archives(tmp_path: Path, key: str, value: np.ndarray | None, said: str) -> None:
    path = write_ace_jax(tmp_path / "model.npz", specified(tmp_path, "sige"))
    arrays = dict(np.load(path))
    arrays.pop(key, None)
    np.savez(path, **arrays if value is None else {**arrays, key: value})
    assert said in _complaint(path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("schema_version", 2, "meta_json.schema_version: expected 1, found 2"),
        ("radial_kind", "magic", "meta_json.radial_kind: expected one of analytic, spline"),
        ("ybasis_kind", "complex", "meta_json.ybasis_kind: expected one of real_solidharmonics"),
        ("pair_envelope_kind", "poly2", "meta_json.pair_envelope_kind"),
        ("transform_kind", "affine", "meta_json.transform_kind"),
        ("rnl_basis", "bump", "meta_json.rnl_basis: expected one of poly, sbessel"),
    ],
)
def test_unknown_kinds(tmp_path: Path, key: str, value: object, said: str) -> None:
    path = write_ace_jax(tmp_path / "model.npz", specified(tmp_path, "sige"))
    arrays = dict(np.load(path))
    meta = json.loads(bytes(arrays["meta_json"])) | {key: value}
    np.savez(path, **arrays | {"meta_json": np.frombuffer(json.dumps(meta).encode(), np.uint8)})
    assert said in _complaint(path)


@pytest.mark.parametrize(
    ("array", "index", "factor", "said"),
    [
        ("rnl_transform", (0, 1, 2), 1.1, "rnl_transform[0, 1][2]: expected a = "),
        ("rnl_transform", (0, 1, 1), 1.3, "rnl_transform[0, 1]: expected (p, q"),
        ("rnl_envelope", (1, 0, 3), 0.7, "rnl_envelope[1, 0]: expected"),
        ("pair_envelope", (0, 0, 0), 0.9, "pair_envelope[0, 0]: expected the cutoff"),
    ],
)
def test_other_mathematics_is_refused(tmp_path: Path, array: str, index: Any, factor: float, said: str) -> None:
    path = write_ace_jax(tmp_path / "model.npz", specified(tmp_path, "sige"))
    arrays = dict(np.load(path))
    arrays[array] = arrays[array].copy()
    arrays[array][index] *= factor
    np.savez(path, **arrays)
    assert said in _complaint(path)


def test_rows_that_are_no_invariants(tmp_path: Path) -> None:
    """One coefficient of a coupled row off by a percent, also where rotations about z do not tell."""
    path = write_ace_jax(tmp_path / "model.npz", specified(tmp_path, "sige"))
    arrays = dict(np.load(path))
    rows, exact = arrays["A2B_rows"], arrays["A2B_vals"]
    (coupled,) = np.nonzero(rows == np.bincount(rows).argmax())
    for entry in coupled:
        arrays["A2B_vals"] = np.where(np.arange(len(rows)) == entry, 1.01, 1.0) * exact
        np.savez(path, **arrays)
        assert "expected an invariant of rotation and inversion" in _complaint(path)


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    np.savez(path, weights_0=np.zeros(3))
    assert "if these are weights of a specification, they are read through its key weights" in _complaint(path)
    path.with_suffix(".yaml").touch()
    assert "if these are weights of a specification, load weights.yaml" in _complaint(path)
    path.write_text("no archive")
    assert "expected a NumPy .npz file" in _complaint(path)
    other = tmp_path / "other.json"
    other.write_text("{}")
    assert "expected a model saved by ACEpotentials" in _complaint(other)
    other.write_text("{")
    assert "expected JSON text" in _complaint(other)


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


SI = {"elements": ["Si"], "order": 2, "totaldegree": 6, "rcut": 5.5}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"order": 4, "totaldegree": 10},
            "with several: which combinations EquivariantTensors 0.3.2 made",
        ),
        ({"ZBL": True}, "model_spec.ZBL: expected False, other models are not read, found True"),
        ({"pure": True}, "model_spec.pure: expected False"),
        ({"model_name": "ACE"}, "model_spec.model_name: expected 'ACE1'"),
        ({"rbasis": "sbessel"}, "model_spec.rbasis"),
        ({"wl": 2.0}, "model_spec.wl: expected keywords of"),
        ({"envelope": ["x", 0, 2]}, "model_spec.envelope"),
        ({"transform": ["affine", 1]}, 'model_spec.transform: expected ["agnesi", p, q]'),
        ({"rcut": ["bondlen", 3.0]}, "model_spec.rcut"),
        ({"Eref": "isolated"}, "model_spec.Eref: expected energies in eV by symbol"),
        ({"totaldegree": 7}, "model_parameters: expected 30 numbers for this basis"),
        ({"elements": ["Xx"]}, "elements: expected chemical symbols"),
    ],
)
def test_acepotentials_keywords_that_are_refused(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    assert said in _complaint(write_acepotentials(tmp_path / "model.json", SI | more, np.ones(23)))


@pytest.mark.parametrize(
    ("version", "said"),
    [("0.5.1", "expected a version below 0.5, found 0.5.1"), ("new", "expected its version, which decides signs")],
)
def test_acepotentials_of_other_couplings(tmp_path: Path, version: str, said: str) -> None:
    assert said in _complaint(write_acepotentials(tmp_path / "model.json", SI, np.ones(23), version))


def test_keywords_have_their_defaults(tmp_path: Path) -> None:
    """Keywords written out with their defaults, and under their other names, change nothing."""
    written = {"N": 2, "species": ["Si"], "totaldegree": 6, "rcut": 5.5, "wL": 1.5, "rin": 0.0, "r0": "bondlen"}
    written |= {"transform": ["agnesi", 2, 4], "envelope": ["x", 2, 2], "pair_transform": ["agnesi", 1, 3]}
    written |= {"pair_envelope": ["r", 2], "pair_degree": "totaldegree", "pair_rcut": "rcut", "Eref": [{"Si": 0.0}]}
    written |= {"pure": False, "rbasis": "legendre", "variable_cutoffs": False}
    weights = np.arange(23.0)
    found = [
        read_input(write_acepotentials(tmp_path / f"m{k}.json", keywords, weights)).potential
        for k, keywords in enumerate((SI, written))
    ]
    rows = [interpret(potential, *atoms(1)) for potential in found]
    assert rows[0].energy == rows[1].energy and (rows[0].basis == rows[1].basis).all()


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
