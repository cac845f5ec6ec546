"""Grades and committee deviations on a device equal those of the processor; on the host shim, no card is needed."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import ase
import numpy as np
import pytest
from cuda_cases import LIGHT
from fake_cupy import FakeCupy
from kernels import Kernels
from spec_texts import write_spec
from structures import cluster, edge_vectors, lattice, worst

from acegen import GraphBatch
from acegen.compiler import compile_bundle
from acegen.errors import InputError
from acegen.runtime.cuda.backend import cuda_backend
from acegen.runtime.cuda.host import HostBackend
from acegen.runtime.cuda.load import cuda_model
from acegen.runtime.cuda.model import CudaModel
from acegen.runtime.load import read_manifest
from acegen.runtime.model import Model
from acegen.testing.host import HostModule
from acegen.uncertainty.sets import Densities, ModelActiveSets

LIMIT = 1e-12
NAMES = ("gamma", "energy", "forces", "energy_std", "forces_std")


@pytest.fixture(scope="module")
def on_cpu(spec_folder: Path, kernels: Kernels) -> Model:
    """Three species, with sets and members that need not mean anything."""
    model = pickle.loads(pickle.dumps(kernels(write_spec(spec_folder, "glorot3"))))
    stream = np.random.default_rng(4)
    model.active_set = [stream.normal(size=(len(w), len(w))) for w in model.weights]
    model.committee = [[w * (1.0 + 0.1 * stream.normal(size=w.shape)) for w in model.weights] for _ in range(4)]
    return model


@pytest.fixture(scope="module")
def model(on_cpu: Model, spec_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> CudaModel:
    folder = tmp_path_factory.mktemp("cuda") / on_cpu.name
    compile_bundle(spec_folder / f"{on_cpu.name}.yaml", folder, targets=("c", "cuda"))
    return cuda_model(folder, read_manifest(folder), HostBackend("random", LIGHT), "float64", (str(folder),))


@pytest.fixture(scope="module")
def frames(on_cpu: Model) -> list[ase.Atoms]:
    """More atoms of a species than a tile holds, an open structure, a lone atom and none."""
    return [lattice(on_cpu, (5, 4, 3), 1), cluster(on_cpu, 2), ase.Atoms(), ase.Atoms(on_cpu.species[-1])]


def test_as_on_the_processor(model: CudaModel, on_cpu: Model, frames: list[ase.Atoms]) -> None:
    """Together and each alone, of structures and of graphs; the weights in use stay."""
    with pytest.raises(InputError, match="has no active set"):
        model.evaluate(frames, "gamma")
    with pytest.raises(InputError, match="has no committee"):
        model.evaluate(frames, "energy_std")
    model.active_set, model.committee = on_cpu.active_set, on_cpu.committee
    wanted = on_cpu.evaluate(frames, NAMES)
    for given in (frames, GraphBatch.from_atoms(frames, model)):
        for _ in range(2):
            found = model.evaluate(given, NAMES)
            assert list(vars(found)) == list(NAMES)
            assert all(worst(getattr(found, name), getattr(wanted, name)) <= LIMIT for name in NAMES)
    for name in NAMES:
        assert np.array_equal(getattr(model.evaluate(given, name), name), getattr(found, name))
    assert model.evaluate([], "gamma").gamma.shape == (0,)


def test_nonlinear_sets(model: CudaModel, on_cpu: Model, frames: list[ase.Atoms]) -> None:
    """Their rows are slopes of the embedding times B: the grades of both are formed by the same function."""
    stream = np.random.default_rng(7)
    linear, ones = on_cpu.active_sets, np.ones(2)
    assert linear is not None
    densities = [Densities(stream.normal(size=(len(a), 2)), "linear", ones, ones) for a in linear.inverses]
    inverses = tuple(stream.normal(size=(2 * len(a), 2 * len(a))) for a in linear.inverses)
    before = model.active_sets
    model.active_sets = on_cpu.active_sets = ModelActiveSets(inverses, tuple(densities))
    try:
        assert worst(model.evaluate(frames, "gamma").gamma, on_cpu.evaluate(frames, "gamma").gamma) <= LIMIT
    finally:
        model.active_sets, on_cpu.active_sets = before, linear


def test_arrays_of_the_device_stay_there(model: CudaModel, on_cpu: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of a graph of device arrays are there, also when its launches are recorded."""
    cupy = FakeCupy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr("fake_cupy.HostModule", lambda source: HostModule(source, LIGHT))

    def cached_cubin(source: str, name: str, architecture: str, defines: tuple[str, ...], major: int) -> Path:
        del architecture, major
        cupy.sources[name] = "".join(f"#define {define.replace('=', ' ')}\n" for define in defines) + source
        return Path(name)

    monkeypatch.setattr("acegen.runtime.cuda.compile.cached_cubin", cached_cubin)
    folder = Path(model._origin[0])
    there = cuda_model(folder, model.manifest, cuda_backend("cuda"), "float64", (str(folder),))
    there.active_set, there.committee = on_cpu.active_set, on_cpu.committee
    batch = GraphBatch.from_atoms([lattice(on_cpu, (3, 2, 2), 1), cluster(on_cpu)], on_cpu)
    arrays = {name: getattr(batch, name) for name in ("species", "edge_to", "first_edge", "first_atom")}
    arrays["edge_vectors"] = edge_vectors(batch)
    graph = there.graph(**{name: cupy.array(array) for name, array in arrays.items()})
    wanted = on_cpu.evaluate(batch, NAMES)
    for _ in range(3):
        found = there.evaluate(graph, NAMES)
        assert all(hasattr(getattr(found, name), "__cuda_array_interface__") for name in NAMES)
        assert all(worst(getattr(found, name).get(), getattr(wanted, name)) <= LIMIT for name in NAMES)


def test_through_the_calculator(model: CudaModel, on_cpu: Model) -> None:
    model.active_set, model.committee = on_cpu.active_set, on_cpu.committee
    atoms, other = cluster(on_cpu, 3), cluster(on_cpu, 3)
    atoms.calc, other.calc = model.calculator(), on_cpu.calculator()
    for name in ("gamma", "energy_std", "forces_std"):
        found, wanted = (one.calc.get_property(name, one) for one in (atoms, other))
        assert worst(np.atleast_1d(found), np.atleast_1d(wanted)) <= LIMIT, name
