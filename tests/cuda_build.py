"""What nvcc makes of a generated source: registers, spills, stack, shared memory and instructions of each kernel."""

from __future__ import annotations

import json
import re
import resource
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cuda_cases import CudaSource

RECORD = Path(__file__).with_name("cuda_resources.json")
# A template change moves a few instructions; more than this should be looked at.
CODE_TOLERANCE = 0.10  # of the instructions on record
REGISTER_TOLERANCE = 8
EDGE_REGISTERS = 128  # of the kernels whose threads are edges: 16 warps fit a multiprocessor
LARGEST = 3000  # instructions of a kernel: far above it ptxas gives up on registers where code is straight
# The one kernel of a product stage that keeps X in shared memory must do all of it, since nothing in shared memory
# outlives a launch. It is many small loops (about 150 instructions for each coupling and direction), which ptxas
# handles well; two kernels would move X through global memory, five times what the stage moves otherwise.
LARGEST_FUSED = 12500
# In a split stage the densities have a loop for every kind of row (rows at a time, components), 20 in large bases.
LARGEST_DENSITIES = 4500

Resources = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Built:
    """What nvcc made of one source."""

    resources: Resources  # of each kernel: registers, stack, spilled, shared, instructions
    seconds: float  # of processor time


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


def instructions(cubin: bytes, size: int = 16) -> dict[str, int]:
    """Machine instructions of each kernel: sections .text.<kernel> of the ELF file, `size` bytes each."""
    assert cubin[:5] == b"\x7fELF\x02"
    (start,) = struct.unpack_from("<Q", cubin, 40)
    length_of_row, count, names = struct.unpack_from("<HHH", cubin, 58)
    sections = [struct.unpack_from("<IIQQQQ", cubin, start + length_of_row * k) for k in range(count)]
    strings = sections[names][4]
    found = {}
    for name, _, _, _, _, length in sections:
        text = cubin[strings + name : cubin.index(b"\0", strings + name)].decode()
        if text.startswith(".text."):
            found[text.removeprefix(".text.")] = length // size
    return found


def build(source: CudaSource, architecture: str, folder: Path, real: str = "double") -> Built:
    """Compile as the runtime does; a warning is an error."""
    text, cubin = folder / source.record.source, folder / "kernels.cubin"
    text.write_text(source.text)
    options = ["-std=c++17", "-cubin", f"-arch={architecture}", f"-DREAL={real}", "-Werror", "all-warnings"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["nvcc", *options, "-Xptxas", "-v", str(text), "-o", str(cubin)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = result.stdout + result.stderr
    assert result.returncode == 0 and "warning" not in said.lower(), said
    resources, code = parse_ptxas(said), instructions(cubin.read_bytes())
    assert sorted(resources) == sorted(code)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Built({kernel: {**row, "instructions": code[kernel]} for kernel, row in sorted(resources.items())}, seconds)


def check_spills(where: str, resources: Resources) -> None:
    """No registers in memory: only times on a card would show it."""
    for kernel, row in resources.items():
        assert row["spilled"] == 0, f"{where} {kernel} spills {row['spilled']} bytes"


def check_limits(where: str, resources: Resources) -> None:
    """No spills, few registers on the edges, no kernel larger than it must be."""
    check_spills(where, resources)
    for kernel, row in resources.items():
        largest = LARGEST
        if kernel.startswith("product") and row["shared"]:
            largest = LARGEST_FUSED if kernel == "product" else LARGEST_DENSITIES
        assert row["instructions"] <= largest, f"{where} {kernel}: {row['instructions']} instructions"
        if kernel in ("pool", "gradient"):
            assert row["registers"] <= EDGE_REGISTERS, f"{where} {kernel}: {row['registers']} registers"


def compare(where: str, found: Resources, recorded: Resources) -> None:
    """Within the tolerances above; better is told too, so that the record stays true."""
    again = "if it is wanted: python tests/record_cuda_resources.py --write"
    assert sorted(found) == sorted(recorded), f"{where}: kernels {sorted(found)}; {again}"
    for kernel, row in found.items():
        old = recorded[kernel]
        moved = abs(row["instructions"] - old["instructions"])
        assert (
            abs(row["registers"] - old["registers"]) <= REGISTER_TOLERANCE
            and moved <= CODE_TOLERANCE * old["instructions"]
            and row["stack"] == old["stack"]
            and row["shared"] == old["shared"]
        ), f"{where} {kernel}: {row}, on record {old}; {again}"


def release() -> str:
    """Release of nvcc, such as "13.0"."""
    said = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"release ([\d.]+)", said)
    assert found is not None, said
    return found[1]


def recorded(of: str) -> dict[str, Resources]:
    """Resources on record by input, architecture and arithmetic; none for another release of nvcc."""
    content = json.loads(RECORD.read_text())
    rows: dict[str, Resources] = content["kernels"] if content["nvcc"] == of else {}
    return rows
