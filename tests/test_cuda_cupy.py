"""The device runtime through CuPy, for which a stand-in serves: arrays that stay on the device, devices, memory."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from fake_cupy import FakeCupy
from pair_cuda import ALL, arrays_of, device_model, same
from pair_kernel import structures, write_bundle

from acegen.errors import InputError, LoadError
from acegen.runtime import GraphBatch, load_bundle
from acegen.runtime.cuda.backend import cuda_backend
from acegen.runtime.cuda.graph import DeviceGraph


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "morse.acegen")


@pytest.fixture(scope="module")
def on_cpu(bundle):
    return load_bundle(bundle, threads=1)


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
