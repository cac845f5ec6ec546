"""The wheel is complete: installed into a clean environment, it compiles and runs a specification."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import site
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

_RUN = """
import sys
import numpy as np
import ase, acegen
assert acegen.__file__.startswith(sys.prefix), acegen.__file__
bundle = acegen.compile("si_pair.yaml")
out = bundle.load().evaluate(ase.Atoms("Si2", [(0, 0, 0), (0, 0, 2.4)]))
assert np.allclose(out.forces.sum(axis=0), 0) and abs(out.forces).max() > 1e-3
print("compiled and evaluated", bundle.path)
"""


def run(command: list[str], folder: Path) -> str:
    """Standard output of a command that must succeed, far from the variables of this process."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy so that nothing is left here."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed: pip install setuptools")
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("acegen", "templates"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source" / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    run([*pip, "-w", str(folder), str(folder / "source")], folder)
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_every_module_template_and_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "acegen").rglob("*.py")}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "acegen").rglob("*.c")}
    templates = {f"acegen/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "templates").rglob("*.j2")}
    assert modules | sources | templates <= names
    assert any(name.endswith("LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "generated", "examples"))]


def test_installed_wheel_compiles_and_runs(wheel: Path, tmp_path: Path) -> None:
    run([sys.executable, "-m", "venv", "--without-pip", "clean"], tmp_path)
    python = tmp_path / "clean" / "bin" / "python"
    run([sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "-q", str(wheel)], tmp_path)
    # Dependencies are those of this environment: a .pth line adds its packages, but not its editable installs.
    (packages,) = (tmp_path / "clean" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(dependency_folders()))
    shutil.copy(ROOT / "examples" / "specs" / "si_pair.yaml", tmp_path)
    assert "compiled and evaluated" in run([str(python), "-I", "-W", "error", "-c", _RUN], tmp_path)
    command = str(tmp_path / "clean" / "bin" / "acegen")
    assert run([command, "--version"], tmp_path).startswith("acegen ")


@pytest.mark.parametrize(("major", "suffix"), [(12, "-cu12"), (13, "")])
def test_cuda_extras_bring_what_cupy_compiles_with(major: int, suffix: str) -> None:
    """CuPy, the compiler, and the headers: the wheels of CuPy 14 have none and refuse to compile without."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        extra = tomllib.load(file)["project"]["optional-dependencies"][f"cuda{major}"]
    names = [re.split("[<>=]", requirement)[0] for requirement in extra]
    assert names == [f"cupy-cuda{major}x", f"nvidia-cuda-nvrtc{suffix}", f"nvidia-cuda-runtime{suffix}"]


def dependency_folders() -> list[str]:
    """Folders of installed packages of the environment that runs the tests."""
    folders = [*site.getsitepackages()]
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    return folders


def test_every_package_is_declared_and_the_version_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = set(project["tool"]["setuptools"]["packages"]) - {"acegen.templates"}
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "acegen").rglob("__init__.py")}
    assert declared == found
    import acegen

    assert acegen.__version__ == project["project"]["version"]


_IN_CHECKOUT = """
import sys
sys.path[:0] = [{folder!r}]
sys.path += {packages!r}
import acegen
from acegen.compiler import compile_bundle
from acegen.loader import compiler_digest
assert acegen.__file__.startswith({folder!r}), acegen.__file__
compile_bundle("si_pair.yaml", out="bundle")
print("compiled", compiler_digest())
"""


def test_a_checkout_in_the_current_folder_finds_its_own_templates(tmp_path: Path) -> None:
    """Its package hides an installed one, or none is installed: the templates beside it are used, and told in keys."""
    for name in ("acegen", "templates"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "examples" / "specs" / "si_pair.yaml", tmp_path)
    script = _IN_CHECKOUT.format(folder=str(tmp_path), packages=dependency_folders())
    command = [sys.executable, "-I", "-S", "-c", script]  # -S: no .pth line, so no editable install either
    first = run(command, tmp_path)
    assert first.startswith("compiled ") and (tmp_path / "bundle" / "si_pair.c").is_file()
    with (tmp_path / "templates" / "c" / "module.c.j2").open("a", encoding="utf-8") as template:
        template.write("{# another compiler #}\n")
    shutil.rmtree(tmp_path / "bundle")
    assert run(command, tmp_path) != first
