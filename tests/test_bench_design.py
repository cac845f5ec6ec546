"""`acegen bench --design` measures what it says: sizes, bytes, multiply-adds; ace-jax's rows are the same numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from spec_texts import write_spec

import acegen
from acegen import GraphBatch
from acegen.bench.design import multiply_adds
from acegen.bench.structures import build_structure, choose_crystal
from acegen.cli.main import main
from acegen.compiler import compile_plan, plan_design


@pytest.fixture(scope="module")
def source(spec_folder: Path) -> Path:
    return write_spec(spec_folder, "solid")


def test_record_and_text(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["bench", str(source), "--design", "--atoms", "4", "--repeats", "1", "--lattice", "bcc"]
    assert main([*options, "--json", "-"]) == 0
    record = json.loads(capsys.readouterr().out)
    (run,) = record["runs"]
    n_parameters = record["potential"]["parameters"]
    assert run["rows_bytes"] == 8 * n_parameters * (3 * run["atoms"] + 7)
    assert run["ace_jax_us"] is None and run["ratio"] is None
    for what in ("rows", "gradients"):
        assert run[f"{what}_bandwidth_fraction"] > 0.0 and 0.0 < run[f"{what}_peak_fraction"] < 1.0
    assert main(options) == 0
    text = capsys.readouterr().out
    assert "of_bandwidth" in text and f"{n_parameters} parameters" in text and "multiply-adds" in text


@pytest.mark.parametrize(("option", "found"), [(["--floors"], "--floors"), (["--against", "pyace"], "pyace")])
def test_options_of_energies_are_refused(
    source: Path, capsys: pytest.CaptureFixture[str], option: list[str], found: str
) -> None:
    assert main(["bench", str(source), "--design", *option]) != 0
    assert found in capsys.readouterr().err


def test_multiply_adds_are_those_of_the_plan(source: Path) -> None:
    """Three for every neighbour and every slot, counted in the tables of the kernel; fewer than the amplitudes that
    the functions depend on, since some are a shorter one times an amplitude."""
    model = acegen.load(source, threads=1)
    read, plan = compile_plan(source)
    design = plan_design(read.potential, plan)
    assert design is not None
    sizes = {table.name: len(table.values) for table in design.tables}
    atoms = build_structure(model.species, choose_crystal(model.species), 8)
    graph = GraphBatch.from_atoms(atoms, model)
    expected = of_amplitudes = 0
    for i in range(graph.n_atoms):
        centre = read.potential.centres[graph.species[i]]
        for j in graph.edge_to[graph.first_edge[i] : graph.first_edge[i + 1]]:
            expected += 3 * sizes[design.centres[graph.species[i]].patterns[graph.species[j]].values]
            for function in centre.functions:
                seen = [centre.channels[c] for c in set(function.channels)]
                of_amplitudes += sum(3 * (2 * c.l + 1) for c in seen if c.neighbour in (-1, graph.species[j]))
    assert multiply_adds(design, graph) == expected < of_amplitudes


@pytest.mark.peer
def test_ace_jax_has_the_same_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Energy, force and virial rows of two species, its own order of parameters and gauge."""
    python = os.environ.get("ACEGEN_PEER_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import ace_jax"], capture_output=True, check=False).returncode != 0:
        pytest.skip("ace_jax is not installed in ACEGEN_PEER_PYTHON")
    source = tmp_path / "same.yaml"
    source.write_text("preset: ace_jax\nelements: [Si, Ge]\norder: 3\ndegree: 5\nweights: {kind: random, seed: 1}\n")
    options = ["--design", "--atoms", "8", "--repeats", "1", "--against", "ace-jax", "--peer-python", python]
    assert main(["bench", str(source), *options, "--json", "-"]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert np.isfinite(run["ace_jax_us"]) and run["ace_jax_difference"] <= 1e-12
