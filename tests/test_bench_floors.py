"""Floors of `acegen bench --floors`: counted operations agree with the manifest, the census with the graph."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import sympy

import acegen
from acegen.bench.bandwidth import LEVELS, cache_sizes, level_of, read_bandwidth
from acegen.bench.census import take_census
from acegen.bench.floors import GROUPS, STAGES, Cost, stage_costs
from acegen.bench.structures import Crystal, build_structure
from acegen.cli.main import main
from acegen.compiler import compile_plan
from acegen.plan.counting import DIVISION, ROOT, TRANSCENDENTAL, expression_operations


def test_operations_of_expressions() -> None:
    """A product that is a summand costs nothing more than its addition; signs are free, slow instructions are not."""
    x, y, z = sympy.symbols("x y z")
    expected = {x: 0, x * y + z: 1, x * y + y * z: 2, x * y - z: 1, -x: 0, x**2: 1, x**4: 2, x**3: 2}
    expected |= {sympy.sqrt(19635) * x * 4 / 693 + y: 1, sympy.sqrt(2): 0}
    expected |= {1 / x: DIVISION, sympy.sqrt(x): ROOT, sympy.exp(x * y): 1 + TRANSCENDENTAL, sympy.Max(x, y): 1}
    assert {value: expression_operations(value) for value in expected} == expected


def test_census_counts_neighbours_and_padding() -> None:
    """Means over the centres of each species; a vector of centres needs as many slots as its fullest lane."""
    atoms = build_structure(["Cu", "Au"], Crystal("fcc", 3.9), 32)
    graph = acegen.GraphBatch.from_atoms(atoms, 4.5, species=("Cu", "Au"))
    cutoffs = np.array([[3.0, 4.0], [4.0, 4.5]])
    census = take_census(graph, cutoffs, 4)
    distances = atoms.get_all_distances(mic=False)
    assert distances.shape == (32, 32) and census.share.sum() == 1.0
    centre = np.repeat(np.arange(32), np.diff(graph.first_edge))
    shifts = graph.shifts[graph.edge_shift]
    lengths = np.linalg.norm(graph.positions[graph.edge_to] + shifts - graph.positions[centre], axis=1)
    for a in range(2):
        for b in range(2):
            counts = np.zeros(32)
            chosen = (graph.species[graph.edge_to] == b) & (lengths < cutoffs[a, b])
            np.add.at(counts, centre[chosen], 1)
            mine = counts[graph.species == a]
            assert census.inside[a, b] == pytest.approx(mine.mean())
            assert census.slots[a, b] == pytest.approx(mine.reshape(-1, 4).max(axis=1).mean())
    assert census.neighbours < census.padded
    assert census.listed @ census.share == pytest.approx(graph.n_edges / 32)


@pytest.mark.parametrize("name", ["si", "si_pair"])
def test_stages_add_up_to_the_manifest(specs: Path, name: str) -> None:
    """Pooling, contraction, products and adjoint hold the operations of the manifest, and little besides."""
    _, plan = compile_plan(specs / f"{name}.yaml")
    atoms = build_structure(["Si"], Crystal("diamond", 5.43), 64)
    cutoffs = np.array([[plan.largest_cutoff]])
    census = take_census(acegen.GraphBatch.from_atoms(atoms, plan.largest_cutoff, species=("Si",)), cutoffs, 4)
    costs, counted = stage_costs(plan, census), dict(plan.operations)
    assert tuple(costs) == STAGES and sorted(s for group in GROUPS.values() for s in group) == sorted(STAGES)
    l_max = plan.edges[0].l_max
    edges = costs["pooling"].operations + costs["contraction"].operations
    assert edges == pytest.approx(census.neighbours * (counted["edge"] - 3 * (l_max + 1) ** 2))
    products = costs["products"].operations + costs["adjoint"].operations + costs["mixing"].operations
    assert counted["products"] <= products <= counted["products"] + 2 * plan.max_components


def test_a_stage_takes_the_longer_of_arithmetic_and_traffic() -> None:
    """1000 multiply-adds at 50 GFLOP/s are 0.04 us, 20 kB at 100 GB/s 0.2 us, at once; levels are this machine's."""
    cost = Cost()
    cost.add(1000.0)
    assert cost.microseconds(50.0, {}) == pytest.approx(0.04)
    cost.add(0.0, 10_000.0, "L2")
    cost.add(0.0, 10_000.0, "L2")
    assert cost.microseconds(50.0, {"L2": 100.0}) == pytest.approx(0.2)
    sizes = cache_sizes()
    assert [level_of(size) for size in (*sizes, 2 * max(sizes))] == list(LEVELS) or len(set(sizes)) < 3
    rates = read_bandwidth(1e-4, 1)
    assert tuple(rates) == LEVELS and all(0.0 < rate < 1e5 for rate in rates.values())


def test_bench_prints_floors(specs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The record holds stages and groups; text and Markdown print them; a bundle has no plan to count in."""
    out = tmp_path / "record.json"
    options = ["--atoms", "8", "--repeats", "1", "--cached", "--floors", "--rattle", "0.1", "--json", str(out)]
    assert main(["bench", str(specs / "si_pair.yaml"), *options]) == 0
    text = capsys.readouterr().out
    assert "floor us" in text and "edges backward" in text and "rattled 0.1 A" in text
    (floors,) = json.loads(out.read_text())["floors"]
    assert set(floors["stages"]) == set(STAGES) and set(floors["groups"]) == set(GROUPS)
    assert all(one["floor_us"] >= 0.0 for one in floors["stages"].values())
    assert main(["bench", "--table", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| si_pair | float64 |") for line in lines) == 2
    bundle = tmp_path / "bundle"
    assert main(["compile", str(specs / "si_pair.yaml"), "-o", str(bundle)]) == 0
    assert main(["bench", str(bundle), *options]) == 0
    assert "floors are counted in the plan" in capsys.readouterr().out
    assert main(["bench", "x", "--rattle", "far"]) == 2
    assert "expected a length in angstrom" in capsys.readouterr().err
