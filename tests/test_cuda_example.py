"""The C++ program that runs a launch list without Python: nvcc builds it, and it is right on the host shim."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pair_cuda
import pytest

from acegen.compiler import compile_plan
from acegen.emit.cuda import render_cuda
from acegen.record import Record
from acegen.testing.host import find_cxx, host_library

ROOT = Path(__file__).resolve().parents[1]
MAIN = ROOT / "examples" / "cuda_host" / "main.cpp"
STRICT = ("-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, linked with a stand-in for the driver."""
    folder = tmp_path_factory.mktemp("program")
    shutil.copy(ROOT / "tests" / "cuda_driver.h", folder / "cuda.h")
    out = folder / "cuda_host"
    command = [*find_cxx().command, *STRICT, "-O0", f"-I{folder}", str(MAIN), "-ldl", "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def start(program: Path, folder: Path, record: Record, species: list[str], cutoff: float, *more: object) -> str:
    """What the program prints, for the source that was compiled to `more[0]`."""
    manifest = {"species": species, "cutoff": cutoff, "cuda": record.to_json(), "other": ['a "b" \\', -1e-3, None]}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    command = [str(program), str(folder / "manifest.json"), *map(str, more)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == "" and done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_pair_potential(program, tmp_path):
    """Two species, kernels written by hand."""
    library = host_library(pair_cuda.SOURCE, ("-O0",))
    text = start(program, tmp_path, pair_cuda.record(), ["A", "B"], 4.0, library, 4.6)
    assert text.splitlines()[-1] == "good"


def test_generated_source(program, tmp_path):
    """What the compiler writes for a specification."""
    file, record = render_cuda(compile_plan(ROOT / "examples" / "specs" / "si.yaml", None)[1])
    library = host_library(file.text, ("-O0",))
    text = start(program, tmp_path, record, ["Si"], 5.5, library, 5.7)
    assert text.splitlines()[-1] == "good"


def test_what_cannot_be_read_is_named(program, tmp_path):
    """One line and exit code 2."""
    for content, told in (("{}", 'no key "cuda"'), ("", "ends too early"), ("nonsense {", "not JSON|ends|no key")):
        (tmp_path / "manifest.json").write_text(content)
        command = [str(program), str(tmp_path / "manifest.json"), "none.cubin"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert any(part in done.stderr for part in told.split("|"))


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
def test_nvcc_builds_it(tmp_path):
    """Against the real header; linking needs the driver's library, which comes with a card."""
    command = ["nvcc", "-std=c++17", "-Xcompiler", "-Wall,-Wextra,-Werror", "-c", str(MAIN), "-o", "main.o"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and (tmp_path / "main.o").is_file(), done.stderr
