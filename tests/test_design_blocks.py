"""Forward mode, functions side by side: blocks are the sums they stand for, whichever way gradients are made, and rows
that go past the caches are the same bits, wherever memory begins and whatever lies between them."""

from __future__ import annotations

import shlex
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from kernels import Kernels
from spec_texts import write_spec
from structures import centres, cluster, edge_vectors, lattice, worst

from acegen import GraphBatch
from acegen.build.cc import find_compiler
from acegen.compiler import compile_bundle, compile_plan, plan_design
from acegen.inputs import read_input
from acegen.loader import load
from acegen.plan import design as planned
from acegen.plan.design_blocks import BLOCK, make_blocks
from acegen.plan.design_types import DesignPlan
from acegen.runtime.model import Model

SPECS = ("order5", "binary5", "solid")


def design_of(path: Path) -> DesignPlan:
    source, plan = compile_plan(path)
    design = plan_design(source.potential, plan)
    assert design is not None
    return design


def built(model: Model) -> Model:
    """With its forward-mode kernel, before another compiler is asked for."""
    assert model.design_kernel.n_basis == model.n_basis
    return model


@pytest.fixture(scope="module", params=SPECS)
def model(request: pytest.FixtureRequest, spec_folder: Path, kernels: Kernels) -> Model:
    """Of one and two species, rows of 31, 185 and 78 functions, some of them made of others that are kept."""
    for name in SPECS[SPECS.index(request.param) :]:
        kernels.start(write_spec(spec_folder, name))
    design = design_of(write_spec(spec_folder, request.param))
    assert design.gradients and any(centre.n_kept for centre in design.centres)
    return built(kernels(write_spec(spec_folder, request.param)))


@pytest.fixture(scope="module")
def graph(model: Model) -> GraphBatch:
    """Centres with and without neighbours; edges longer than the cutoff leave rows of zeros among the others."""
    return GraphBatch.from_atoms([lattice(model, (2, 2, 2), 5), cluster(model)], model, skin=1.5)


@pytest.fixture(scope="module")
def expected(model: Model, graph: GraphBatch) -> np.ndarray:
    rows = np.zeros((graph.n_edges, 3, model.n_basis))
    model.write_gradients(graph, None, rows)
    zero = ~rows.any(axis=(1, 2))
    assert 0 < zero.sum() < graph.n_edges and zero[1:].any() and (zero[1:] != zero[:-1]).sum() > 4
    return rows


@pytest.fixture
def past(model: Model, spec_folder: Path, kernels: Kernels, monkeypatch: pytest.MonkeyPatch) -> Model:
    """The same kernel, whose rows go past the caches however few they are."""
    monkeypatch.setenv("ACEGEN_CC", f"{shlex.join(find_compiler().command)} -DPAST_CACHES=0")
    bundle = kernels.bundle(write_spec(spec_folder, model.name))
    return Model(model.manifest, model.kernel, "float64", 1, origin=(bundle,))


@pytest.mark.parametrize("name", SPECS)
def test_blocks_are_sums_over_slots(spec_folder: Path, name: str) -> None:
    """Random J and D: every function by its own slots, in order of the stages, and by blocks of four."""
    design = design_of(write_spec(spec_folder, name))
    tables = {table.name: table.values for table in design.tables}
    stream = np.random.Generator(np.random.Philox(8))
    for centre in design.centres:
        for p in centre.patterns:
            J = stream.standard_normal(centre.n_slots)
            D = np.zeros((p.n_values, 3))
            D[: p.n_amplitudes] = stream.standard_normal((p.n_amplitudes, 3))
            D[: p.n_scalars, 1:] = D[: p.n_scalars, :1] * (2.0, 3.0)  # along (1, 2, 3)
            by_slots, values = np.zeros((centre.n_functions, 3)), D.copy()
            members, runs = tables[p.members].reshape(-1, 2), tables[p.runs].reshape(-1, 2)
            chunks, seen = tables[p.chunks].reshape(-1, 3), tables[p.values]
            n_chunks = len(chunks) - 1 - p.n_stages
            sizes = np.repeat(runs[:, 0], runs[:, 1])
            starts = np.cumsum([0, *sizes])
            for chunk in [*range(n_chunks, len(chunks) - 1), *range(n_chunks)]:
                for k in range(chunks[chunk, 1], chunks[chunk + 1, 1]):
                    slot, place = members[k]
                    own = seen[starts[k] : starts[k + 1]]
                    total = J[slot : slot + len(own)] @ values[own]
                    if chunk >= n_chunks:
                        values[p.n_amplitudes + place] = total
                    else:
                        by_slots[planned.CHUNK * chunk + place] = total
            fours = np.zeros((p.blocks.n_fours, BLOCK))
            for slot, place in p.blocks.places:
                fours.flat[place] = J[slot]
            by_blocks = np.full((centre.n_functions, 3), np.nan)
            for block in p.blocks.blocks:
                own = [v if q < block.n_scalars else v + p.n_scalars for q, v in enumerate(block.values)]
                total = fours[block.fours : block.fours + len(own)].T @ D[own]
                if block.kept:
                    D[p.n_scalars + block.first :][:BLOCK] = total[: p.n_values - p.n_scalars - block.first]
                else:
                    by_blocks[block.first : block.first + BLOCK] = total
            assert worst(by_blocks, by_slots) <= 1e-13


def test_stages_follow_each_other(spec_folder: Path) -> None:
    """What the tests of kept functions rest on: three levels, blocks with fewer than four of one, and more than one."""
    design = design_of(write_spec(spec_folder, "binary5"))
    kept = [[block for block in p.blocks.blocks if block.kept] for centre in design.centres for p in centre.patterns]
    assert all(p.n_stages == 3 for centre in design.centres for p in centre.patterns)
    assert all(len(blocks) > 3 for blocks in kept)
    assert any(b.first - a.first < BLOCK for blocks in kept for a, b in pairwise(blocks))


def test_the_last_block_ends_with_the_last_function() -> None:
    """Six functions of two slots each: the second block holds two of the first once more."""
    found = [(2 * f, [0, f % 3 + 1]) for f in range(6)]
    blocks = make_blocks(found, 6, 2, [], {})
    assert [(b.first, b.n_scalars, b.values, b.fours) for b in blocks.blocks] == [
        (0, 2, (0, 1, 0, 1), 0),
        (2, 2, (0, 1, 0, 1), 4),
    ]
    assert blocks.n_fours == 8
    assert len(blocks.places) == len({place for _, place in blocks.places}) == 16


def test_tiles_give_the_same(
    model: Model,
    graph: GraphBatch,
    expected: np.ndarray,
    tmp_path: Path,
    spec_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neighbours side by side instead of functions: other sums, equal to rounding."""
    monkeypatch.setattr(planned, "_FEW_FOURS", 0.0)
    path = write_spec(spec_folder, model.name)
    assert not design_of(path).gradients
    compile_bundle(path, tmp_path / "tiles")
    tiles = load(tmp_path / "tiles", threads=1)
    found = np.zeros_like(expected)
    tiles.write_gradients(graph, None, found)
    assert worst(found, expected) <= 1e-13


@pytest.mark.parametrize("offset", range(8))
def test_past_the_caches(model: Model, past: Model, graph: GraphBatch, expected: np.ndarray, offset: int) -> None:
    """The same bits at every place of a line, and nothing beside the rows is written."""
    memory = np.full(expected.size + 24, np.nan)
    start = 8 + (offset - memory.ctypes.data // 8) % 8
    within = memory[start : start + expected.size].reshape(expected.shape)
    within[:] = 0.0
    past.write_gradients(graph, None, within)
    assert within.ctypes.data % 64 == 8 * offset
    assert np.array_equal(within, expected)
    assert np.isnan(memory[:start]).all() and np.isnan(memory[start + expected.size :]).all()


def test_past_the_caches_in_two_threads(past: Model, model: Model, spec_folder: Path, kernels: Kernels) -> None:
    """Lines at the borders of what each thread writes belong to both."""
    graph = GraphBatch.from_atoms(lattice(model, (4, 4, 4), 6), model)
    expected = model.evaluate(graph, "basis_gradients").basis_gradients
    bundle = kernels.bundle(write_spec(spec_folder, model.name))
    two = Model(model.manifest, model.kernel, "float64", 2, origin=(bundle,))
    for _ in range(5):
        assert np.array_equal(two.evaluate(graph, "basis_gradients").basis_gradients, expected)


def test_rows_shorter_than_a_line(kernels: Kernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five functions: a line holds parts of two rows, and whole calls may not fill one."""
    path = tmp_path / "tiny.yaml"
    path.write_text("elements: [Si]\norder: 2\ndegree: 3\ncutoff: 5.0\nweights: {kind: random, seed: 4}\n")
    assert design_of(path).gradients
    model = built(kernels(path))
    assert model.n_basis == 5
    monkeypatch.setenv("ACEGEN_CC", f"{shlex.join(find_compiler().command)} -DPAST_CACHES=0")
    past = Model(model.manifest, model.kernel, "float64", 1, origin=(kernels.bundle(path),))
    graph = GraphBatch.from_atoms(lattice(model, (3, 3, 3), 5), model)
    vectors = edge_vectors(graph)[:3]
    for n_edges in (1, 2, 3):
        few = GraphBatch.from_arrays(
            species=[0, 0], edge_to=[1] * n_edges, first_edge=[0, n_edges, n_edges], edge_vectors=vectors[:n_edges]
        )
        for offset in range(8):
            memory = np.full(64, np.nan)
            start = 8 + (offset - memory.ctypes.data // 8) % 8
            rows = memory[start : start + 15 * n_edges].reshape(n_edges, 3, 5)
            rows[:] = 0.0
            past.write_gradients(few, None, rows)
            assert np.array_equal(rows, model.evaluate(few, "basis_gradients").basis_gradients)
            assert np.isnan(memory[:start]).all() and np.isnan(memory[start + 15 * n_edges :]).all()
    found = past.evaluate(graph, "basis_gradients").basis_gradients
    assert np.array_equal(found, model.evaluate(graph, "basis_gradients").basis_gradients)


def test_species_with_fewer_functions(
    shared: Path, kernels: Kernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns a species does not have stay zero, also past the caches, where whole rows are written."""
    lines = (shared / "zoo" / "quirks" / "unsorted_elements.yace").read_text().splitlines(keepends=True)
    last = [k for k, line in enumerate(lines) if "{mu0: 1, rank: 2" in line][-2:]
    path = tmp_path / "fewer.yace"
    path.write_text("".join(line for k, line in enumerate(lines) if k not in last))
    assert design_of(path).gradients
    model = built(kernels(path))
    counts = [sum(pair) for pair in model.manifest.n_basis_per_species]
    assert len(set(counts)) > 1
    monkeypatch.setenv("ACEGEN_CC", f"{shlex.join(find_compiler().command)} -DPAST_CACHES=0")
    past = Model(model.manifest, model.kernel, "float64", 1, origin=(kernels.bundle(path),))
    graph = GraphBatch.from_atoms(lattice(model, (3, 3, 3), 5), model)
    expected = model.evaluate(graph, ("basis_gradients", "edge_gradients"))
    assert np.array_equal(past.evaluate(graph, "basis_gradients").basis_gradients, expected.basis_gradients)
    inside = expected.basis_gradients.any(axis=(1, 2))
    rows = np.full_like(expected.basis_gradients, np.nan)
    past.write_gradients(graph, None, rows)  # whole rows: what shows that they went past the caches
    assert np.array_equal(rows[inside], expected.basis_gradients[inside])
    rows[:] = np.nan
    model.write_gradients(graph, None, rows)
    assert np.isnan(rows[inside]).any()
    for a, weights in enumerate(read_input(path).potential.centres):
        rows = expected.basis_gradients[graph.species[centres(graph)] == a]
        assert not rows[:, :, counts[a] :].any() and rows[:, :, counts[a] - 1].any()
        edges = expected.edge_gradients[graph.species[centres(graph)] == a]
        assert worst(rows[:, :, : counts[a]] @ weights.weights[:, 0], edges) <= 1e-12
