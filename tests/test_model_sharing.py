"""A model is shared: threads and forked processes get the same results, graphs travel between processes."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pair_kernel import structures, write_bundle

from acegen.errors import InputError
from acegen.runtime import GraphBatch, load_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundles") / "morse.acegen")


@pytest.fixture(scope="module", autouse=True)
def one_cache(tmp_path_factory):
    """One fresh cache for the module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACEGEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def model(bundle):
    return load_bundle(bundle)


def test_graphs_travel_between_processes(model):
    """A graph that was evaluated can be pickled and copied; the copy is checked and read-only as before."""
    graph = GraphBatch.from_atoms(structures(), model)
    wanted = model.evaluate(graph).forces
    for again in (pickle.loads(pickle.dumps(graph)), copy.deepcopy(graph)):
        assert not again.positions.flags.writeable
        np.testing.assert_array_equal(model.evaluate(again).forces, wanted)


def test_concurrent_calls(model):
    """Calls from several Python threads at once do not share scratch memory."""
    frames = [frame for frame in structures() if len(frame)]
    graphs = [GraphBatch.from_atoms(frame * (1, 1, 1), model) for frame in frames]
    wanted = [model.evaluate(graph).energy[0] for graph in graphs]
    with ThreadPoolExecutor(4) as pool:
        jobs = [(k, pool.submit(model.evaluate, graphs[k])) for k in range(len(graphs)) for _ in range(50)]
        assert all(job.result().energy[0] == wanted[k] for k, job in jobs)


def _energy_in_child(model, graph, queue):
    queue.put((model._threads_for(10**6), float(model.evaluate(graph).energy[0])))


def test_forked_child_uses_one_thread(model):
    """After a fork OpenMP's threads are gone: the child runs on one, and does not hang."""
    model.threads = 2
    assert model._threads_for(10**6) == 2
    graph = GraphBatch.from_atoms(structures()[0], model)
    forked = multiprocessing.get_context("fork")
    queue = forked.SimpleQueue()
    child = forked.Process(target=_energy_in_child, args=(model, graph, queue))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of exactly what is tested
        child.start()
    child.join(30)
    assert child.exitcode == 0
    assert queue.get() == (1, model.evaluate(graph).energy[0])


def test_threads(bundle, monkeypatch):
    """Argument over environment over all cores; nonsense is refused."""
    assert load_bundle(bundle, threads=3).threads == 3
    monkeypatch.setenv("ACEGEN_THREADS", "5")
    assert load_bundle(bundle).threads == 5
    for wrong in ("many", "²", "0"):
        monkeypatch.setenv("ACEGEN_THREADS", wrong)
        with pytest.raises(InputError, match=f"ACEGEN_THREADS: expected an integer >= 1, found '{wrong}'"):
            load_bundle(bundle)
    with pytest.raises(InputError, match="threads: expected an integer >= 1 or None, found 0"):
        load_bundle(bundle, threads=0)
