"""Extrapolation grades of models: reference values of PACE, every way to an active set, and every wrong one."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import ase
import numpy as np
import pytest
from ase.io import read, write
from kernels import Kernels
from structures import cluster, lattice

import acegen
from acegen import GraphBatch
from acegen.cli.main import main
from acegen.errors import InputError, PotentialError, SpecError
from acegen.interpreter import interpret
from acegen.pace.read import read_pace
from acegen.potential import Centre
from acegen.runtime import grades
from acegen.runtime.model import Model
from acegen.uncertainty import active_set, extrapolation_grade
from acegen.uncertainty.asi import read_asi
from acegen.uncertainty.sets import Densities, ModelActiveSets

COMPILED = ("W-small-s1", "NiTi-zbl-s2", "Mo-fs3-s1")  # the first two are built for other tests too
INTERPRETED = ("C-rank6-s1", "C-rank6-s2", "Mo-fs3-s2", "NiTi-zbl-s1", "W-small-s2")
SPEC = """
elements: [Si, Ge]
order: 2
degree: 4
cutoff: 4.0
pair: {degree: 3}
weights: {kind: file, file: w.npz}
weights_replaceable: true
"""


def zoo_structures(folder: Path) -> list[tuple[ase.Atoms, np.ndarray]]:
    """The structures of a zoo potential with their reference grades."""
    with np.load(folder / "ref.npz") as archive:
        keys = ("numbers", "positions", "cell", "pbc")
        return [
            (ase.Atoms(**{key: archive[f"{key}_{k}"] for key in keys}), archive[f"gamma_{k}"])
            for k in range(sum(name.startswith("gamma_") for name in archive.files))
        ]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory, shared_rows: dict[int, np.ndarray]) -> Path:
    """A linear specification of two species whose weights file holds active sets."""
    folder = tmp_path_factory.mktemp("graded")
    stream = np.random.default_rng(5)
    n = shared_rows[0].shape[1]
    arrays = {f"weights_{a}": stream.normal(size=(n, 1)) for a in (0, 1)}
    arrays |= {f"active_set_inverse_{a}": active_set(rows).inverse for a, rows in shared_rows.items()}
    np.savez(folder / "w.npz", **arrays)
    (folder / "graded.yaml").write_text(SPEC)
    return folder / "graded.yaml"


@pytest.fixture(scope="module")
def shared_rows(tmp_path_factory: pytest.TempPathFactory) -> dict[int, np.ndarray]:
    """Rows of B of training atoms of both species, from a model without active sets."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "plain.yaml").write_text(SPEC.replace("{kind: file, file: w.npz}", "{kind: random, seed: 1}"))
    plain = acegen.load(folder / "plain.yaml", threads=1)
    graph = GraphBatch.from_atoms([lattice(plain, (3, 3, 3), seed) for seed in range(6)], plain)
    basis = plain.evaluate(graph, "basis").basis
    return {a: basis[graph.species == a] for a in (0, 1)}


@pytest.fixture(scope="module")
def model(spec: Path) -> Model:
    return acegen.load(spec, threads=1)


@pytest.mark.parametrize("name", COMPILED)
def test_grades_of_the_zoo(name: str, shared: Path, kernels: Kernels) -> None:
    """Linear and nonlinear sets, one and two species, of compiled kernels: reference values to 1e-9 relative.

    The sets lie beside the potentials; their inverses have condition numbers of up to 1e18.
    """
    folder = shared / "zoo" / name
    model = kernels(folder / f"{name}.yaml")
    found = zoo_structures(folder)
    out = model.evaluate([atoms for atoms, _ in found], ("gamma", "energies"))
    np.testing.assert_allclose(out.gamma, np.concatenate([gamma for _, gamma in found]), rtol=1e-9)
    assert (model.active_sets.densities is not None) == (name == "Mo-fs3-s1")


@pytest.mark.parametrize("name", INTERPRETED)
def test_grades_of_the_zoo_by_the_interpreter(name: str, shared: Path) -> None:
    """The other potentials that have a set: the same formulas on basis rows of the reference interpreter."""
    folder = shared / "zoo" / name
    potential = read_pace(folder / f"{name}.yaml")
    inverses = read_asi(folder / f"{name}.asi", potential.species)
    nonlinear = len(inverses[0]) > len(potential.centres[0].functions)
    sets = ModelActiveSets(inverses, tuple(map(densities, potential.centres)) if nonlinear else None)
    for atoms, expected in zoo_structures(folder)[::2]:
        species = np.array([potential.species.index(symbol) for symbol in atoms.symbols])
        basis = interpret(potential, species, atoms.positions, atoms.cell.array, atoms.pbc).basis
        np.testing.assert_allclose(sets.grades(basis, species), expected, rtol=1e-9)


def densities(centre: Centre) -> Densities:
    """Weights and embedding of a centre species."""
    embedding = centre.embedding
    return Densities(centre.weights, embedding.kind, np.array(embedding.scales), np.array(embedding.exponents))


def test_fitted_model_grades_its_training_data_at_one(model: Model, shared_rows: dict[int, np.ndarray]) -> None:
    """Active sets in the weights file of a specification; far from the data grades are large."""
    frames = [lattice(model, (3, 3, 3), seed) for seed in range(6)]
    assert model.evaluate(frames, ("gamma",)).gamma.max() <= 1.0 + 0.01 + 1e-6
    squeezed = lattice(model, (3, 3, 3), 9, spacing=0.3)
    assert model.evaluate(squeezed, "gamma").gamma.min() > 5.0
    for inverse, rows in zip(model.active_set, shared_rows.values(), strict=True):
        assert extrapolation_grade(rows, inverse).max() <= 1.01 + 1e-6


def test_by_definition(model: Model) -> None:
    """gamma = max_k |sum_b B_b inverse[b, k]| of the atom's own species; lone atoms and no atoms have grades too."""
    frames = [lattice(model, (2, 3, 2), 3), ase.Atoms(), ase.Atoms("Ge"), cluster(model, 4)]
    out = model.evaluate(frames, ("basis", "gamma", "energy"))
    graph = GraphBatch.from_atoms(frames, model)
    for gamma, row, a in zip(out.gamma, out.basis, graph.species, strict=True):
        assert gamma == pytest.approx(np.abs(row @ model.active_set[a]).max(), rel=1e-12)
    assert list(vars(out)) == ["basis", "gamma", "energy"]
    assert model.evaluate([], "gamma").gamma.shape == (0,)
    np.testing.assert_array_equal(out.energy, model.evaluate(frames, ("energy",)).energy)


@pytest.mark.parametrize("rows_at_once", [1, 5, 1000])
def test_blocks_of_atoms_change_nothing(model: Model, monkeypatch: pytest.MonkeyPatch, rows_at_once: int) -> None:
    """A block is a graph of its own, of edge vectors: periodic images, several structures, given vectors."""
    frames = [lattice(model, (2, 2, 2), 1), cluster(model, 2), ase.Atoms("Si"), lattice(model, (1, 2, 3), 3)]
    whole = model.evaluate(frames, ("gamma", "forces"))
    monkeypatch.setattr(grades, "BLOCK_BYTES", 8 * model.n_basis * rows_at_once)
    parts = model.evaluate(frames, ("gamma", "forces"))
    np.testing.assert_allclose(parts.gamma, whole.gamma, rtol=1e-9)
    np.testing.assert_array_equal(parts.forces, whole.forces)
    graph = GraphBatch.from_atoms(frames[0], model)
    vectors = grades.edge_vectors(graph, 0, graph.n_atoms)
    given = GraphBatch.from_arrays(
        species=graph.species, edge_to=graph.edge_to, first_edge=graph.first_edge, edge_vectors=vectors
    )
    np.testing.assert_allclose(model.evaluate(given, "gamma").gamma, whole.gamma[:8], rtol=1e-9)


def test_given_active_sets_replace_those_of_the_bundle(model: Model, spec: Path, tmp_path: Path) -> None:
    """As a file, as matrices, by assignment; None goes back; a pickled model keeps them; inputs are not kept alive."""
    atoms = lattice(model, (2, 2, 2), 1)
    own = model.evaluate(atoms, "gamma").gamma
    doubled = [2.0 * inverse for inverse in model.active_set]
    with open(tmp_path / "twice.asi", "wb") as file:
        np.savez(file, Ge=doubled[1], Si=doubled[0])
    by_file = acegen.load(spec, active_set=tmp_path / "twice.asi", threads=1)
    by_matrices = acegen.load(spec, active_set=doubled, threads=1)
    doubled[0][:] = 0.0
    for other in (by_file, by_matrices, pickle.loads(pickle.dumps(by_file))):
        np.testing.assert_allclose(other.evaluate(atoms, "gamma").gamma, 2.0 * own, rtol=1e-12)
    by_file.active_set = None
    np.testing.assert_array_equal(by_file.evaluate(atoms, "gamma").gamma, own)
    again = pickle.loads(pickle.dumps(by_file))
    np.testing.assert_array_equal(again.evaluate(atoms, "gamma").gamma, own)


def test_bundles_carry_the_active_set(spec: Path, model: Model, tmp_path: Path) -> None:
    """A compiled bundle needs no file beside it."""
    bundle = acegen.compile(spec, tmp_path / "moved.acegen")
    shutil.move(bundle.path, tmp_path / "elsewhere")
    alone = acegen.load(tmp_path / "elsewhere", threads=1)
    for mine, theirs in zip(alone.active_set, model.active_set, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_calculator_grades_on_request(model: Model, spec: Path) -> None:
    """Not at every step; another active set makes results stale; a model without one has no such property."""
    atoms = lattice(model, (2, 2, 2), 1)
    atoms.calc = model.calculator()
    atoms.get_potential_energy()
    assert "gamma" not in atoms.calc.results and "gamma" in atoms.calc.implemented_properties
    gamma = atoms.calc.get_property("gamma", atoms)
    np.testing.assert_allclose(gamma, model.evaluate(atoms, "gamma").gamma, rtol=1e-9)
    other = acegen.load(spec, threads=1)
    atoms.calc = other.calculator()
    atoms.calc.get_property("gamma", atoms)
    other.active_set = [3.0 * inverse for inverse in other.active_set]
    np.testing.assert_allclose(atoms.calc.get_property("gamma", atoms), 3.0 * gamma, rtol=1e-9)


def test_command_line_writes_grades(spec: Path, model: Model, tmp_path: Path) -> None:
    """`acegen eval --gamma`: a column of the table, from the active set of the input or another one."""
    frames = [lattice(model, (1, 2, 2), seed) for seed in (1, 2)]
    write(tmp_path / "in.xyz", frames, format="extxyz")
    out = tmp_path / "out.xyz"
    assert main(["eval", str(spec), str(tmp_path / "in.xyz"), "-o", str(out), "--gamma"]) == 0
    expected = model.evaluate(read(tmp_path / "in.xyz", ":"), "gamma").gamma
    np.testing.assert_allclose(np.concatenate([a.arrays["gamma"] for a in read(out, ":")]), expected, rtol=1e-9)
    with open(tmp_path / "twice.asi", "wb") as file:
        np.savez(file, Si=2.0 * model.active_set[0], Ge=2.0 * model.active_set[1])
    arguments = ["--properties", "gamma", "--active-set", str(tmp_path / "twice.asi")]
    assert main(["eval", str(spec), str(tmp_path / "in.xyz"), "-o", str(out), *arguments]) == 0
    np.testing.assert_allclose(np.concatenate([a.arrays["gamma"] for a in read(out, ":")]), 2.0 * expected, rtol=1e-9)


def test_no_active_set_is_said(kernels: Kernels, spec_folder: Path) -> None:
    path = spec_folder / "plain_pair.yaml"
    path.write_text("elements: [Si]\norder: 1\ndegree: 3\ncutoff: 4.0\nweights: {kind: random, seed: 1}\n")
    plain = kernels(path)
    with pytest.raises(InputError) as caught:
        plain.evaluate(ase.Atoms("Si"), "gamma")
    assert str(caught.value) == (
        "gamma: model 'plain_pair' has no active set: load it with active_set=..., or put plain_pair.asi beside "
        "plain_pair.yaml"
    )
    assert plain.active_set is None and "gamma" not in plain.calculator().implemented_properties
    with pytest.raises(AttributeError, match="'gamma' was not evaluated"):
        _ = plain.evaluate(ase.Atoms("Si"), "energy").gamma


WRONG = [
    ("nowhere.asi", "nowhere.asi: expected an active set (.asi), found no such file"),
    ([np.eye(3)], "active_set: expected a file or 2 matrices, one per species, found 1"),
    (
        [np.eye(3), np.eye(3)],
        "active_set: Si: expected an inverse active set [{n}, {n}] for {n} basis functions, found [3, 3]",
    ),
    ([np.ones((2, 3)), np.eye(3)], "active_set: Si: expected a square matrix of numbers, found float64 [2, 3]"),
    ([np.eye(3), np.full((3, 3), np.inf)], "active_set: Ge: expected finite numbers, found infinite or undefined ones"),
]


@pytest.mark.parametrize(("given", "message"), WRONG, ids=range(len(WRONG)))
def test_wrong_active_sets_get_one_sentence(model: Model, given: object, message: str) -> None:
    before = model.active_set
    with pytest.raises(InputError) as caught:
        model.active_set = given
    assert str(caught.value) == message.replace("{n}", str(model.n_basis))
    np.testing.assert_array_equal(model.active_set[0], before[0])


def test_damaged_files_are_named(shared: Path, tmp_path: Path, model: Model) -> None:
    """No archive, an element that is missing, a set of another potential, and a C-tilde file, which has no B."""
    (tmp_path / "broken.asi").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match=r"broken\.asi: expected an active set \(\.asi\), a NumPy \.npz with"):
        model.active_set = tmp_path / "broken.asi"
    with open(tmp_path / "silicon.asi", "wb") as file:
        np.savez(file, Si=np.eye(3))
    with pytest.raises(InputError, match=r"silicon\.asi: expected a matrix for element Ge, found Si"):
        model.active_set = tmp_path / "silicon.asi"
    folder = shared / "zoo" / "W-small-s1"
    shutil.copy(folder / "W-small-s1.yaml", tmp_path / "w.yaml")
    with open(tmp_path / "w.asi", "wb") as file:
        np.savez(file, W=np.eye(5))
    with pytest.raises(PotentialError, match=r"w\.asi: W: expected an inverse active set \[74, 74\] for 74 b"):
        acegen.load(tmp_path / "w.yaml")


def test_c_tilde_potentials_have_no_basis_of_their_own(shared: Path, kernels: Kernels) -> None:
    folder = shared / "zoo" / "W-small-s1"
    model = kernels(folder / "W-small-s1.yace")
    with pytest.raises(InputError, match=r"W-small-s1\.yace holds no basis functions of its own .* \(\.yaml\)"):
        model.active_set = folder / "W-small-s1.asi"


def test_weights_files_with_wrong_sets_are_refused(spec: Path, tmp_path: Path) -> None:
    """Shapes are checked when the specification is compiled."""
    with np.load(spec.with_name("w.npz")) as archive:
        arrays = dict(archive)
    (tmp_path / "graded.yaml").write_text(SPEC)
    np.savez(tmp_path / "w.npz", **(arrays | {"active_set_inverse_1": np.eye(4)}))
    with pytest.raises(SpecError, match=r"graded\.yaml: weights\.file w\.npz: Ge: expected an inverse active set"):
        acegen.load(tmp_path / "graded.yaml")
    del arrays["active_set_inverse_1"]
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(SpecError, match=r"expected an array 'active_set_inverse_1'"):
        acegen.load(tmp_path / "graded.yaml")


def test_changed_active_sets_are_noticed(shared: Path, tmp_path: Path) -> None:
    """The `.asi` file beside a potential belongs to the key of the cache."""
    from acegen.loader import _referenced

    (tmp_path / "x.yaml").write_text("species:\n - speciesblock: W\n")
    assert list(_referenced(tmp_path / "x.yaml")) == []
    (tmp_path / "x.asi").write_bytes(b"one")
    first = list(_referenced(tmp_path / "x.yaml"))
    (tmp_path / "x.asi").write_bytes(b"two")
    assert first[0] == "x.asi" and list(_referenced(tmp_path / "x.yaml")) != first
