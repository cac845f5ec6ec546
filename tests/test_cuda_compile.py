"""The generated CUDA compiles without warnings or spills; registers and code size are those on record.

The quickest inputs, in double for sm_80 or sm_90. All inputs, float and other architectures:
`python tests/record_cuda_resources.py` (some ten minutes), which also writes the record.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cuda_build import EDGE_REGISTERS, Resources, build, check_limits, compare, recorded, release
from cuda_cases import CudaSource
from zoo import zoo_file


@pytest.fixture(scope="module")
def record() -> dict[str, Resources]:
    """Resources on record, none for another release of nvcc."""
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc is not installed: kernels cannot be compiled for a card")
    return recorded(release())


@pytest.mark.parametrize(
    ("name", "architecture"),
    [("si", "sm_80"), ("si", "sm_90"), ("cuau", "sm_80"), ("W-small-s1", "sm_90"), ("Mo-fs3-s1", "sm_90")],
)
def test_resources(
    request: pytest.FixtureRequest, record: dict[str, Resources], tmp_path: Path, name: str, architecture: str
) -> None:
    """No warnings, no spills, no large kernels, and what is on record (by the nvcc that recorded it)."""
    if "-" in name:
        path = zoo_file(request.getfixturevalue("shared"), name)
    else:
        path = request.getfixturevalue("specs") / f"{name}.yaml"
    built = build(CudaSource.of(path), architecture, tmp_path)
    where = f"{name} {architecture} double"
    print(f"\n{where}: {built.seconds:.1f} s")
    check_limits(where, built.resources)
    if record:
        compare(where, built.resources, record[where])


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_forward_mode(record: dict[str, Resources], specs: Path, tmp_path: Path, architecture: str) -> None:
    """No warnings, no spills, nothing in local memory, no large kernels, occupied multiprocessors."""
    built = build(CudaSource.of_design(specs / "cuau.yaml"), architecture, tmp_path)
    where = f"forward mode of cuau {architecture}"
    check_limits(where, built.resources)
    for kernel, row in built.resources.items():
        assert row["stack"] == 0, f"{where} {kernel}: {row['stack']} bytes of stack"
    assert built.resources["gradients"]["registers"] <= EDGE_REGISTERS
