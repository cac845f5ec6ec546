"""How CUDA kernels share a multiprocessor, what they cost, and that memory of either kind gives the same bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cuda_cases import LIGHT, CudaSource, run_on_host, small_batch
from kernels import Kernels

from acegen.compiler import compile_plan
from acegen.plan.cuda import CudaPlan, make_cuda_plan
from acegen.plan.cuda_costs import costs
from acegen.plan.cuda_layout import LARGEST_SHARED, edge_layout, product_layout
from acegen.testing.host import HostModule


def plan_of(specs: Path, name: str) -> CudaPlan:
    return make_cuda_plan(compile_plan(specs / f"{name}.yaml")[1])


def counts(cuda: CudaPlan, neighbours: float, size: int = 8) -> np.ndarray:
    """[stage, number] of `costs` with as many atoms of every species."""
    n = len(cuda.plan.species)
    found = costs(cuda, np.full(n, 1 / n), np.full(n, neighbours), np.full((n, n), neighbours / n), size)
    return np.array([[c.arithmetic, c.shared, c.read, c.written] for c in found])


@pytest.mark.parametrize("name", ["si", "cuau"])
def test_costs_are_linear_in_the_neighbours(specs: Path, name: str) -> None:
    """Edges cost the same each; products and sums know nothing of neighbours."""
    none, some, twice = (counts(plan_of(specs, name), n) for n in (0.0, 20.0, 40.0))
    assert np.allclose(twice - some, some - none, rtol=1e-12)
    assert np.array_equal(none[[1, 4]], some[[1, 4]]) and (some[[0, 2, 3]] > none[[0, 2, 3]]).any(axis=1).all()


def test_costs_count_the_products(specs: Path) -> None:
    """At least the multiply-adds that the plan states, and less traffic in float."""
    cuda = plan_of(specs, "cuau")
    stated = dict(cuda.plan.operations)
    double, single = counts(cuda, 20.0), counts(cuda, 20.0, 4)
    assert double[1, 0] >= 0.5 * (stated["products"] + stated["mixing"])
    assert np.array_equal(double[:, 0], single[:, 0]) and (single[:3, 1] < double[:3, 1]).all()


@pytest.mark.parametrize(("primitives", "harmonics"), [(8, 4), (13, 25), (25, 49), (40, 100), (100, 144)])
def test_blocks_of_the_edges_fit(primitives: int, harmonics: int) -> None:
    """Static shared memory below 48 KB, sixteen warps or four blocks to a multiprocessor, rows in different banks."""
    layout = edge_layout(primitives, harmonics)
    shared = 8 * layout.chunk * 2 * (layout.radial_stride + layout.harmonic_stride)
    assert shared < 48 * 1024 and layout.radial_stride % 2 == layout.harmonic_stride % 2 == 1
    assert min(LARGEST_SHARED // shared * layout.gradient_threads // 32, 16) >= 11
    assert layout.pool_threads <= layout.gradient_threads and layout.gradient_threads % layout.chunk == 0


@pytest.mark.parametrize("densities", [1, 13, 40])
def test_blocks_of_many_densities_fit(tmp_path: Path, densities: int) -> None:
    """Partial sums of all densities stay below the 48 KB of static shared memory: blocks have fewer threads."""
    path = tmp_path / "many.yaml"
    scales = f"scales: {[1.0] * densities}, exponents: {[1.0] * densities}"
    path.write_text(
        "name: many\nelements: [Si]\norder: 1\ndegree: 3\ncutoff: 5.0\nweights: {kind: random}\n"
        f"embedding: {{kind: FinnisSinclair, {scales}}}\n"
    )
    plan = compile_plan(path)[1]
    layout = product_layout(plan)
    assert layout.static == 8 * densities * (layout.threads + layout.lanes) <= 48 * 1024
    assert layout.threads % 32 == 0 and (layout.threads == 512) == (densities < 12)


@pytest.mark.parametrize("name", ["cuau"])
def test_global_memory_gives_the_same_bits(specs: Path, kernels: Kernels, cache: None, name: str) -> None:
    """X of the product stage where a card has too little shared memory."""
    path = specs / f"{name}.yaml"
    source, model = CudaSource.of(path), kernels(path, "float64")
    graph = small_batch(model)
    assert max(launch.shared for launch in source.record.launches) > 0
    without = tuple(replace(launch, shared=0) for launch in source.record.launches)
    poor = replace(source, record=replace(source.record, launches=without))
    wanted = run_on_host(source, HostModule(source.text, LIGHT), graph)
    found = run_on_host(poor, HostModule(source.text, (*LIGHT, "-DSHARED_LIMIT=0")), graph, "random")
    assert all(found[key].tobytes() == wanted[key].tobytes() for key in wanted)
