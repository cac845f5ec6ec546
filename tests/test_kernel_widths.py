"""Vectors of every width give the same numbers: SSE2, AVX2, AVX-512 and the portable code of other processors."""

from __future__ import annotations

import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from kernels import Kernels
from spec_texts import SPECS, write_spec
from structures import cluster, lattice, worst

from acegen.build.cc import find_compiler
from acegen.runtime.kernel import Kernel
from acegen.runtime.load import read_manifest
from acegen.runtime.model import Model

PROPERTIES = ("energy", "energies", "forces", "virial", "virials", "basis")
STRICT = ("-std=c11", "-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", "-ffp-contract=fast", "-fno-math-errno")
SOURCES = ("glorot3", "embedded", "zbl_wide")  # three species with mixing; two densities; core repulsion


@dataclass(frozen=True, slots=True)
class Width:
    """How a kernel is built: instructions, bytes of a vector where they are not those of the registers, arithmetic."""

    flags: tuple[str, ...]
    precision: str


WIDTHS = {
    "sse2": Width(("-march=x86-64",), "float64"),
    "sse2-single": Width(("-march=x86-64",), "float32"),
    "avx2": Width(("-march=x86-64-v3",), "float64"),
    "avx512": Width(("-march=x86-64-v4",), "float64"),
    "avx512-single": Width(("-march=x86-64-v4",), "float32"),
    "64-bytes": Width(("-march=x86-64", "-DVEC_BYTES=64"), "float64"),
    "64-bytes-single": Width(("-march=x86-64", "-DVEC_BYTES=64"), "float32"),
}


def processor_runs(flags: tuple[str, ...]) -> bool:
    """False for instructions this processor lacks."""
    needed = {"-march=x86-64-v3": {"avx2", "fma", "bmi2"}, "-march=x86-64-v4": {"avx512f", "avx512vl", "avx512dq"}}
    for flag in flags:
        if flag in needed:
            text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
            return needed[flag] <= set(text.split())
    return True


def build(bundle: Path, width: Width, folder: Path) -> Path:
    """The kernel of a bundle as a shared library."""
    library = folder / "kernel.so"
    # wide vectors by value between static functions are no interface: nobody else calls them
    quiet = () if find_compiler().is_clang else ("-Wno-psabi",)
    real = "float" if width.precision == "float32" else "double"
    command = [*find_compiler().command, *STRICT, *quiet, *width.flags, f"-DACEGEN_REAL={real}"]
    command += [*(str(bundle / name) for name in read_manifest(bundle).sources), "-lm", "-o", str(library)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return library


@pytest.mark.skipif(platform.machine() != "x86_64", reason="instruction sets of x86-64")
@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("which", WIDTHS)
def test_widths_agree(
    request: pytest.FixtureRequest, kernels: Kernels, spec_folder: Path, tmp_path: Path, name: str, which: str
) -> None:
    """Batches with full and with partly filled vectors, against the default kernel; at least they must compile."""
    if name in SPECS:
        path = write_spec(spec_folder, name)
    else:
        path = request.getfixturevalue("shared") / "zoo" / "quirks" / f"{name}.yace"
    if which == "avx2" and not processor_runs(WIDTHS["avx512"].flags):
        pytest.skip("these are the vectors of the default kernel here, if any are")
    width, bundle, default = WIDTHS[which], kernels.bundle(path), kernels(path)
    library = build(bundle, width, tmp_path)
    if not processor_runs(width.flags):
        pytest.skip("compiled, but this processor cannot run it")
    manifest = read_manifest(bundle)
    kernel = Kernel(manifest.name, library, manifest.n_basis, manifest.n_coefficients)
    model = Model(manifest, kernel, width.precision, 1)
    batch = [lattice(default, (5, 2, 2), 1), lattice(default, (3, 1, 1), 2), cluster(default, 3, (3, 3, 1))]
    found, expected = model.evaluate(batch, PROPERTIES), default.evaluate(batch, PROPERTIES)
    single = width.precision == "float32"
    for each in PROPERTIES:
        limit = 1e-12 if not single else 1e-5
        assert worst(getattr(found, each), getattr(expected, each)) <= limit, each
        assert np.isfinite(getattr(found, each)).all()
