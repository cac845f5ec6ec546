"""The README is true: its snippets run, its tables are the code's, and `.ci/run` runs its test command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import acegen
import acegen.spec
from acegen.build.cc import find_compiler

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
SKIPPED = "<!-- not run by the tests"
_BLOCK = re.compile(r"^(?P<before>[^\n]*)\n```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    """Text between a heading of the second level and the next."""
    return re.split(r"^## ", TEXT.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def blocks(kind: str, text: str = TEXT) -> list[str]:
    """Code blocks of a kind, in order, without those marked as not to be run."""
    found = [match for match in _BLOCK.finditer(text) if match["kind"] == kind]
    return [match["body"] for match in found if not match["before"].startswith(SKIPPED)]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the root of a checkout; what the snippets write stays out of the real one."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("examples", "generated"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def shell(script: str, folder: Path) -> str:
    """Output of a script that must succeed; `acegen` and `cc` are those of the tests."""
    (folder / "bin").mkdir(exist_ok=True)
    compiler = folder / "bin" / "cc"
    compiler.write_text("#!/bin/sh\nexec " + " ".join(find_compiler().command) + ' "$@"\n')
    compiler.chmod(0o755)
    path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{script}\n{result.stdout}{result.stderr}"
    return result.stdout


def test_python_snippets_run_one_after_the_other(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    names: dict[str, object] = {}
    snippets = blocks("python")
    assert len(snippets) >= 2
    for snippet in snippets:
        exec(compile(snippet, "README.md", "exec"), names)


def test_shell_snippets_of_the_tour_run(checkout: Path) -> None:
    for script in blocks("sh", section("Tour")):
        shell(script, checkout)
    assert (checkout / "evaluated.xyz").stat().st_size > 0


def test_c_program_compiles_and_runs(checkout: Path) -> None:
    place = section("The bundle and its C interface")
    (program,), (script,) = blocks("c", place), blocks("sh", place)
    (checkout / "dimer.c").write_text(program)
    together, alone, force = re.findall(r"-?\d+\.\d+", shell(script, checkout))
    model = acegen.load(ROOT / "generated" / "si_pair")
    energy, gradient = model.site(0, [0], [[0.0, 0.0, 2.4]])
    assert float(together) == pytest.approx(2 * energy, rel=1e-9)
    assert float(alone) == model.site(0, [], np.zeros((0, 3)))[0]
    assert float(force) == pytest.approx(2 * gradient[0, 2], rel=1e-6)


def test_golden_set_is_checked_as_told(checkout: Path) -> None:
    (script,) = blocks("sh", section("To verify and ship a kernel"))
    assert "--check" in script
    shell(script, checkout)


def test_spec_reference_is_that_of_the_code() -> None:
    table = (acegen.spec.__doc__ or "").partition("key      ")
    assert "".join(table[1:]).rstrip("\n") + "\n" in blocks("text")


def test_specification_shown_is_the_example() -> None:
    (shown,) = blocks("yaml")
    example = (ROOT / "examples" / "specs" / "cuau.yaml").read_text(encoding="utf-8")
    assert shown == example.partition("\n")[2]


def test_every_public_error_and_property_is_named() -> None:
    from acegen.runtime.evaluation import PROPERTIES

    for word in (*PROPERTIES, *(name for name in acegen.__all__ if name.endswith("Error"))):
        assert f"`{word}`" in TEXT


def test_files_named_exist() -> None:
    for name in re.findall(r"`((?:examples|tests|acegen|generated)/[\w./]+)`", TEXT):
        assert (ROOT / name).exists(), name


def test_run_and_test_commands_set_everything_up() -> None:
    for title in ("Run", "Test"):
        first = blocks("sh", section(title))[0].splitlines()[0]
        assert first.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    assert "pytest" in first


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """The lines of .ci/run that find the command, run alone, print the first line of the block under "## Test"."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (finding,) = re.findall(r"^test_command=.*$", script, re.MULTILINE)
    assert 'bash -euo pipefail -c "$test_command"' in script
    for tool in ("ruff check .", "ruff format --check .", "mypy"):
        assert f".venv/bin/{tool}\n" in script
    found = subprocess.run(
        ["bash", "-euc", f'{finding}\necho "$test_command"'], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout == blocks("sh", section("Test"))[0].splitlines()[0] + "\n"
