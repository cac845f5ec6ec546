"""A bundle proves itself without acegen: selftest.c compiles without a warning and passes, however it is built."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from kernels import Kernels
from spec_texts import SPECS, write_spec
from zoo import zoo_file

from acegen.build.cc import Compiler, find_compiler

STRICT = ("-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
SOURCES = ("si_pair", "si", "cuau", "glorot3", "splined", "W-small-s1")
BUILDS = {
    "generic": ("-O2",),
    "native": ("-O2", "-march=native"),
    "native float": ("-O2", "-march=native", "-DACEGEN_REAL=float", "-DACEGEN_TOLERANCE=1e-4"),
}
CHECKED = ("cuau", "splined", "embedded")
SANITIZERS = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="module")
def compiler() -> Compiler:
    return find_compiler()


def bundle_of(name: str, request: pytest.FixtureRequest, kernels: Kernels) -> Path:
    """Bundle folder of an example specification, of a small one, or of a potential of the zoo."""
    if name in SPECS:
        path = write_spec(request.getfixturevalue("spec_folder"), name)
    elif "-" in name:
        path = zoo_file(request.getfixturevalue("shared"), name)
    else:
        path = request.getfixturevalue("specs") / f"{name}.yaml"
    return kernels.bundle(path)


def build_and_run(compiler: Compiler, bundle: Path, flags: tuple[str, ...], folder: Path) -> str:
    """What the manual says: cc *.c -lm && ./a.out."""
    sources = sorted(map(str, bundle.glob("*.c")))
    program = folder / "selftest"
    built = subprocess.run(
        [*compiler.command, *STRICT, *flags, *sources, "-lm", "-o", str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert built.stderr == ""
    result = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    return result.stdout


@pytest.mark.parametrize(
    ("name", "build"), [*((name, "generic") for name in SOURCES), *(("si_pair", b) for b in BUILDS if b != "generic")]
)
def test_selftest(
    request: pytest.FixtureRequest, kernels: Kernels, compiler: Compiler, tmp_path: Path, name: str, build: str
) -> None:
    """In plain C11 for any processor, for this one, and in single precision."""
    assert "good" in build_and_run(compiler, bundle_of(name, request, kernels), BUILDS[build], tmp_path)


@pytest.mark.skipif(platform.system() != "Linux", reason="sanitizers are tested on Linux")
@pytest.mark.parametrize("name", CHECKED)
def test_selftest_under_sanitizers(
    request: pytest.FixtureRequest, kernels: Kernels, compiler: Compiler, tmp_path: Path, name: str
) -> None:
    """No access out of bounds, no undefined behaviour."""
    assert "good" in build_and_run(compiler, bundle_of(name, request, kernels), SANITIZERS, tmp_path)


@pytest.mark.parametrize(
    ("file", "was", "instead"),
    [
        ("selftest.c", "/* eV, without the reference energies */\n    ", "\\g<0>1e-6 + "),
        ("si_pair.c", r"const double E = ", "\\g<0>1e-8 + "),
        ("si_pair.c", r"const double E = ", "\\g<0>(real)NAN + "),
        ("si_pair.c", r"(forces\[3 \* i \+ x\]) = sum\[x\];", r"\1 = i == 0 ? (double)NAN : (double)sum[x];"),
    ],
    ids=["a number of the test", "an energy", "energies not a number", "a force not a number"],
)
def test_selftest_notices_a_wrong_number(
    request: pytest.FixtureRequest,
    kernels: Kernels,
    compiler: Compiler,
    tmp_path: Path,
    file: str,
    was: str,
    instead: str,
) -> None:
    """A selftest that could not fail would prove nothing."""
    bundle = tmp_path / "bundle"
    shutil.copytree(bundle_of("si_pair", request, kernels), bundle)
    text, found = re.subn(was if file != "selftest.c" else re.escape(was), instead, (bundle / file).read_text())
    assert found > 0
    (bundle / file).write_text(text)
    program = tmp_path / "selftest"
    command = [*compiler.command, "-O1", *sorted(map(str, bundle.glob("*.c"))), "-lm", "-o", str(program)]
    subprocess.run(command, check=True, capture_output=True)
    result = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "WRONG" in result.stdout


def test_header_is_also_cpp(request: pytest.FixtureRequest, kernels: Kernels, tmp_path: Path) -> None:
    """A C++ program can include the header and take the address of every function."""
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    (tmp_path / "host.cpp").write_text(
        '#include "si.h"\nint main() { return si_evaluate && si_site && si_workspace ? 0 : 1; }\n'
    )
    bundle = bundle_of("si", request, kernels)
    command = ["g++", "-std=c++11", "-Wall", "-Wextra", "-fsyntax-only", f"-I{bundle}", str(tmp_path / "host.cpp")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "error" not in result.stderr
    assert result.returncode == 0
