"""The generated CUDA compiles for sm_80 and sm_90 without spills; registers and code size are those on record.

After a wanted change: ACEGEN_RECORD=1 pytest tests/test_cuda_compile.py, and commit cuda_resources.json.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cuda_cases import CudaSource
from zoo import zoo_file

RECORD = Path(__file__).with_name("cuda_resources.json")
RECORDING = bool(os.environ.get("ACEGEN_RECORD"))
ARCHITECTURES = ("sm_80", "sm_90")
INPUTS = ("si", "cuau", "W-small-s1")
# A template change moves a few instructions; more than this should be looked at.
CODE_TOLERANCE = 0.10  # of the bytes on record
REGISTER_TOLERANCE = 8
EDGE_REGISTERS = 128  # of the kernels whose threads are edges: two blocks of 256 threads fit a multiprocessor
LARGEST_CODE = 3000 * 16  # bytes of one kernel, 16 of each instruction: far above it ptxas gives up on registers

Resources = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Built:
    """What nvcc made of one source."""

    resources: Resources  # of each kernel: registers, stack, spills, shared, code
    seconds: float


def parse_ptxas(text: str) -> Resources:
    """Registers, stack, spilled and shared bytes of each kernel from the words of `ptxas -v`."""
    found: Resources = {}
    for part in re.split(r"Compiling entry function '", text)[1:]:
        kernel = part[: part.index("'")]
        own = part.split("Function properties for", 2)[1]  # functions it calls come after
        memory = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", own)
        registers = re.search(r"Used (\d+) registers", part)
        shared = re.search(r"(\d+) bytes smem", part)
        assert memory is not None and registers is not None, part
        found[kernel] = {
            "registers": int(registers[1]),
            "stack": int(memory[1]),
            "spilled": int(memory[2]) + int(memory[3]),
            "shared": int(shared[1]) if shared else 0,
        }
    return found


def code_bytes(cubin: bytes) -> dict[str, int]:
    """Size of the machine code of each kernel: sections .text.<kernel> of the ELF file."""
    assert cubin[:5] == b"\x7fELF\x02"
    (start,) = struct.unpack_from("<Q", cubin, 40)
    size, count, names = struct.unpack_from("<HHH", cubin, 58)
    sections = [struct.unpack_from("<IIQQQQ", cubin, start + size * k) for k in range(count)]
    strings = sections[names][4]
    found = {}
    for name, _, _, _, _, length in sections:
        text = cubin[strings + name : cubin.index(b"\0", strings + name)].decode()
        if text.startswith(".text."):
            found[text.removeprefix(".text.")] = length
    return found


def build(source: CudaSource, architecture: str, folder: Path) -> Built:
    """Compile as the runtime does, and read what the compiler says."""
    text, cubin = folder / source.record.source, folder / "kernels.cubin"
    text.write_text(source.text)
    command = ["nvcc", "-std=c++17", "-cubin", f"-arch={architecture}", "-Xptxas", "-v", str(text), "-o", str(cubin)]
    begin = time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert "warning" not in said.lower(), said
    resources, code = parse_ptxas(said), code_bytes(cubin.read_bytes())
    assert sorted(resources) == sorted(code)
    return Built({kernel: {**row, "code": code[kernel]} for kernel, row in sorted(resources.items())}, seconds)


@pytest.fixture(scope="module")
def compiler() -> str:
    """Release of nvcc."""
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc is not installed: kernels cannot be compiled for a card")
    said = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"release ([\d.]+)", said)
    assert found is not None, said
    return found[1]


@pytest.fixture(scope="module")
def recorded(compiler: str) -> Iterator[dict[str, Resources]]:
    """Resources on record by input and architecture, none for another release of nvcc; written when RECORDING."""
    rows: dict[str, Resources] = {}
    if not RECORDING:
        content = json.loads(RECORD.read_text())
        rows = content["kernels"] if content["nvcc"] == compiler else {}
    yield rows
    if RECORDING:
        RECORD.write_text(json.dumps({"nvcc": compiler, "kernels": rows}, indent=1, sort_keys=True) + "\n")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", INPUTS)
def test_resources(
    request: pytest.FixtureRequest,
    recorded: dict[str, Resources],
    compiler: str,
    tmp_path: Path,
    name: str,
    architecture: str,
) -> None:
    """No spills, no large kernels, and what is on record (by the nvcc that recorded it)."""
    if "-" in name:
        path = zoo_file(request.getfixturevalue("shared"), name)
    else:
        path = request.getfixturevalue("specs") / f"{name}.yaml"
    built = build(CudaSource.of(path), architecture, tmp_path)
    print(f"\n{name} {architecture}: {built.seconds:.1f} s")
    key = f"{name} {architecture}"
    if RECORDING:
        recorded[key] = built.resources
    for kernel, row in built.resources.items():
        print(f"  {kernel:20} " + ", ".join(f"{key} {value}" for key, value in row.items()))
        assert row["spilled"] == 0, f"{kernel} spills {row['spilled']} bytes"
        assert row["code"] <= LARGEST_CODE, f"{kernel}: {row['code']} bytes of code"
        if kernel in ("pool", "gradient"):
            assert row["registers"] <= EDGE_REGISTERS, f"{kernel}: {row['registers']} registers"
    if recorded and not RECORDING:
        assert sorted(built.resources) == sorted(recorded[key]), "kernels on record: set ACEGEN_RECORD=1"
        for kernel, row in built.resources.items():
            compare(f"{key} {kernel}", row, recorded[key][kernel])


def compare(where: str, row: dict[str, int], old: dict[str, int]) -> None:
    """Within the tolerances above; better is told too, so that the record stays true."""
    again = "if it is wanted: ACEGEN_RECORD=1"
    assert abs(row["registers"] - old["registers"]) <= REGISTER_TOLERANCE, f"{where}: {row}, on record {old}; {again}"
    assert abs(row["code"] - old["code"]) <= CODE_TOLERANCE * old["code"], f"{where}: {row}, on record {old}; {again}"
    assert row["stack"] == old["stack"] and row["shared"] == old["shared"], f"{where}: {row}, on record {old}; {again}"
