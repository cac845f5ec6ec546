"""`acegen info` tells the sizes of an input before anything is built, and of a bundle."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from acegen.cli.main import main
from acegen.cli.sizes import SourceSize, thread_bytes
from acegen.compiler import compile_plan
from acegen.loader import load


def _info(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert main(["info", str(path), "--json", *more]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_no_compiler_is_started(
    specs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """info starts no process at all."""

    def refuse(*arguments: Any, **more: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setenv("ACEGEN_CC", "no-such-compiler")
    assert main(["info", str(specs / "si_pair.yaml")]) == 0
    text = capsys.readouterr().out
    assert text.startswith("si_pair: Si, correlation order 2, cutoff 5 A, float64\n")
    assert "multiply-adds: edge " in text and "estimate: " in text and "working memory per thread: " in text


def test_numbers(specs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sizes of the Si example agree with its basis and its generated source."""
    found = _info(specs / "si.yaml", capsys)
    (one,) = found["species"]
    assert (one["symbol"], one["n_A"], one["n_AA"], one["n_B"], one["n_pair"]) == ("Si", 60, 266, 124, 8)
    assert found["correlation_order"] == 3 and found["cutoff"] == 5.5 and found["linear"]
    assert found["operations_per_atom"] == sum(
        count * (60 if stage == "edge" else 1) for stage, count in found["operations"].items()
    )
    assert found["source_bytes"]["code"] > 10_000 and 0 < found["table_bytes"] < found["source_bytes"]["tables"]
    assert 0.3 < found["estimates"]["compile_seconds"] < 10.0
    assert found["estimates"]["thread_bytes"] > 8 * 8 * one["n_components"]


def test_form_and_layout_are_those_asked_for(specs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--form, --products and --precision change what is described."""
    found = _info(specs / "si.yaml", capsys, "--form", "coupled", "--products", "tiled", "--precision", "float32")
    (one,) = found["species"]
    assert (one["form"], one["layout"], found["precision"]) == ("coupled", "tiled", "float32")


def test_bundle_agrees_with_its_input(specs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bundle tells the same as the input it came from, as far as it knows."""
    path = specs / "cuau.yaml"
    before = _info(path, capsys)
    assert main(["compile", str(path), "-o", str(tmp_path / "cuau"), "--source-only"]) == 0
    capsys.readouterr()
    after = _info(tmp_path / "cuau", capsys)
    for key in ("name", "symbols", "digest", "operations", "source_bytes", "table_bytes", "cutoff", "precision"):
        assert after[key] == before[key]
    for old, new in zip(before["species"], after["species"], strict=True):
        assert new == {key: old[key] for key in new}
    assert main(["info", str(tmp_path / "cuau")]) == 0
    assert "Au " in capsys.readouterr().out


def test_potential(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fitted potential of 74 functions and one density."""
    found = _info(shared / "zoo" / "W-small-s1" / "W-small-s1.yace", capsys)
    (one,) = found["species"]
    assert (found["symbols"], found["linear"], found["replaceable"]) == (["W"], True, False)
    assert (one["n_B"] + one["n_pair"], one["n_densities"]) == (74, 1)


@pytest.mark.parametrize("n_atoms, n_neighbours", [(10, 0), (50, 31), (2_000, 60)])
@pytest.mark.parametrize("source", ["examples/specs/si.yaml", "examples/specs/cuau.yaml", "NiTi-zbl-s1"])
def test_working_memory(shared: Path, specs: Path, source: str, n_atoms: int, n_neighbours: int) -> None:
    """Memory of a thread is what the compiled kernel asks for, for the width of its vectors."""
    path = specs / Path(source).name if source.endswith(".yaml") else shared / "zoo" / source / f"{source}.yace"
    kernel = load(path).kernel
    asked = kernel.workspace_bytes(n_atoms, n_neighbours, 3) - kernel.workspace_bytes(n_atoms, n_neighbours, 2)
    plan = compile_plan(path, None, "auto", "auto")[1]
    assert asked in [thread_bytes(plan, n_neighbours, n_atoms, width) for width in (16, 32, 64)]


def test_source_size() -> None:
    """Tables are counted apart: their text, and their bytes in the object by type of the entries."""
    text = (
        "static const real A[2][2] = {\n    { REAL(1.0), REAL(2.0) }, /* one, two */\n"
        "    { REAL(3.0), REAL(4.0) },\n};\n"
        "static const uint16_t B[3] __attribute__((aligned(64))) = { /* three */\n"
        "    1, 2, 3\n};\nint f(void) { return 0; }\n"
    )
    size = SourceSize.of([text])
    assert size.tables == 4 * 8 + 3 * 2
    assert SourceSize.of([text], float32=True).tables == 4 * 4 + 3 * 2
    assert size.total == len(text) and size.code == len("\n\nint f(void) { return 0; }\n")
