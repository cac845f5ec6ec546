"""The device runtime on a hand-made kernel: inputs, outputs, memory, devices; on the host shim, no card is needed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from fake_cupy import FakeCupy
from pair_cuda import SOURCE, record
from pair_kernel import DEPTH, reference, structures, write_bundle

from acegen.errors import AcegenError, InputError, LoadError
from acegen.runtime import GraphBatch, load_bundle
from acegen.runtime.cuda.backend import cuda_backend
from acegen.runtime.cuda.graph import DeviceGraph
from acegen.runtime.cuda.host import HostBackend
from acegen.runtime.cuda.model import CudaModel
from acegen.runtime.cuda.neighbours import Places

ALL = ("energy", "energies", "forces", "virial", "virials", "basis", "edge_gradients")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "morse.acegen")


@pytest.fixture(scope="module")
def on_cpu(bundle):
    return load_bundle(bundle, threads=1)


def device_model(on_cpu, backend=None, precision="float64") -> CudaModel:
    """The same potential through its CUDA kernels."""
    backend = HostBackend() if backend is None else backend
    return CudaModel(on_cpu.manifest, record(), SOURCE, backend, precision, on_cpu.weights, on_cpu._fold)


@pytest.fixture(params=["host", pytest.param("cuda", marks=pytest.mark.gpu)])
def model(on_cpu, request) -> CudaModel:
    """On the host shim, and the same tests on a card where there is one."""
    if request.param == "host":
        return device_model(on_cpu)
    try:
        return device_model(on_cpu, cuda_backend("cuda"))
    except AcegenError as error:
        pytest.skip(f"no CUDA device: {error}")


@pytest.fixture
def cupy(monkeypatch) -> FakeCupy:
    """A module that stands in for CuPy, with a card that is the host shim."""
    made = FakeCupy()
    monkeypatch.setitem(sys.modules, "cupy", made)

    def cached_cubin(source, name, architecture, defines, major):
        made.loaded.append((name, architecture, tuple(defines), major))
        path = Path(f"{len(made.sources)}.cubin")
        made.sources[str(path)] = "".join(f"#define {d.replace('=', ' ')}\n" for d in defines) + source
        return path

    monkeypatch.setattr("acegen.runtime.cuda.compile.cached_cubin", cached_cubin)
    return made


def same(found, wanted, names=ALL, tolerance=1e-13) -> None:
    for name in names:
        one, other = getattr(found, name), getattr(wanted, name)
        assert one.shape == other.shape and one.dtype == np.float64
        one = one.get() if hasattr(one, "get") else np.asarray(one)
        scale = max(1.0, float(np.abs(other).max(initial=0.0)))
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale, err_msg=name)


def arrays_of(graph: GraphBatch, order=None) -> dict:
    """Arguments of `CudaModel.graph`, the edges in another order if wanted."""
    order = np.arange(graph.n_edges) if order is None else order
    return {
        "species": graph.species,
        "positions": graph.positions,
        "edge_from": np.repeat(np.arange(graph.n_atoms), np.diff(graph.first_edge))[order],
        "edge_to": graph.edge_to[order],
        "shifts": graph.shifts[graph.edge_shift][order],
        "first_atom": graph.first_atom,
    }


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


@pytest.mark.parametrize("kind", ["shuffled", "offsets", "vectors", "multiples", "half"])
def test_graphs_of_arrays(model, on_cpu, kind):
    """Any order and form of the edges; edge gradients come back in the caller's order."""
    graph = GraphBatch.from_atoms(structures(), on_cpu)
    wanted = on_cpu.evaluate(graph, ALL)
    order = np.random.default_rng(3).permutation(graph.n_edges)
    given = arrays_of(graph, order if kind != "offsets" else None)
    if kind == "offsets":
        given["first_edge"] = graph.first_edge
        del given["edge_from"]
        order = np.arange(graph.n_edges)
    if kind == "vectors":
        moved = graph.positions[given["edge_to"]] - graph.positions[given["edge_from"]]
        given.update(edge_vectors=moved + given.pop("shifts"))
        del given["positions"]
    if kind == "multiples":
        given.update(shifts=graph.shift_multiples[graph.edge_shift][order], cells=graph.cells)
    if kind == "half":
        ahead = given["edge_from"] < given["edge_to"]
        loop = (given["edge_from"] == given["edge_to"]) & (given["shifts"] @ [1.0, 0.6, 0.3] > 0)
        given = {n: a[ahead | loop] if len(a) == graph.n_edges else a for n, a in given.items()}
        found = model.evaluate(model.graph(**given, half=True), ALL)
        return same(found, wanted, [name for name in ALL if name != "edge_gradients"])
    made = model.graph(**given)
    found = model.evaluate(made, ALL)
    same(found, wanted, [name for name in ALL if name != "edge_gradients"])
    np.testing.assert_allclose(found.edge_gradients, wanted.edge_gradients[order], atol=1e-13)
    if kind != "vectors":
        further = graph.positions * 1.01
        same(
            model.evaluate(made.with_positions(further)),
            on_cpu.evaluate(graph.replaced(positions=further)),
            ("forces",),
        )


def test_each_edge_finds_its_reverse(model):
    """i and j change places, the shift its sign; edges between the same two images of an atom are told apart."""
    graph = model.graph(**arrays_of(GraphBatch.from_atoms(structures(), model)))
    arrays = (graph.reverse, graph.shifts, graph.edge_to, graph.first_edge)
    back, shifts, edge_to, first_edge = (model.backend.to_host(array) for array in arrays)
    centres = np.repeat(np.arange(graph.n_atoms), np.diff(first_edge))
    np.testing.assert_array_equal(back[back], np.arange(graph.n_edges))
    np.testing.assert_array_equal(centres[back], edge_to)
    np.testing.assert_array_equal(shifts[back], -shifts)


def test_arrays_that_do_not_fit_are_refused(model):
    graph = GraphBatch.from_atoms(structures(), model)
    good = arrays_of(graph)
    lone = {name: array[1:] if len(array) == graph.n_edges else array for name, array in good.items()}
    with pytest.raises(
        InputError, match=r"edge_to: edge \d+ from atom \d+ to atom 0 has no reverse edge of opposite shift"
    ):
        model.evaluate(model.graph(**lone))
    assert np.isfinite(model.evaluate(model.graph(**lone), "energy").energy).all()  # needs no reverse
    for changes, sentence in (
        ({"species": graph.species + 1}, "species: entry .* expected 0 to 1"),
        ({"species": graph.species * 1.0}, "species: expected int32, found float64"),
        ({"edge_to": graph.edge_to[1:]}, "edge_from: expected shape"),
        ({"positions": None}, "expected either positions or edge_vectors, found neither"),
        ({"first_atom": [0, 3]}, "first_atom: expected offsets from 0 to"),
        ({"shifts": np.zeros((graph.n_edges, 3), int)}, "expected cells"),
        ({"edge_to": np.roll(graph.edge_to, graph.n_edges // 2)}, "joins atoms of two structures"),
        ({"cutoff": 1.0}, "its neighbours reach 1 angstrom"),
    ):
        with pytest.raises(InputError, match=sentence):
            model.graph(**{**good, **changes})
    with pytest.raises(InputError, match="positions: expected shape"):
        model.graph(**good).with_positions(np.zeros((2, 3)))
    with pytest.raises(InputError, match="for 2 species"):
        CudaModel(
            replace(model.manifest, species=("Cu",)), replace(record(), n_species=2), SOURCE, HostBackend(), "float64"
        ).evaluate(model.graph(**good))


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


def test_through_cupy(on_cpu, cupy):
    """CuPy in, CuPy out; NumPy in, NumPy out; kernels get what CuPy can pass; repeated launches are captured."""
    backend = cuda_backend("cuda:1")
    model = device_model(on_cpu, backend, "float32")
    assert cupy.loaded == [("morse.cu", "sm_90", ("REAL=float",), 13)]
    model = device_model(on_cpu, backend)
    assert model.device == "cuda:1"
    graph = GraphBatch.from_atoms(structures(), on_cpu)
    wanted = on_cpu.evaluate(graph, ALL)
    found = model.evaluate(graph, ALL)
    same(found, wanted)
    assert type(found.forces) is np.ndarray and cupy.captured == 0
    for _ in range(2):
        same(model.evaluate(graph, ALL), wanted)
    assert (cupy.captured, cupy.replayed) == (1, 2)
    moved = graph.with_positions(graph.positions * 1.01)
    same(model.evaluate(moved, ALL), on_cpu.evaluate(moved, ALL))
    assert (cupy.captured, cupy.replayed) == (1, 3)


def test_arrays_of_the_device_stay_there(on_cpu, cupy):
    """Results are where the arrays of the graph came from."""
    model = device_model(on_cpu, cuda_backend("cuda"))
    graph = GraphBatch.from_atoms(structures(), on_cpu)
    made = model.graph(**{name: cupy.array(array) for name, array in arrays_of(graph).items()})
    for _ in range(3):
        found = model.evaluate(made, ALL)
        assert all(hasattr(getattr(found, name), "__cuda_array_interface__") for name in ALL)
        same(found, on_cpu.evaluate(graph, ALL))
    assert isinstance(made, DeviceGraph) and cupy.captured == 1
    assert type(model.evaluate(model.graph(**arrays_of(graph))).forces) is np.ndarray
    elsewhere = device_model(on_cpu, cuda_backend("cuda:1"))
    with pytest.raises(InputError, match=r"array on cuda:0: expected one on cuda:1"):
        elsewhere.graph(**{name: cupy.array(array) for name, array in arrays_of(graph).items()})
    with pytest.raises(InputError, match="made on cuda:0"):
        elsewhere.evaluate(made)


def test_arrays_of_other_libraries_are_taken_by_dlpack(on_cpu, cupy):
    """Memory of a card is shared, memory of the host is copied."""

    class Tensor:
        def __init__(self, array, kind):
            self.array, self.kind = array, kind

        def __dlpack_device__(self):
            return self.kind, 0

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __array__(self, dtype=None, copy=None):
            return self.array

    model = device_model(on_cpu, cuda_backend("cuda"))
    given = arrays_of(GraphBatch.from_atoms(structures()[0], on_cpu))
    held = np.array(given["positions"])
    for kind, on_device in ((1, False), (2, True)):
        graph = model.graph(**{**given, "positions": Tensor(held, kind)})
        assert np.shares_memory(graph.positions.values, held) == on_device
        assert hasattr(model.evaluate(graph).forces, "__cuda_array_interface__") == on_device


def test_another_device_than_the_current_one(on_cpu, cupy):
    """Everything a model does happens on its own device, whatever the current one is."""
    model = device_model(on_cpu, cuda_backend("cuda:1"))
    frames = structures()
    graph = GraphBatch.from_atoms(frames, on_cpu)
    wanted = on_cpu.evaluate(graph, ALL)
    with cupy.cuda.Device(1):
        arrays = {name: cupy.array(array) for name, array in arrays_of(graph).items()}
    made = model.graph(**arrays)
    same(model.evaluate(made, ALL), wanted)
    same(model.evaluate(made.with_positions(arrays["positions"]), ALL), wanted)
    same(model.evaluate(made.with_positions(np.asfortranarray(graph.positions)), ALL), wanted)
    same(model.evaluate(frames), wanted, ("energy", "forces", "virial"))
    atoms = frames[0].copy()
    atoms.calc = model.calculator()
    for step in range(4):
        np.testing.assert_allclose(atoms.get_forces(), on_cpu.evaluate(atoms, "forces").forces, atol=1e-13)
        atoms.rattle(0.01, seed=step)
        if step == 2:
            atoms.set_cell(atoms.cell * 1.001, scale_atoms=True)
    assert atoms.calc.n_lists == 1
    assert np.isfinite(model.site(0, [1], [[2.5, 0, 0]])[0])
    cupy.limit = 4000
    many = GraphBatch.from_atoms(frames[2:] * 12, on_cpu)
    same(model.evaluate(many, ALL), on_cpu.evaluate(many, ALL))
    assert cupy.current == 0


def test_arrays_without_elements(on_cpu, cupy):
    """No edge, no atom, no structure: of an empty array CuPy knows no maximum."""
    model = device_model(on_cpu, cuda_backend("cuda"))
    nothing = cupy.zeros((0, 3))
    for n_atoms, counts in ((0, []), (0, [0, 0]), (3, [2, 1])):
        species = cupy.zeros(n_atoms, np.int32)
        ends = cupy.zeros(0, np.int64)
        made = model.graph(
            species=species,
            positions=cupy.zeros((n_atoms, 3)),
            edge_from=ends,
            edge_to=ends,
            shifts=nothing,
            n_atoms=np.array(counts, np.int64),
        )
        vectors = model.graph(species=species, edge_vectors=nothing, edge_from=ends, edge_to=ends, n_atoms=counts)
        for graph in (made, vectors):
            found = model.evaluate(graph, ALL)
            assert found.forces.shape == (n_atoms, 3) and found.energy.shape == (len(counts),)
            assert not found.virial.get().any() and found.edge_gradients.shape == (0, 3)
    lone = Atoms("Cu2", [(0, 0, 0), (50.0, 0, 0)])
    for frames in ([], [Atoms()], lone, [lone, Atoms(), lone]):
        same(model.evaluate(frames), on_cpu.evaluate(frames), ("energy", "forces", "virial"))


def test_a_walk_repeats_its_launches(on_cpu, cupy):
    """Positions go into one array on the device, so that the launches are recorded once."""
    model = device_model(on_cpu, cuda_backend("cuda"))
    atoms = structures()[0]
    atoms.calc = model.calculator()
    for step in range(5):
        np.testing.assert_allclose(atoms.get_forces(), on_cpu.evaluate(atoms, "forces").forces, atol=1e-13)
        atoms.rattle(0.01, seed=step)
    assert (cupy.captured, cupy.replayed, atoms.calc.n_lists) == (1, 4, 1)
    atoms.numbers[:] = 79
    np.testing.assert_allclose(atoms.get_forces(), on_cpu.evaluate(atoms, "forces").forces, atol=1e-13)
    assert atoms.calc.n_lists == 2


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


def test_memory_of_cupy_runs_out(on_cpu, cupy):
    """Kept work arrays are given back, then the batch is split."""
    model = device_model(on_cpu, cuda_backend("cuda"))
    graph = GraphBatch.from_atoms(structures()[2:] * 12, on_cpu)
    wanted = on_cpu.evaluate(graph, ALL)
    cupy.limit = 4000
    same(model.evaluate(graph, ALL), wanted)
    assert cupy.released > 0
    cupy.limit = 100
    with pytest.raises(InputError, match="graph: does not fit in the memory of cuda:0"):
        model.graph(**arrays_of(graph))


def test_what_is_missing_is_said_in_one_sentence(bundle, monkeypatch):
    """No CuPy, no driver, no such device, no CUDA in the bundle."""
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(LoadError, match=r"CUDA needs CuPy .*: pip install 'acegen\[cuda12\]' or 'acegen\[cuda13\]'"):
        load_bundle(bundle, device="cuda")
    frame = "\n=====\nFailed to import CuPy.\n\nOriginal error:\n  ImportError: libnvrtc.so.13: cannot open\n=====\n"

    class Broken:
        def find_spec(self, name, *more):
            if name == "cupy":
                raise ImportError(frame)

    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "cupy")
        patch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
        with pytest.raises(LoadError, match=r"needs CuPy \(ImportError: libnvrtc.so.13: cannot open\): pip install"):
            load_bundle(bundle, device="cuda")
    fake = FakeCupy(n_devices=1)
    monkeypatch.setitem(sys.modules, "cupy", fake)
    with pytest.raises(LoadError, match="device: expected one of 'cuda:0', found 'cuda:3'"):
        load_bundle(bundle, device="cuda:3")
    with pytest.raises(LoadError, match="expected a bundle with CUDA kernels, found C only"):
        load_bundle(bundle, device="cuda")

    def no_driver():
        raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient\nmore")

    fake.cuda.runtime.getDeviceCount = no_driver
    with pytest.raises(
        LoadError, match=r"no CUDA device can be used \(cudaErrorInsufficientDriver: .*insufficient\): "
    ):
        load_bundle(bundle, device="cuda")
    for wrong in ("gpu", "cuda:", "cuda:x", "cuda:-1", None):
        with pytest.raises(LoadError, match="device: expected 'cpu', 'cuda' or 'cuda:<number>', found"):
            load_bundle(bundle, device=wrong)


def test_cupy_is_imported_only_for_cuda(bundle):
    load_bundle(bundle)
    assert "cupy" not in sys.modules
