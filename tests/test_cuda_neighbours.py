"""Neighbour search of the GPU, its kernels run on the CPU: the edges of the runtime's search, in a fixed order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pair_cuda
import pytest
from ase import Atoms
from ase.build import bulk
from cuda_places import check, on_device, on_host, places, put, random_frames, rows_of, wanted_rows
from pair_kernel import write_bundle as pair_bundle

from acegen.errors import AcegenError, InputError
from acegen.runtime.cuda.backend import cuda_backend
from acegen.runtime.cuda.host import HostBackend
from acegen.runtime.cuda.model import CudaModel
from acegen.runtime.cuda.neighbours import MovingGraph, NeighbourList, NeighbourSearch, Places
from acegen.runtime.cuda.search import source_text
from acegen.runtime.load import load_bundle
from acegen.testing.host import sanitizer_environment

ORDERS = ("forward", "reverse", "random")


@pytest.fixture(scope="module", params=["host", pytest.param("cuda", marks=pytest.mark.gpu)])
def search(request: pytest.FixtureRequest) -> NeighbourSearch:
    """The kernels on the host shim, and the same tests on a card where there is one."""
    if request.param == "host":
        return NeighbourSearch(HostBackend())
    try:
        return NeighbourSearch(cuda_backend("cuda"))
    except AcegenError as error:
        pytest.skip(f"no CUDA device: {error}")


def test_random_batches(search):
    """Same pairs and images for any cell, boundary and cutoff, also when a cell is thinner than the cutoff."""
    rng = np.random.default_rng(0)
    sizes = [30] * 20 + [200] * 4
    n_edges = [check(search, random_frames(rng, n), rng.uniform(0.5, 5)).n_edges for n in sizes]
    assert max(n_edges) > 10000 and min(n_edges) < 10


def test_one_atom_in_thin_cells(search):
    """An atom that only meets its own images, in cells thinner than the cutoff and much skewed."""
    cells = [np.diag([0.6, 0.7, 9.0]), [[1.0, 0, 0], [0.9, 0.5, 0], [-0.8, 0.4, 1.0]], np.diag([2.0, 0, 0])]
    pbc = [True, True, [True, False, False]]
    frames = [Atoms("H", [[5.0, -3.0, 0.1]], cell=c, pbc=p) for c, p in zip(cells, pbc, strict=True)]
    edges = check(search, frames, 2.5)
    assert edges.n_edges > 100
    check(search, [Atoms("H", [[1.0, 2.0, 3.0]])], 2.5)


def test_more_neighbours_than_any_buffer(search):
    """A clump in a wide cell: every atom has all others as neighbours."""
    rng = np.random.default_rng(1)
    clump = Atoms("H200", rng.random((200, 3)) * 1.2, cell=[300, 300, 300], pbc=True)
    assert check(search, [clump], 2.7).n_edges == 200 * 199


def test_many_cells_and_far_clusters(search):
    """Grids of several cells along every direction; clusters ever so far apart; atoms boxes away from one another."""
    rng = np.random.default_rng(2)
    lattice = bulk("H", "fcc", a=2.0, cubic=True) * (4, 3, 3)
    lattice.positions += 0.1 * rng.normal(size=lattice.positions.shape)
    lattice.positions += 8.0 * rng.integers(-3, 3, (len(lattice), 1)) * [1, 0, 0]
    clusters = Atoms(
        "H40", rng.random((40, 3)) * 4 + np.repeat([[0, 0, 0], [1e4, 0, 0], [0, -3e7, 0]], [10, 20, 10], 0)
    )
    edges = check(search, [lattice, clusters], 1.9)
    assert edges.n_edges > 1000


def test_open_batches_have_no_translations(search):
    edges = check(search, [Atoms("H3", [[0, 0, 0], [0, 0, 0], [1, 0, 0]]), Atoms("H")], 2.0)
    assert edges.n_edges == 6 and edges.edge_shift is None and edges.shifts is None


def test_empty_batches(search):
    for frames in ([], [Atoms()], [Atoms(), Atoms("H", cell=[9, 9, 9], pbc=True), Atoms()]):
        edges = check(search, frames, 2.0)
        assert edges.n_edges == 0 and len(edges.first_edge) == sum(map(len, frames)) + 1


def test_offsets(search):
    """The scan is exact below, at and above the sizes of its blocks."""
    rng = np.random.default_rng(3)
    for n in (0, 1, 2047, 2048, 2049, 256 * 2048 + 5):
        counts = rng.integers(0, 2**31 - 1, n).astype(np.int32)
        found = search.backend.to_host(search.offsets(search.backend.to_device(counts), n))
        np.testing.assert_array_equal(found, np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]))


def test_order_of_threads_does_not_matter():
    """Bitwise the same arrays whatever thread comes first, though places within cells are handed out as they come."""
    rng = np.random.default_rng(4)
    batch = places([bulk("H", "sc", a=1.1) * (4, 4, 4), *random_frames(rng, 60)])
    found = []
    for order in ORDERS:
        search = NeighbourSearch(HostBackend(order))
        edges = search.find(batch, 2.3)
        then = batch.positions - 0.1 * np.sin(batch.positions)
        found.append((*(edges.first_edge, edges.edge_to, edges.edge_shift, edges.shifts, edges.reverse),))
        found[-1] += (search.farthest(batch, then),)
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            assert one.dtype == same.dtype and one.tobytes() == same.tobytes()


def test_farthest(search):
    """Largest displacement of every structure, its own drift and strain apart; infinite without a number."""
    rng = np.random.default_rng(5)
    counts = [5, 0, 5000, 1]
    then, drift = rng.random((sum(counts), 3)) * 9, np.repeat(rng.normal(size=(4, 3)), counts, axis=0)
    strains = np.eye(3) + 0.1 * rng.normal(size=(4, 3, 3))
    now = np.einsum("ia,iac->ic", then, np.repeat(strains, counts, axis=0)) + drift + 0.3 * rng.normal(size=then.shape)
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    batch = on_device(search, Places(first, now, np.zeros((4, 3, 3)), np.zeros((4, 3), bool)))
    before = search.backend.to_device(then)
    wanted = []
    for s in range(4):
        rows = slice(first[s], first[s + 1])
        u = now[rows] - then[rows] @ strains[s]
        wanted.append(np.linalg.norm(u - u.mean(axis=0), axis=1).max() if counts[s] else 0.0)
    np.testing.assert_allclose(search.farthest(batch, before, strains), wanted, rtol=1e-12, atol=1e-14)
    batch.positions[7] = np.nan
    np.testing.assert_array_equal(np.isfinite(search.farthest(batch, before, strains)), [True, True, False, True])


def test_the_list_is_kept_within_the_skin(search):
    """No search while nothing can have come within the cutoff, drift and strain included; a new one afterwards."""
    rng = np.random.default_rng(6)
    crystal = bulk("H", "sc", a=2.0) * (3, 3, 3)
    neighbours = NeighbourList(search, cutoff=2.6, skin=0.4)
    first = neighbours.update(put(search, [crystal]))
    moved = crystal.copy()
    moved.positions += 0.05 * rng.uniform(-1, 1, (27, 3)) + 17.3
    assert neighbours.update(put(search, [moved])) is first
    moved.set_cell(moved.cell.array * [1.0, 1.01, 1.0], scale_atoms=True)
    strained = neighbours.update(put(search, [moved]))
    assert neighbours.n_lists == 1 and strained.edge_to is first.edge_to
    one, other = search.backend.to_host(first.shifts), search.backend.to_host(strained.shifts)
    np.testing.assert_allclose(other[:, 1], 1.01 * one[:, 1], rtol=1e-14)
    moved.positions[3] += [0.0, 0.4, 0.0]
    again = neighbours.update(put(search, [moved]))
    assert neighbours.n_lists == 2
    np.testing.assert_array_equal(rows_of(places([moved]), on_host(search, again)), wanted_rows([moved], 3.0))
    neighbours.update(put(search, [moved, crystal]))
    assert neighbours.n_lists == 3


def test_positions_of_the_caller_may_change_in_place(search):
    """What atoms have moved since is measured from a copy."""
    batch = put(search, [bulk("H", "sc", a=2.0) * (2, 2, 2)])
    neighbours = NeighbourList(search, cutoff=2.6, skin=0.2)
    neighbours.update(batch)
    batch.positions[0] += 1.0
    neighbours.update(batch)
    assert neighbours.n_lists == 2


def test_moving_graph(search):
    """Sorting and searching are done again only with a new list; positions and translations follow at once."""
    crystal = bulk("H", "sc", a=2.0) * (2, 2, 2)
    to_host = search.backend.to_host
    species = search.backend.to_device(np.arange(8, dtype=np.int32) % 2)
    moving = MovingGraph(NeighbourList(search, cutoff=2.6, skin=0.4), species, 2, ("H", "He"))
    first = moving.at(put(search, [crystal]))
    assert first.n_edges == 8 * 18 and first.cutoff == 3.0 and first.tiles == (1, 1)
    sorted_here = replace(first, kept={}).reverse
    np.testing.assert_array_equal(to_host(first.reverse), to_host(sorted_here))
    crystal.positions += 0.1
    crystal.set_cell(crystal.cell.array * 1.01, scale_atoms=True)
    batch = put(search, [crystal])
    second = moving.at(batch)
    assert second.edge_to is first.edge_to and second.positions is batch.positions and second.reverse is first.reverse
    np.testing.assert_allclose(to_host(second.shifts), 1.01 * to_host(first.shifts), rtol=1e-14)
    assert moving.at(batch) is second
    crystal.positions[0, 0] += 0.5
    assert moving.at(put(search, [crystal])).edge_to is not first.edge_to
    with pytest.raises(InputError, match="expected 8 atoms"):
        moving.at(put(search, [crystal, crystal]))


def test_models_take_what_was_searched_here(tmp_path):
    """Energies and forces along a walk, two structures of two species at once, as with lists made on the host."""
    on_cpu = load_bundle(pair_bundle(tmp_path), threads=1)
    backend = HostBackend()
    model = CudaModel(on_cpu.manifest, pair_cuda.record(), pair_cuda.SOURCE, backend, "float64", on_cpu.weights, None)
    frames = [bulk("Cu", "sc", a=2.4) * (3, 2, 2), Atoms("Au3", [[0, 0, 0], [2.5, 0, 0], [0, 2.6, 1]])]
    symbols = np.concatenate([frame.get_chemical_symbols() for frame in frames])
    species = np.array([model.species.index(symbol) for symbol in symbols], np.int32)
    neighbours = NeighbourList(NeighbourSearch(backend), model.cutoff, 0.5)
    moving, rng = MovingGraph(neighbours, species, len(model.species), model.species), np.random.default_rng(8)
    for _ in range(4):
        for frame in frames:
            frame.positions += 0.1 * rng.normal(size=frame.positions.shape)
        found, wanted = model.evaluate(moving.at(places(frames))), on_cpu.evaluate(frames)
        np.testing.assert_allclose(found.energy, wanted.energy, rtol=1e-12)
        np.testing.assert_allclose(found.forces, wanted.forces, rtol=0, atol=1e-11)
    assert 1 <= neighbours.n_lists < 4


def test_wrong_structures_are_named(search):
    good, bad = bulk("H", "sc", a=2.0), bulk("H", "sc", a=2.0) * (2, 1, 1)
    bad.positions[0, 1] = np.nan
    with pytest.raises(InputError, match=r"atoms\[1\]\.positions: expected finite"):
        search.find(put(search, [good, bad]), 3.0)
    bad.positions[0] = 1e5
    with pytest.raises(InputError, match=r"atoms\[1\]: .* wrap their positions"):
        search.find(put(search, [good, bad, good]), 3.0)
    with pytest.raises(InputError, match=r"atoms\[1\].*cell vector is zero"):
        search.find(put(search, [good, Atoms("H", cell=[2, 2, 0], pbc=True)]), 3.0)
    with pytest.raises(InputError, match="cutoff"):
        search.find(put(search, [good]), 0.0)
    with pytest.raises(InputError, match="skin"):
        NeighbourList(search, 3.0, -1.0)


_SANITIZED = """
import numpy as np
from acegen.runtime.cuda.search import NeighbourSearch, Places, source_text
from acegen.runtime.cuda.host import HostBackend
from acegen.testing.host import HostModule
class Sanitized(HostBackend):
    def load(self, source, name, defines=()):
        return HostModule(source, ("-O0",), sanitize=True)
rng = np.random.default_rng(7)
first = np.array([0, 40, 40, 41, 60])
cells = np.array([np.eye(3) * 6, np.eye(3), [[0.9, 0, 0], [0.8, 0.7, 0], [0, 0.3, 1]], np.eye(3)])
pbc = np.array([[1, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0, 0]], bool)
batch = Places(first, rng.random((60, 3)) * 14 - 3, cells, pbc)
search = NeighbourSearch(Sanitized("random"))
print(search.find(batch, 2.4).n_edges, search.farthest(batch, batch.positions + 1.0).max() < 1e-12)
"""


def test_no_wrong_access():
    """One batch with the address and undefined-behaviour sanitizers watching."""
    environment = {**os.environ, **sanitizer_environment(), "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", _SANITIZED], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    n_edges, still = done.stdout.split()
    assert int(n_edges) > 500 and still == "True"


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_nothing_spills(architecture, tmp_path):
    """The compiler of the cards takes the source as it is, keeps everything in registers, few of them."""
    source = tmp_path / "neighbours.cu"
    source.write_text(source_text(), encoding="ascii")
    command = ["nvcc", "-cubin", f"-arch={architecture}", "-O3", "-Werror", "all-warnings", "-Xptxas", "-v"]
    done = subprocess.run(
        [*command, str(source), "-o", str(tmp_path / "neighbours.cubin")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    spills = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", done.stderr)
    registers = [int(n) for n in re.findall(r"Used (\d+) registers", done.stderr)]
    assert len(spills) == len(registers) == len(re.findall("__global__", source_text()))
    assert set(spills) == {("0", "0")} and max(registers) <= 96, done.stderr
