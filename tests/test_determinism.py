"""Same input, same bytes; and the runtime stands alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import hashlib, sys
from pathlib import Path
from acegen.compiler import compile_files
from acegen.emit.bundle import contents

for path in map(Path, sys.argv[1:]):
    compiled = compile_files(path)
    for name, raw in sorted(contents(compiled.files, compiled.manifest, compiled.binary).items()):
        print(path.name, name, hashlib.sha256(raw).hexdigest())
"""
MODULES = """
import sys
import acegen.runtime
from acegen import GraphBatch, Model
print([name for name in ("sympy", "jinja2", "yaml", "mpmath", "ase", "acegen.compiler") if name in sys.modules])
"""


def run(program: str, *arguments: Path, **variables: str) -> str:
    """Output of a Python program in a process of its own."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables}, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def inputs(specs: Path) -> list[Path]:
    """The example specifications, and where the zoo is at hand PACE potentials in both forms of the product basis."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    zoo = Path(os.environ.get("ACEGEN_SHARED", beside)) / "zoo"
    potentials = [zoo / name / f"{name}.yace" for name in ("W-small-s1", "Cu-medium-s1")]
    return [*sorted(specs.glob("*.yaml")), *(path for path in potentials if path.is_file())]


def test_same_bytes_under_other_hashes_and_another_blas(inputs: list[Path]) -> None:
    """No order of sets or dictionaries, and no rounding that depends on the processor, reaches a file."""
    first = run(PROGRAM, *inputs, PYTHONHASHSEED="0")
    second = run(PROGRAM, *inputs, PYTHONHASHSEED="1", OPENBLAS_CORETYPE="Nehalem")
    assert len(first.splitlines()) >= 7 * 3
    assert first == second


def test_runtime_loads_no_compiler() -> None:
    """Evaluating a bundle needs neither SymPy nor Jinja."""
    assert run(MODULES) == "[]\n"
