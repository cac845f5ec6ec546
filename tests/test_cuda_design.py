"""Forward mode of a device: rows of the design matrix and basis gradients are those of the C kernel, and the same bits
in whatever order the threads take their turns and however the work is cut; on the host shim, no card is needed."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import ase
import numpy as np
import pytest
from cuda_cases import LIGHT
from fake_cupy import FakeCupy
from kernels import Kernels
from spec_texts import write_spec
from structures import centres, cluster, edge_vectors, lattice, worst

from acegen import GraphBatch
from acegen.compiler import compile_bundle, compile_plan, plan_design
from acegen.emit.cuda_design import render_cuda_design
from acegen.errors import InputError, LoadError
from acegen.runtime.cuda.backend import Backend, cuda_backend
from acegen.runtime.cuda.design import DesignProgram
from acegen.runtime.cuda.graph import upload
from acegen.runtime.cuda.host import HostBackend
from acegen.runtime.cuda.load import cuda_model
from acegen.runtime.cuda.model import CudaModel
from acegen.runtime.design import ROWS, Design
from acegen.runtime.load import read_manifest
from acegen.runtime.model import Model
from acegen.testing.host import ORDERS, sanitizer_environment

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 1e-12
SPECS = ("solid", "glorot3", "order5")


@pytest.fixture(scope="module", autouse=True)
def _no_other_kernels() -> object:
    """The kernels of the energy are not needed here, and not compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("acegen.runtime.cuda.program.Program.__init__", lambda self, record, source, *rest: None)
        yield


@pytest.fixture(scope="module", params=SPECS)
def on_cpu(request: pytest.FixtureRequest, spec_folder: Path, kernels: Kernels) -> Model:
    """Orders 3 to 5, one to three species, with and without a pair basis."""
    return kernels(write_spec(spec_folder, request.param))


@pytest.fixture(scope="module")
def bundle(on_cpu: Model, spec_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with CUDA sources."""
    folder = tmp_path_factory.mktemp("cuda") / on_cpu.name
    compile_bundle(spec_folder / f"{on_cpu.name}.yaml", folder, targets=("c", "cuda"))
    return folder


def on_device(folder: Path, backend: Backend) -> CudaModel:
    return cuda_model(folder, read_manifest(folder), backend, "float64", (str(folder),))


@pytest.fixture(scope="module")
def model(bundle: Path) -> CudaModel:
    return on_device(bundle, HostBackend("random", LIGHT))


@pytest.fixture(scope="module")
def batch(on_cpu: Model) -> GraphBatch:
    """A cell smaller than the cutoff, a larger one, a cluster and an atom alone; edges longer than the cutoff."""
    alone = ase.Atoms(on_cpu.species[-1], positions=[[1.0, 2.0, 3.0]])
    structures = [lattice(on_cpu, (1, 2, 1), 2), lattice(on_cpu, (3, 2, 2), 3), cluster(on_cpu), alone]
    return GraphBatch.from_atoms(structures, on_cpu, skin=0.4)


@pytest.fixture(scope="module")
def design(model: CudaModel, batch: GraphBatch) -> Design:
    return model.design(batch)


def same(found: Design, wanted: Design) -> None:
    for name in ROWS:
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name


def test_rows_are_those_of_the_c_kernel(on_cpu: Model, design: Design, batch: GraphBatch) -> None:
    wanted = on_cpu.design(batch)
    for name in ROWS:
        assert worst(getattr(design, name), getattr(wanted, name)) <= LIMIT, name


def test_gradients_are_those_of_the_c_kernel(on_cpu: Model, model: CudaModel, batch: GraphBatch) -> None:
    """Also in the caller's order of the edges, of structures, and of an atom alone."""
    names = ("basis_gradients",)
    order = np.random.Generator(np.random.Philox(2)).permutation(batch.n_edges)
    shuffled = GraphBatch.from_arrays(
        species=batch.species,
        edge_from=centres(batch)[order],
        edge_to=batch.edge_to[order],
        edge_vectors=edge_vectors(batch)[order],
    )
    for graph in (batch, shuffled, cluster(on_cpu), ase.Atoms(on_cpu.species[:1])):
        found, wanted = (one.evaluate(graph, names).basis_gradients for one in (model, on_cpu))
        assert found.shape == wanted.shape and worst(found, wanted) <= LIMIT


@pytest.mark.parametrize("order", ORDERS)
def test_threads_in_any_order_give_the_same_bits(bundle: Path, design: Design, batch: GraphBatch, order: str) -> None:
    same(on_device(bundle, HostBackend(order, LIGHT)).design(batch), design)


def test_parts_give_the_same_bits(
    model: CudaModel, design: Design, batch: GraphBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few functions at a time; a structure at a time, by itself or for the caller."""
    monkeypatch.setattr("acegen.runtime.cuda.design._COLUMN_BYTES", 17 * (24 * batch.n_edges + 48 * batch.n_atoms))
    launched = len(model.backend.launched)
    same(model.design(batch), design)
    passes = -(-model.n_basis // 16)
    assert model.backend.launched[launched:].count("gradients") == passes
    monkeypatch.setattr("acegen.runtime.cuda.design._ATOM_BYTES", 1)
    same(model.design(batch), design)
    assert model.backend.launched[launched:].count("pool") == 1 + batch.n_systems
    for max_bytes in (1, 1 << 30):
        for systems, part in model.design_blocks(batch, max_bytes=max_bytes):
            atoms = slice(batch.first_atom[systems.start], batch.first_atom[systems.stop])
            assert np.array_equal(part.energy, design.energy[systems.start : systems.stop])
            assert np.array_equal(part.forces, design.forces[atoms])
            assert np.array_equal(part.virial, design.virial[systems.start : systems.stop])


def test_rows_beyond_the_memory_of_the_host_are_refused(
    model: CudaModel, batch: GraphBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any is computed; rows of parts still fit."""
    monkeypatch.setattr("acegen.runtime.room.physical_bytes", lambda: 1000.0)
    n_bytes = 8 * batch.n_atoms * 3 * model.n_parameters
    with pytest.raises(InputError, match=f"design: .* takes {n_bytes} bytes, .*: use design_blocks, or fewer"):
        model.design(batch, "forces")
    assert sum(len(systems) for systems, _ in model.design_blocks(batch, "forces")) == batch.n_systems


def test_blocks_of_structures(on_cpu: Model, model: CudaModel) -> None:
    """Without a graph, as `design` takes them, on the CPU and on the device."""
    structures = [cluster(on_cpu), ase.Atoms(on_cpu.species[:1]), cluster(on_cpu)]
    whole = on_cpu.design(structures, "energy").energy
    for one in (on_cpu, model):
        for systems, part in one.design_blocks(structures, "energy", max_bytes=1):
            assert len(systems) == 1
            assert worst(part.energy, whole[systems.start : systems.stop]) <= LIMIT


def test_chosen_rows_and_given_memory(model: CudaModel, batch: GraphBatch, design: Design) -> None:
    """Each alone, into the caller's arrays; the energy needs no derivatives."""
    for name in ROWS:
        launched = len(model.backend.launched)
        memory = Design(**{**dict.fromkeys(ROWS), name: np.full_like(getattr(design, name), np.nan)})
        assert getattr(model.design(batch, name, memory), name) is getattr(memory, name)
        assert np.array_equal(getattr(memory, name), getattr(design, name))
        assert ("gradients" in model.backend.launched[launched:]) == (name != "energy")


def test_structures_and_no_atoms(model: CudaModel, on_cpu: Model) -> None:
    atoms = [cluster(on_cpu), ase.Atoms(), lattice(on_cpu, (1, 1, 2), 1)]
    found, wanted = model.design(GraphBatch.from_atoms(atoms, model)), on_cpu.design(atoms)
    assert all(worst(getattr(found, name), getattr(wanted, name)) <= LIMIT for name in ROWS)
    nothing = model.design(GraphBatch.from_atoms(ase.Atoms(), model))
    assert nothing.forces.shape == (0, 3, model.n_parameters) and not nothing.energy.any()


@pytest.mark.parametrize("on_cpu", SPECS[:1], indirect=True)
def test_derivatives_that_fill_shared_memory(
    on_cpu: Model, spec_folder: Path, batch: GraphBatch, design: Design, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where those of one neighbour alone are too many, they are in global memory: the same bits."""
    monkeypatch.setattr("acegen.plan.cuda_design.STATIC_SHARED", 8)
    source, plan = compile_plan(spec_folder / f"{on_cpu.name}.yaml")
    file, record = render_cuda_design(plan_design(source.potential, plan, cards=True))
    assert "derivative" in [buffer.name for buffer in record.buffers]
    backend = HostBackend(flags=LIGHT)
    program = DesignProgram(record, file.text, backend, on_cpu.n_parameters)
    rows = Design(**{name: backend.allocate(shape, float) for name, shape in program.shapes(batch).items()})
    program.rows(upload(backend, batch, len(on_cpu.species)), rows)
    same(rows, design)


@pytest.mark.parametrize("on_cpu", SPECS[:1], indirect=True)
def test_sanitizers_find_nothing(bundle: Path, batch: GraphBatch, design: Design, tmp_path: Path) -> None:
    """Addresses, alignment and undefined arithmetic, in a process of its own."""
    batch.prepared.clear()
    (tmp_path / "graph.pickle").write_bytes(pickle.dumps(batch))
    environment = {**os.environ, **sanitizer_environment(), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "tests" / "cuda_design_sanitized.py"), str(bundle), str(tmp_path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and result.stdout == "no finding\n" and result.stderr == "", result.stderr
    with np.load(tmp_path / "rows.npz") as found:
        assert all(worst(found[name], getattr(design, name)) <= LIMIT for name in ROWS)


@pytest.mark.parametrize("on_cpu", SPECS[:1], indirect=True)
def test_arrays_of_the_device_stay_there(
    bundle: Path, on_cpu: Model, batch: GraphBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows and gradients of graphs of device arrays, whole and in blocks."""
    cupy = FakeCupy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)

    def cached_cubin(source: str, name: str, architecture: str, defines: tuple[str, ...], major: int) -> Path:
        del name, architecture, defines, major
        cupy.sources["design.cubin"] = "#define REAL double\n" + source
        return Path("design.cubin")

    monkeypatch.setattr("acegen.runtime.cuda.compile.cached_cubin", cached_cubin)
    model = on_device(bundle, cuda_backend("cuda"))
    names = ("species", "edge_to", "first_edge", "first_atom")
    graph = model.graph(
        **{name: cupy.array(getattr(batch, name)) for name in names}, edge_vectors=cupy.array(edge_vectors(batch))
    )
    found, wanted = model.design(graph), on_cpu.design(batch)
    parts = [(systems, part.forces.get()) for systems, part in model.design_blocks(graph, "forces", 1)]
    assert [systems.start for systems, _ in parts] == list(range(batch.n_systems))
    for name in ROWS:
        assert hasattr(getattr(found, name), "__cuda_array_interface__")
        assert worst(getattr(found, name).get(), getattr(wanted, name)) <= LIMIT
    assert np.array_equal(np.concatenate([forces for _, forces in parts]), found.forces.get())
    gradients = model.evaluate(graph, "basis_gradients").basis_gradients.get()
    assert worst(gradients, on_cpu.evaluate(batch, "basis_gradients").basis_gradients) <= LIMIT


@pytest.mark.parametrize("on_cpu", SPECS[:1], indirect=True)
def test_mistakes_are_named(
    bundle: Path, model: CudaModel, batch: GraphBatch, spec_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="properties: expected some of energy, forces, virial, found 5"):
        model.design(batch, 5)
    with pytest.raises(InputError, match="properties: expected some of energy, forces, virial, found 'stress'"):
        model.design(batch, "stress")
    with pytest.raises(InputError, match=r"out: expected energy as C-contiguous float64 \[4, \d+\], found float64"):
        model.design(batch, "energy", Design(np.zeros((1, 3)), None, None))
    one_way = GraphBatch.from_arrays(species=[0, 0], edge_to=[1], first_edge=[0, 1, 1], edge_vectors=[[2.0, 0.0, 0.0]])
    with pytest.raises(InputError, match="edge 0 from atom 0 to atom 1 has no reverse edge"):
        model.design(one_way)
    with pytest.raises(InputError, match="graph: does not fit in the memory of host"):
        on_device(bundle, HostBackend(flags=LIGHT, memory=10000)).design(batch)
    compile_bundle(write_spec(spec_folder, "embedded"), tmp_path / "embedded", targets=("c", "cuda"))
    embedded = on_device(tmp_path / "embedded", HostBackend(flags=LIGHT))
    with pytest.raises(InputError, match="not linear in its basis functions"):
        embedded.design(batch)
    compile_bundle(spec_folder / f"{model.name}.yaml", tmp_path / "c")
    old = read_manifest(tmp_path / "c")
    without = cuda_model(bundle, read_manifest(bundle), HostBackend(flags=LIGHT), "float64", (str(tmp_path / "c"),))
    without.manifest = old
    with pytest.raises(LoadError, match=r"expected a bundle with \w+_design.cu, found none: compile it again"):
        without.design(batch)
