"""Predictions for cards that are not there follow from counted work, and say what they are; options of the command."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from acegen.bench.cuda_floors import counted, stage_of
from acegen.bench.predict import CARDS, FRACTION, NOT_MEASURED
from acegen.cli.main import main
from acegen.compiler import compile_plan
from acegen.emit.cuda import render_cuda

CUAU = Path(__file__).resolve().parents[1] / "examples" / "specs" / "cuau.yaml"
CUDA = ("--device", "cuda")


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Path:
    """Two cards, both precisions."""
    out = tmp_path_factory.mktemp("predicted") / "record.json"
    assert main(["bench", str(CUAU), *CUDA, "--predict", "--card", "h200,a100", "--json", str(out)]) == 0
    return out


def test_predictions_follow_from_counts(record, tmp_path, capsys):
    """Each stage takes what its busiest ceiling leaves, at the fraction assumed; every line says what it is."""
    found = json.loads(record.read_text())
    assert found["status"] == NOT_MEASURED and found["fraction_assumed"] == FRACTION
    kinds = [(one["card"], one["precision"]) for one in found["predictions"]]
    assert kinds == [(CARDS[c].name, f"float{n}") for n in (64, 32) for c in ("h200", "a100")]
    for one, card in zip(found["predictions"], ("h200", "a100") * 2, strict=True):
        ceilings = CARDS[card].ceilings
        total = 0.0
        for stage in one["stages"]:
            times = {
                "arithmetic": 2e-3 * stage["operations"] / getattr(ceilings, one["precision"]),
                "shared": 1e-3 * stage["shared_bytes"] / ceilings.shared,
                "memory": 1e-3 * stage["bytes"] / ceilings.bandwidth,
            }
            assert times[stage["bound"]] == max(times.values())
            assert stage["us_per_atom"] == pytest.approx(max(times.values()) / FRACTION, rel=0.02, abs=1e-6)
            total += stage["us_per_atom"]
        assert one["us_per_atom"] == pytest.approx(total, abs=1e-4)
        assert one["atom_steps_per_s"] == pytest.approx(1e6 / total, rel=1e-2)
    assert main(["bench", "--table", str(record)]) == 0
    table = capsys.readouterr().out
    assert table.startswith("Predicted") and "not measured" in table and table.count("| cuau |") == 4
    assert main(["bench", str(CUAU), *CUDA, "--predict", "--precision", "float32"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 5 and all(line.endswith(NOT_MEASURED) for line in lines)


def test_stages_are_those_of_the_kernels():
    """All kernels of forces that work on atoms are counted, by the names under which their times are added up."""
    costs, *_ = counted(CUAU, "float64")
    _, plan = compile_plan(CUAU, "float64")
    launched = {stage_of(q.kernel) for q in render_cuda(plan)[1].launches if q.needed_for != "basis"}
    assert launched - {"take_coefficients"} == {cost.stage for cost in costs}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "gpu"], "device: expected 'cpu', 'cuda' or 'cuda:<number>', found 'gpu'"),
        (["--predict"], "--predict: expected with --device cuda, found --device cpu"),
        ([*CUDA, "--card", "h200"], "--card: expected with --predict only"),
        ([*CUDA, "--predict", "--card", "tpu"], "--card: unknown card 'tpu', expected one of h200, h100"),
        ([*CUDA, "--atoms", "8"], "--atoms: expected with --device cpu only, found --device cuda (use --sizes)"),
        ([*CUDA, "--against", "pyace"], "--against: expected with --device cpu only"),
        ([*CUDA, "--end-to-end"], "--end-to-end: expected with --device cpu only"),
    ],
)
def test_bad_options(options, message, capsys):
    """Exit code 2 and one line."""
    assert main(["bench", str(CUAU), *options]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_bundles_are_not_predicted(tmp_path, capsys):
    assert main(["bench", str(tmp_path), *CUDA, "--predict"]) == 2
    assert "expected one, found a bundle" in capsys.readouterr().err


def test_without_cupy_one_sentence_says_what_to_install(monkeypatch, capsys):
    """Before anything is generated or compiled."""
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert main(["bench", str(CUAU), *CUDA]) == 2
    error = capsys.readouterr().err
    assert "CUDA needs CuPy" in error and "pip install" in error and error.count("\n") == 1
