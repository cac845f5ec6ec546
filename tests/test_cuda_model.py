"""Compiled potentials through the runtime of a device: structures, edge lists, sites, walks; and parts of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ase
import numpy as np
import pytest
from cuda_cases import LIGHT, CudaSource
from cuda_potentials import path_of
from kernels import Kernels
from structures import centres, lattice, worst

import acegen
from acegen import GraphBatch
from acegen.errors import AcegenError
from acegen.runtime.cuda.backend import cuda_backend
from acegen.runtime.cuda.host import HostBackend
from acegen.runtime.cuda.model import CudaModel
from acegen.runtime.model import Model

LIMIT = 1e-12
COMMON = ("energy", "energies", "forces", "virial", "virials", "basis")


@pytest.fixture(scope="module", params=["NiTi-zbl-s1", "cuau"])
def path(request: pytest.FixtureRequest) -> Path:
    return path_of(request.param, request)


@pytest.fixture(scope="module")
def on_cpu(path: Path, kernels: Kernels) -> Model:
    return kernels(path, "float64")


@pytest.fixture(scope="module", params=["host", pytest.param("cuda", marks=pytest.mark.gpu)])
def model(request: pytest.FixtureRequest, path: Path, on_cpu: Model) -> Iterator[CudaModel]:
    """The same potential on the host shim, or on a card."""
    if request.param == "host":
        source = CudaSource.of(path, "float64")
        backend = HostBackend("random", LIGHT)
        yield CudaModel(on_cpu.manifest, source.record, source.text, backend, "float64")
        return
    try:
        cuda_backend("cuda")
    except AcegenError as error:
        pytest.skip(f"no CUDA device: {error}")
    yield acegen.load(path, device="cuda", precision="float64")


def crystals(model: Model) -> list[ase.Atoms]:
    """A crystal, a lone atom, a wire, a cluster, a structure without atoms, atoms outside of a small cell."""
    small = lattice(model, (1, 1, 1), 4)
    small.positions += small.cell.array.T @ [3, -2, 1]
    wire = lattice(model, (3, 1, 1), 5, pbc=(True, False, False))
    lone = ase.Atoms(model.species[-1:], [(0, 0, 0)])
    return [lattice(model, (2, 2, 2), 3), lone, wire, lattice(model, (3, 2, 1), 6, pbc=False), ase.Atoms(), small]


def check(found: object, wanted: object, names: tuple[str, ...] = COMMON) -> None:
    for name in names:
        assert worst(np.asarray(getattr(found, name)), getattr(wanted, name)) <= LIMIT, name


def test_structures(model: CudaModel, on_cpu: Model) -> None:
    """Their neighbours are found on the device, in any cell; one by one they give what they give together."""
    frames = crystals(on_cpu)
    together = model.evaluate(frames, COMMON)
    check(together, on_cpu.evaluate(frames, COMMON))
    forces = np.concatenate([model.evaluate(frame, "forces").forces for frame in frames])
    assert worst(forces, together.forces) <= LIMIT


@pytest.mark.parametrize("kind", ["shuffled", "half"])
def test_edges_in_any_order(model: CudaModel, on_cpu: Model, kind: str) -> None:
    """Lists of plain arrays, each pair once or twice."""
    graph = GraphBatch.from_atoms(crystals(on_cpu), on_cpu)
    order = np.random.default_rng(3).permutation(graph.n_edges)
    begin, end, shifts = centres(graph)[order], graph.edge_to[order], graph.shifts[graph.edge_shift][order]
    once = slice(None)
    if kind == "half":
        once = (begin < end) | ((begin == end) & (shifts @ [1.0, 0.6, 0.3] > 0))
    made = model.graph(
        species=graph.species,
        positions=graph.positions,
        edge_from=begin[once],
        edge_to=end[once],
        shifts=shifts[once],
        first_atom=graph.first_atom,
        half=kind == "half",
    )
    assert made.n_edges == graph.n_edges
    check(model.evaluate(made, COMMON), on_cpu.evaluate(graph, COMMON))


def test_sites(model: CudaModel, on_cpu: Model) -> None:
    """Energy and gradient of a centre alone."""
    frame = lattice(on_cpu, (2, 2, 2), 7, pbc=False)
    species = np.array([on_cpu.species.index(symbol) for symbol in frame.symbols])
    for i in (0, 5):
        others = np.arange(len(frame)) != i
        given = int(species[i]), species[others], frame.positions[others] - frame.positions[i]
        found, wanted = model.site(*given), on_cpu.site(*given)
        assert worst(np.array(found[0]), np.array(wanted[0])) <= LIMIT and worst(found[1], wanted[1]) <= LIMIT


def test_a_walk(model: CudaModel, on_cpu: Model) -> None:
    """Energy, forces and stress along steps that also strain the cell, with one neighbour list; then with another."""
    atoms = lattice(on_cpu, (2, 2, 2), 9)
    atoms.calc = model.calculator(skin=0.6)
    for step in range(4):
        wanted = on_cpu.evaluate(atoms)
        assert worst(atoms.get_forces(), wanted.forces) <= LIMIT
        stress = -wanted.virial[0] / atoms.get_volume()
        assert worst(atoms.get_stress(voigt=False), 0.5 * (stress + stress.T)) <= LIMIT
        atoms.rattle(0.01, seed=step)
        atoms.set_cell(atoms.cell.array * (1.0 + 0.002 * step), scale_atoms=True)
    assert atoms.calc.n_lists == 1
    atoms.positions[0] += 0.4
    assert worst(atoms.get_forces(), on_cpu.evaluate(atoms).forces) <= LIMIT
    assert atoms.calc.n_lists == 2


def test_parts_of_a_batch(model: CudaModel, on_cpu: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that does not fit gives the very same numbers in parts."""
    backend = model.backend
    if not isinstance(backend, HostBackend):
        pytest.skip("the memory of a card cannot be chosen")
    frames, sizes, allocate = crystals(on_cpu)[2:4] * 20, [], backend.allocate

    def counted(shape: int | tuple[int, ...], dtype: type) -> np.ndarray:
        made: np.ndarray = allocate(shape, dtype)
        sizes.append(made.nbytes)
        return made

    model.program.forget()
    with monkeypatch.context() as patch:
        patch.setattr(backend, "allocate", counted)
        wanted = model.evaluate(GraphBatch.from_atoms(frames, on_cpu), COMMON)
    model.program.forget()
    backend.launched.clear()
    monkeypatch.setattr(backend, "memory", max(sizes) // 2)
    found = model.evaluate(GraphBatch.from_atoms(frames, on_cpu), COMMON)
    assert backend.launched.count("pool") >= 2
    for name in COMMON:
        assert getattr(found, name).tobytes() == getattr(wanted, name).tobytes(), name
