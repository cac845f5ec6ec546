"""One model, many calls and many Python threads: the workspace is reused by a thread, and by no other."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from acegen.runtime import GraphBatch, load_bundle

BUNDLE = Path(__file__).parents[1] / "generated" / "si_pair"
N_THREADS = 4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACEGEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield load_bundle(BUNDLE, threads=1)


def crystal(n, seed=0):
    """n³ cubic cells of silicon, rattled."""
    atoms = bulk("Si", cubic=True) * (n, n, n)
    atoms.rattle(0.1, seed=seed)
    return atoms


def all_at_once(work):
    """Run `work(k)` in N_THREADS threads that start together; their results."""
    gate = threading.Barrier(N_THREADS)

    def start(k):
        gate.wait()
        return work(k)

    with ThreadPoolExecutor(N_THREADS) as pool:
        return [job.result() for job in [pool.submit(start, k) for k in range(N_THREADS)]]


def same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("energy", "forces", "virial"))


def test_threads_share_a_model_but_no_workspace(model):
    """Sizes change from call to call, so workspaces grow while others are in use; results are those of one thread."""
    graphs = [GraphBatch.from_atoms(crystal(n, seed), model) for seed, n in enumerate((1, 3, 2, 4))]
    wanted = [model.evaluate(graph) for graph in graphs]

    def work(k):
        for step in range(12):
            at = (k + step) % len(graphs)
            assert same(model.evaluate(graphs[at]), wanted[at])
        return int(str(model._scratch.held.pointer).split("0x")[1].rstrip(">"), 16), model._scratch.held

    places = all_at_once(work)
    assert len({place for place, _ in places}) == N_THREADS


def test_threads_share_a_moved_graph(model):
    """The pointers of a moved graph are made on its first call: also when several threads make it at once."""
    still = GraphBatch.from_atoms(crystal(1), model, skin=0.5)
    model.evaluate(still)
    stream = np.random.default_rng(0)
    for _ in range(30):
        moved = still.with_positions(still.positions + 0.02 * stream.standard_normal(still.positions.shape))
        again = still.with_positions(moved.positions)
        found = all_at_once(lambda k, moved=moved: model.evaluate(moved))
        assert all(same(one, model.evaluate(again)) for one in found)


def test_moved_twice_without_a_call(model):
    """Positions and cells replaced before the first call of a graph count; the graph they come from stays as it was."""
    atoms = crystal(1)
    graph = GraphBatch.from_atoms(atoms, model, skin=1.0)
    before = model.evaluate(graph)
    strain = np.eye(3) * 1.01
    moved = graph.with_positions(atoms.positions + 0.01).with_positions(atoms.positions @ strain, atoms.cell @ strain)
    strained = atoms.copy()
    strained.set_cell(atoms.cell @ strain, scale_atoms=True)
    np.testing.assert_allclose(model.evaluate(moved).forces, model.evaluate(strained).forces, rtol=0, atol=1e-10)
    assert same(model.evaluate(graph), before)


def test_workspace_is_kept(model):
    """Smaller and equal calls take the memory that is there; results are new arrays each time."""
    large, small = (GraphBatch.from_atoms(crystal(n), model) for n in (3, 1))
    first = model.evaluate(large)
    held = model._scratch.held
    place, n_bytes = held.pointer, held.n_bytes
    kept = first.forces.copy()
    for graph in (small, large) * 5:
        assert not np.shares_memory(model.evaluate(graph).forces, first.forces)
    assert model._scratch.held is held
    assert (held.pointer, held.n_bytes) == (place, n_bytes)
    np.testing.assert_array_equal(first.forces, kept)


def test_plan_of_a_graph_follows_model_and_threads(model):
    """What a graph remembers of one model is not taken for another, nor after `threads` was changed."""
    other = load_bundle(BUNDLE, precision="float32", threads=1)
    graph = GraphBatch.from_atoms(crystal(2), model)
    fine = model.evaluate(graph)
    coarse = other.evaluate(graph)
    assert 0.0 < abs(coarse.energy[0] - fine.energy[0]) < 1e-4
    other.threads = 2
    assert other.evaluate(graph).energy[0] == pytest.approx(coarse.energy[0], rel=1e-9)
    assert same(model.evaluate(graph), fine)
