"""The device runtime on a hand-made kernel: inputs, outputs, memory, devices; on the host shim, no card is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from pair_cuda import ALL, arrays_of, device_model, same
from pair_kernel import DEPTH, reference, structures, write_bundle

from acegen.errors import AcegenError, InputError
from acegen.runtime import GraphBatch, load_bundle
from acegen.runtime.cuda.backend import cuda_backend
from acegen.runtime.cuda.host import HostBackend
from acegen.runtime.cuda.model import CudaModel
from acegen.runtime.cuda.neighbours import Places


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "morse.acegen")


@pytest.fixture(scope="module")
def on_cpu(bundle):
    return load_bundle(bundle, threads=1)


@pytest.fixture(params=["host", pytest.param("cuda", marks=pytest.mark.gpu)])
def model(on_cpu, request) -> CudaModel:
    """On the host shim, and the same tests on a card where there is one."""
    if request.param == "host":
        return device_model(on_cpu)
    try:
        return device_model(on_cpu, cuda_backend("cuda"))
    except AcegenError as error:
        pytest.skip(f"no CUDA device: {error}")


def test_every_property_is_that_of_the_cpu(model, on_cpu):
    """A mixed batch, atoms, NumPy in and out; and a part of the properties at a time."""
    frames = structures()
    same(model.evaluate(frames, ALL), on_cpu.evaluate(frames, ALL))
    energies, forces, _ = reference(
        [(29, 79).index(n) for n in frames[0].numbers], frames[0].positions, frames[0].cell.array, frames[0].pbc
    )
    out = model.evaluate(frames[0])
    np.testing.assert_allclose(out.energy, energies.sum(), rtol=1e-13)
    np.testing.assert_allclose(out.forces, forces, atol=1e-13)
    for name in ALL:
        alone = model.evaluate(frames, name)
        same(alone, on_cpu.evaluate(frames, name), (name,))
        assert list(alone.__dict__) == [name]


def test_launches_follow_what_is_asked_for(on_cpu):
    backend = HostBackend()
    model = device_model(on_cpu, backend)
    model.evaluate(GraphBatch.from_atoms(structures(), model), "energy")
    assert backend.launched == ["pool", "product", "product", "sums"]
    backend.launched.clear()
    lone = GraphBatch.from_atoms(structures()[4], model)  # one Au atom: no tile of Cu, so that launch is left out
    model.evaluate(lone, ("forces",))
    assert backend.launched == ["pool", "product", "gradient", "gather", "sums"]


def test_neighbours_of_structures_are_searched_on_the_device(on_cpu):
    """On the host only where the order of its edges is asked for, or where the memory is short."""
    frames, backend = structures(), HostBackend()
    model = device_model(on_cpu, backend)
    same(model.evaluate(frames), on_cpu.evaluate(frames), ("energy", "forces", "virial"))
    assert {"bin", "count", "reverse_edges", "pool"} <= set(backend.launched)
    backend.launched.clear()
    same(model.evaluate(frames, ALL), on_cpu.evaluate(frames, ALL))
    assert "count" not in backend.launched
    backend.memory = 5000
    many = frames[2:] * 12
    same(model.evaluate(many), on_cpu.evaluate(many), ("energy", "forces", "virial"))
    with pytest.raises(InputError, match=r"atoms\[1\]: atom 0 is H, expected one of Cu, Au"):
        model.evaluate([frames[0], Atoms("H")])
    bad = frames[0].copy()
    bad.positions[1] = np.inf
    with pytest.raises(InputError, match=r"atoms\.positions: expected finite numbers"):
        model.evaluate(bad)


def test_single_sites(model, on_cpu):
    """Energy and gradient of one centre, as the CPU gives them; wrong arguments in the same words."""
    stream = np.random.default_rng(4)
    around, vectors = stream.integers(0, 2, 9), stream.normal(size=(9, 3)) * 2.0
    for species in (0, 1):
        found, wanted = model.site(species, around, vectors), on_cpu.site(species, around, vectors)
        assert type(found[0]) is float and type(found[1]) is np.ndarray
        np.testing.assert_allclose(found[0], wanted[0], rtol=1e-13)
        np.testing.assert_allclose(found[1], wanted[1], rtol=0, atol=1e-13 * np.abs(wanted[1]).max())
    assert model.site(1, [], np.zeros((0, 3)))[0] == on_cpu.site(1, [], np.zeros((0, 3)))[0]
    wrong = ((2, around, vectors), (True, around, vectors), (0, around + 1, vectors), (0, around, vectors[1:]))
    for arguments in (*wrong, (0, around, vectors * 0.0)):
        sentences = []
        for each in (model, on_cpu):
            with pytest.raises(InputError) as told:
                each.site(*arguments)
            sentences.append(str(told.value))
        assert sentences[0] == sentences[1]


def test_float32_changes_the_arithmetic_only(on_cpu):
    """The kernels compute in float, sums and outputs are double."""
    frames = structures()
    single, double = device_model(on_cpu, precision="float32").evaluate(frames, ALL), on_cpu.evaluate(frames, ALL)
    same(single, double, tolerance=1e-5)
    assert not np.array_equal(single.energies, double.energies)


def test_coinciding_atoms_are_named_on_the_device_too(model):
    """The sentence of the CPU, also for graphs that are on the device."""
    graph = GraphBatch.from_atoms(structures(), model)
    positions = np.array(graph.positions)
    positions[-1] = positions[-2]
    with pytest.raises(InputError, match=r"structure 5: (energy|forces) not finite"):
        model.evaluate(graph.with_positions(positions))
    with pytest.raises(InputError, match="its atoms 1 and 2 are 0 angstrom apart"):
        model.evaluate(model.graph(**arrays_of(graph)).with_positions(positions))


def test_weights_can_be_replaced(model, on_cpu, bundle):
    """The setter reaches the kernels, also of graphs whose launches are kept."""
    graph = GraphBatch.from_atoms(structures(), model)
    before = model.evaluate(graph)
    other = load_bundle(bundle, threads=1)
    other.weights = model.weights = [2.0 * DEPTH[0], 3.0 * DEPTH[1]]
    same(model.evaluate(graph, ALL), other.evaluate(graph, ALL))
    assert not np.array_equal(model.evaluate(graph).energy, before.energy)
    with pytest.raises(InputError, match=r"weights: expected 2 arrays"):
        model.weights = [DEPTH[0]]


def test_moved_graphs_send_their_positions_only(model, on_cpu, monkeypatch):
    graph = GraphBatch.from_atoms(structures()[0], model)
    model.evaluate(graph)
    sent = []
    monkeypatch.setattr(model.backend, "to_device", lambda array: sent.append(array))
    moved = graph.with_positions(graph.positions * 1.01)
    strained = graph.with_positions(graph.positions * 1.02, graph.cells * 1.02)
    for each in (moved, strained, graph):
        same(model.evaluate(each), on_cpu.evaluate(each), ("energy", "forces", "virial"))
    assert not sent


def test_results_are_the_callers_own(model):
    """A later call leaves earlier results alone."""
    graph = model.graph(**arrays_of(GraphBatch.from_atoms(structures(), model)))
    first = model.evaluate(graph, ALL)
    kept = {name: getattr(first, name).copy() for name in ALL}
    model.evaluate(graph.with_positions(graph.positions * 1.1), ALL)
    graph.positions[...] *= 1.01
    model.evaluate(graph, ALL)
    for name in ALL:
        np.testing.assert_array_equal(getattr(first, name), kept[name])


def test_calculator(model, on_cpu):
    """ASE sees no difference."""
    atoms = structures()[0]
    found, wanted = atoms.copy(), atoms.copy()
    found.calc, wanted.calc = model.calculator(), on_cpu.calculator()
    for step in range(3):
        np.testing.assert_allclose(found.get_forces(), wanted.get_forces(), atol=1e-13)
        np.testing.assert_allclose(found.get_stress(), wanted.get_stress(), atol=1e-14)
        for each in (found, wanted):
            each.rattle(0.02, seed=step)
    assert found.calc.n_lists == 1


def test_attributes_are_those_of_a_model(model, on_cpu):
    for name in ("name", "species", "cutoff", "n_basis", "precision"):
        assert getattr(model, name) == getattr(on_cpu, name)
    np.testing.assert_array_equal(model.cutoffs, on_cpu.cutoffs)
    assert model.device in ("host", "cuda:0") and on_cpu.device == "cpu"
    assert repr(model).startswith("CudaModel('morse'")
    assert model.memory_bytes(2000, 100_000) > 2 * 8 * 100_000


@pytest.mark.parametrize("limit", [1500, 4000, 40_000])
def test_batches_that_do_not_fit_are_split(on_cpu, limit):
    """Whatever the memory, the same numbers; from the host and from the device."""
    frames = structures()[2:] * 12
    graph = GraphBatch.from_atoms(frames, on_cpu)
    wanted = on_cpu.evaluate(graph, ALL)
    backend = HostBackend()
    model = device_model(on_cpu, backend)
    on_device = model.graph(**arrays_of(graph))
    backend.memory = limit
    same(model.evaluate(graph, ALL), wanted)
    same(model.evaluate(on_device, ALL), wanted)
    parts = backend.launched.count("pool")
    assert parts > 2 if limit < 10_000 else parts == 2


def test_a_structure_too_large_for_the_memory_is_told(on_cpu):
    atoms = structures()[0]
    model = device_model(on_cpu, HostBackend(memory=3000))
    with pytest.raises(
        InputError, match=r"a structure of 8 atoms and \d+ edges needs about .* GB on host, 3e-06 GB are free"
    ):
        model.evaluate(atoms)
    model.backend.memory = None
    assert np.isfinite(model.evaluate(atoms).forces).all()


def test_empty_batches(model, on_cpu):
    for frames in ([], structures()[1:2]):
        same(model.evaluate(frames, ALL), on_cpu.evaluate(frames, ALL))


def test_atoms_that_move(model, on_cpu):
    """Neighbours found on the device, and kept while the skin lasts."""
    atoms, rng = structures()[0], np.random.default_rng(1)
    moving = model.moving([(29, 79).index(n) for n in atoms.numbers], skin=1.0)
    for _ in range(3):
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
        positions = model.backend.to_device(atoms.positions)
        places = Places(np.array([0, len(atoms)]), positions, atoms.cell.array[None], atoms.pbc[None])
        same(model.evaluate(moving.at(places)), on_cpu.evaluate(atoms), ("energy", "forces", "virial"), 1e-12)
    assert moving.neighbours.n_lists == 1
