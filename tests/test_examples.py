"""The examples do what their first lines say: each runs from anywhere, without a warning, and shows a true result."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from acegen.build.cc import find_compiler

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"


def run(command: list[str], folder: Path) -> str:
    """Standard output of a command that must succeed quietly."""
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    return result.stdout


def python(name: str, folder: Path) -> str:
    return run([sys.executable, "-W", "error", str(EXAMPLES / name)], folder)


def test_compile_writes_a_bundle_and_lists_it(tmp_path: Path) -> None:
    text = python("01_compile.py", tmp_path)
    names = sorted(os.listdir(tmp_path / "si.acegen"))
    assert {"si.c", "si.h", "manifest.json", "basis.txt", "selftest.c", "README.md"} <= set(names)
    assert all(name in text for name in names)


def test_energy_and_forces_agree_with_differences_and_the_basis(tmp_path: Path) -> None:
    text = python("02_energy_forces.py", tmp_path)
    force, difference = map(float, re.search(r"along x: (\S+), by finite differences (\S+) eV/A", text).groups())
    assert force == pytest.approx(difference, rel=1e-5)
    assert float(re.search(r"energies - basis \. weights: +(\S+)", text)[1]) < 1e-12


def test_molecular_dynamics_conserves_energy_with_fitted_weights(tmp_path: Path) -> None:
    text = python("03_ase_md.py", tmp_path)
    assert float(re.search(r"energies within (\S+) meV/atom", text)[1]) < 10.0
    drifts = [abs(float(drift)) for drift in re.findall(r"drift +(\S+) meV/atom", text)]
    assert len(drifts) == 5 and max(drifts) < 0.1  # time step of 2 fs at 600 K; the energy itself is exact
    assert int(re.search(r"lists built: (\d+)", text)[1]) < 60


def test_standalone_kernel_agrees_with_finite_differences(tmp_path: Path) -> None:
    bundle = ROOT / "generated" / "si"
    strict = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{bundle}"]
    files = [str(EXAMPLES / "04_standalone.c"), str(bundle / "si.c")]
    run([*find_compiler().command, *strict, *files, "-lm", "-o", "standalone"], tmp_path)
    assert run([str(tmp_path / "standalone")], tmp_path).splitlines()[-1] == "good"


def test_fit_is_good_and_knows_where_it_is_not(tmp_path: Path) -> None:
    text = python("05_fit.py", tmp_path)
    assert float(re.search(r"holdout +energies +(\S+) meV/atom", text)[1]) < 10.0
    near, far = map(float, re.search(r"grade: (\S+) like .*, (\S+) stretched", text).groups())
    assert near < 2.0 and far > 5.0


def test_every_example_is_run_here_or_beside() -> None:
    files = (Path(__file__), Path(__file__).with_name("test_example_fit.py"))
    mine = "".join(path.read_text(encoding="utf-8") for path in files)
    for path in EXAMPLES.iterdir():
        if path.suffix in (".py", ".c"):
            assert path.name in mine
