"""Graphs of plain arrays on a device: any order of the edges, half lists, and what does not fit is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pair_cuda import ALL, SOURCE, arrays_of, device_model, record, same
from pair_kernel import structures, write_bundle

from acegen.errors import AcegenError, InputError
from acegen.runtime import GraphBatch, load_bundle
from acegen.runtime.cuda.backend import cuda_backend
from acegen.runtime.cuda.host import HostBackend
from acegen.runtime.cuda.model import CudaModel


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
