"""Forward mode: functions and neighbours go through the kernel in blocks, and no number depends on where they are in
one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kernels import Kernels
from spec_texts import write_spec
from structures import centres, lattice, worst

from acegen import GraphBatch
from acegen.compiler import compile_plan, plan_design
from acegen.plan.design import CHUNK
from acegen.runtime.model import Model

SPECS = ("order4", "glorot3", "solid")
MOST = 18  # neighbours: more than two tiles of the widest registers


@pytest.fixture(scope="module", params=SPECS)
def model(request: pytest.FixtureRequest, spec_folder: Path, kernels: Kernels) -> Model:
    """Of one to three species; numbers of functions that fill neither chunks nor vectors."""
    for name in SPECS[SPECS.index(request.param) :]:
        kernels.start(write_spec(spec_folder, name))
    return kernels(write_spec(spec_folder, request.param))


@pytest.fixture(scope="module")
def stars(model: Model) -> GraphBatch:
    """Centres with 0, 1, 2, ... neighbours, at random places inside the cutoffs, of species that take turns."""
    stream = np.random.Generator(np.random.Philox(3))
    n_edges = MOST * (MOST + 1) // 2
    directions = stream.standard_normal((n_edges, 3))
    lengths = model.cutoffs.min() * stream.uniform(0.4, 0.9, (n_edges, 1))
    return GraphBatch.from_arrays(
        species=np.arange(MOST + 1) % len(model.species),
        edge_to=np.concatenate([(np.arange(i) * 5 + i + 1) % (MOST + 1) for i in range(MOST + 1)]),
        first_edge=np.concatenate([[0], np.cumsum(np.arange(MOST + 1))]),
        edge_vectors=lengths * directions / np.linalg.norm(directions, axis=1, keepdims=True),
    )


def test_functions_fill_no_whole_number_of_blocks(model: Model) -> None:
    """What the tests below rest on: a part of a chunk is left, and of a vector."""
    assert model.n_basis % CHUNK and model.n_basis > CHUNK


def test_any_number_of_neighbours(model: Model, stars: GraphBatch) -> None:
    """Whole tiles, parts of one, a single lane: gradients times weights are those of the energy kernel."""
    out = model.evaluate(stars, ("basis_gradients", "edge_gradients"))
    weights = np.stack([model.weights[a][:, 0] for a in stars.species[centres(stars)]])
    found = np.einsum("eaf,ef->ea", out.basis_gradients, weights)
    for i in range(1, MOST + 1):
        edges = slice(stars.first_edge[i], stars.first_edge[i + 1])
        assert worst(found[edges], out.edge_gradients[edges]) <= 1e-11


def test_rows_of_any_number_of_neighbours(model: Model, stars: GraphBatch) -> None:
    """The rows are the gradients, summed: each neighbour takes minus its own, the centre their sum."""
    gradients = model.evaluate(stars, "basis_gradients").basis_gradients
    expected = np.zeros((stars.n_atoms, 3, model.n_parameters))
    for edge, (i, j) in enumerate(zip(centres(stars), stars.edge_to, strict=True)):
        many, pair = (model.parameter_slices[stars.species[i] + k * len(model.species)] for k in (0, 1))
        split = many.stop - many.start
        for columns, part in ((many, slice(0, split)), (pair, slice(split, split + pair.stop - pair.start))):
            expected[i, :, columns] += gradients[edge][:, part]
            expected[j, :, columns] -= gradients[edge][:, part]
    assert worst(model.design(stars, "forces").forces, expected) <= 1e-12


@pytest.mark.parametrize("name", SPECS)
def test_order_of_contraction(spec_folder: Path, name: str) -> None:
    """Chunks hold the functions of their columns, each once, those of one number of slots and one first value in a
    run; stages behind them hold the functions kept, each once, as tile values behind those of the amplitudes."""
    source, plan = compile_plan(write_spec(spec_folder, name))
    design = plan_design(source.potential, plan)
    assert design is not None
    tables = {table.name: table.values for table in design.tables}
    for centre in design.centres:
        for p in centre.patterns:
            runs, members = tables[p.runs].reshape(-1, 2), tables[p.members].reshape(-1, 2)
            chunks = tables[p.chunks].reshape(-1, 3)
            n_chunks = -(-centre.n_functions // CHUNK)
            assert len(chunks) == n_chunks + p.n_stages + 1
            sizes = np.repeat(runs[:, 0], runs[:, 1])
            chunk = np.repeat(np.arange(len(chunks) - 1), np.diff(chunks[:, 1]))
            ends = np.cumsum([0, *sizes])
            starts = np.searchsorted(chunk, np.arange(len(chunks)))
            assert np.array_equal(chunks[:, 1], starts)
            assert np.array_equal(chunks[:, 2], ends[starts])
            assert ends[-1] == p.n_terms == len(tables[p.values])
            run_ends = np.cumsum(runs[:, 1])
            assert np.array_equal(chunks[1:, 0], np.searchsorted(run_ends, starts[1:]) + 1)
            of_columns = chunk < n_chunks
            functions = (CHUNK * chunk + members[:, 1])[of_columns]
            assert sorted(functions) == list(range(centre.n_functions))
            assert sorted(members[~of_columns, 1]) == list(range(p.n_values - p.n_amplitudes))
            firsts = [tables[p.values][start] if size > 1 else 0 for start, size in zip(ends, sizes, strict=False)]
            for first, last in zip(run_ends - runs[:, 1], run_ends, strict=True):
                assert len(set(firsts[first:last])) == 1
            ready = p.n_amplitudes  # a stage reads amplitudes and the results of stages before it
            for stage in range(n_chunks, len(chunks) - 1):
                assert tables[p.values][chunks[stage, 2] : chunks[stage + 1, 2]].max() < ready
                ready += chunks[stage + 1, 1] - chunks[stage, 1]


@pytest.mark.parametrize("offset", [0, 1, 3, 6])
def test_memory_of_any_alignment(model: Model, offset: int) -> None:
    """The same bits wherever the memory begins, and nothing before or after it is written."""
    graph = GraphBatch.from_atoms(lattice(model, (2, 2, 2), 5), model)
    plain = np.zeros((graph.n_edges, 3, model.n_basis))
    model.write_gradients(graph, None, plain)
    memory = np.full(plain.size + 16, np.nan)
    within = memory[8 + offset : 8 + offset + plain.size].reshape(plain.shape)
    within[:] = 0.0
    model.write_gradients(graph, None, within)
    assert np.array_equal(within, plain)
    assert np.isnan(memory[: 8 + offset]).all() and np.isnan(memory[8 + offset + plain.size :]).all()
