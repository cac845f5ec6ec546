"""CUDA source compiled for the processor by way of cuda_host.h, and its kernels launched on NumPy arrays."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acegen.build.cache import cache_folder, cpu_features, digest_of
from acegen.build.cc import Compiler, compile_library
from acegen.errors import AcegenError, BuildError, InputError
from acegen.record import GRAPH, OUTPUTS, Record, blocks, shape_of

Array = npt.NDArray[Any]
Shape = int | Sequence[int]

HEADER = Path(__file__).with_name("cuda_host.h")
_TYPES: dict[str, np.dtype[Any]] = {
    "double": np.dtype(np.float64),
    "float": np.dtype(np.float32),
    "int32_t": np.dtype(np.int32),
    "int64_t": np.dtype(np.int64),
}
ORDERS = ("forward", "reverse", "random")
# nvcc fuses products and sums, hence -ffp-contract=fast; shared bytes are read as more than one type.
FLAGS = ("-std=c++17", "-fPIC", "-fvisibility=default", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
QUIET = ("-w", "-g1", "-fno-strict-aliasing", "-march=native")
SANITIZERS = (
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=undefined",
    "-fsanitize-sections=cuda_host_shared",  # red zones between __shared__ arrays too
)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?(\w+)\s*\(')
_DYNAMIC = re.compile(r"extern\s+__shared__\s+(?:__align__\(\d+\)\s+)?([\w ]+?)\s+(\w+)\s*\[\s*\]\s*;")


class KernelFault(AcegenError):
    """A kernel broke a rule that a card would not have told: names kernel, line and threads."""


class HostModule:
    """The kernels of one CUDA source; one launch at a time."""

    def __init__(self, source_text: str, flags: Sequence[str] = (), sanitize: bool = False) -> None:
        """Compile `source_text`, or take it from the build cache.

        Args:
            flags: for the C++ compiler, such as "-DREAL=float".
            sanitize: address and undefined-behaviour sanitizer; only in a process started with the variables of
                `sanitizer_environment`, which ends at the first finding.
        """
        if sanitize and "libasan" not in Path("/proc/self/maps").read_text():
            raise BuildError("sanitize: start Python with the variables of sanitizer_environment()")
        self.library = ctypes.CDLL(str(host_library(source_text, flags, sanitize)))
        self.library.cuda_host_name.restype = ctypes.c_char_p
        self.library.cuda_host_message.restype = ctypes.c_char_p
        count = self.library.cuda_host_count()
        self._places = {self.library.cuda_host_name(k).decode(): k for k in range(count)}
        self._parameters = [self._described(k) for k in range(count)]

    def _described(self, place: int) -> tuple[str, ...]:
        text = ctypes.create_string_buffer(4096)
        self.library.cuda_host_parameters(place, text, ctypes.c_size_t(len(text)))
        return tuple(text.value.decode().split(";")[:-1])

    @property
    def kernels(self) -> tuple[str, ...]:
        """Names of the kernels in the order of the source."""
        return tuple(self._places)

    def parameters(self, kernel: str) -> tuple[str, ...]:
        """Parameters of a kernel: "in f8" is const double *, "out i4" is int *, "value i8" is long long."""
        if kernel not in self._places:
            raise InputError(f"kernel: {kernel!r} is not one of {', '.join(self._places)}")
        return self._parameters[self._places[kernel]]

    def launch(
        self,
        kernel: str,
        grid: Shape,
        block: Shape,
        arguments: Sequence[object],
        shared: int = 0,
        order: str = "forward",
        seed: int = 1,
    ) -> None:
        """Run a kernel to its end.

        Args:
            grid: blocks, one to three numbers.
            block: threads of a block, one to three numbers.
            arguments: C-contiguous arrays of the kernel's own types, None for a null pointer, numbers.
            shared: bytes of dynamic shared memory.
            order: in which threads and blocks take their turns: forward, reverse or random.
            seed: of the random order.

        Raises:
            InputError: an argument does not fit the kernel's parameter.
            KernelFault: divergent barrier, impossible launch, stack overflow.
        """
        parameters = self.parameters(kernel)
        if order not in ORDERS:
            raise InputError(f"order: expected one of {', '.join(ORDERS)}, found {order!r}")
        if len(arguments) != len(parameters):
            raise InputError(f"{kernel}: takes {len(parameters)} arguments, found {len(arguments)}")
        cells = [_cell(kernel, k, *pair) for k, pair in enumerate(zip(parameters, arguments, strict=True))]
        pointers = (ctypes.c_void_p * max(len(cells), 1))(*(ctypes.addressof(cell) for cell in cells))
        failed = self.library.cuda_host_launch(
            self._places[kernel],
            _three("grid", grid),
            _three("block", block),
            ctypes.c_size_t(shared),
            ORDERS.index(order),
            ctypes.c_uint64(seed),
            pointers,
        )
        if failed:
            raise KernelFault(f"{kernel}: {self.library.cuda_host_message().decode()}")


def _three(name: str, shape: Shape) -> Any:
    """Three unsigned numbers for C."""
    numbers = (int(shape),) if isinstance(shape, int | np.integer) else tuple(int(n) for n in shape)
    if not 1 <= len(numbers) <= 3 or min(numbers) < 0 or max(numbers) >= 2**32:
        raise InputError(f"{name}: expected one to three numbers of 32 bits, found {shape!r}")
    return (ctypes.c_uint * 3)(*numbers, *(1,) * (3 - len(numbers)))


def _cell(kernel: str, place: int, parameter: str, argument: object) -> Any:
    """Memory with the bytes of one argument: a pointer or a number."""
    kind, _, letter = parameter.partition(" ")
    name = f"{kernel}: argument {place}"
    if kind == "value":
        if isinstance(argument, np.ndarray) or argument is None or letter[0] == "V":
            raise InputError(f"{name} is {type(argument).__name__}, the kernel takes a number {letter}")
        number = np.array(argument)
        if letter[0] in "iu" and (
            number.dtype.kind not in "iub" or not np.iinfo(letter).min <= int(number) <= np.iinfo(letter).max
        ):
            raise InputError(f"{name} is {argument!r}, the kernel takes an integer {letter}")
        return ctypes.create_string_buffer(number.astype(letter).tobytes(), 16)
    if argument is None:
        return ctypes.c_void_p(None)
    if not isinstance(argument, np.ndarray):
        raise InputError(f"{name} is {type(argument).__name__}, the kernel takes an array")
    # vectors such as double2 are arrays of their parts
    if letter[0] != "V" and argument.dtype != np.dtype(letter):
        raise InputError(f"{name} is an array of {argument.dtype}, the kernel takes {np.dtype(letter)}")
    if not argument.flags.c_contiguous:
        raise InputError(f"{name} is strided, the kernel takes a C-contiguous array")
    if kind == "out" and not argument.flags.writeable:
        raise InputError(f"{name} is read-only, the kernel's pointer is not const")
    return ctypes.c_void_p(argument.ctypes.data)


def kernel_names(source_text: str) -> tuple[str, ...]:
    """Kernels of a CUDA source, in its order."""
    return tuple(_KERNEL.findall(_COMMENT.sub(" ", source_text)))


def host_source(source_text: str) -> str:
    """The source with dynamic shared memory of the shim and the table of its kernels; lines keep their numbers."""
    names = kernel_names(source_text)
    if not names:
        raise BuildError('no kernel found: the shim looks for extern "C" __global__ void name(')
    table = " ".join(f"CUDA_HOST_KERNEL({name})" for name in names)
    return _DYNAMIC.sub(r"CUDA_HOST_DYNAMIC(\1, \2);", source_text) + f"\nCUDA_HOST_KERNELS({table})\n"


def find_cxx() -> Compiler:
    """First C++ compiler of ACEGEN_CXX, CXX, g++, clang++."""
    for wanted in (os.environ.get("ACEGEN_CXX", ""), os.environ.get("CXX", ""), "g++", "clang++"):
        command = shutil.which(wanted) if wanted else None
        if command is not None:
            result = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
            return Compiler((command,), os.path.realpath(command), result.stdout.strip())
    raise BuildError("no C++ compiler found: install g++, or name one in the environment variable ACEGEN_CXX")


def host_library(source_text: str, flags: Sequence[str] = (), sanitize: bool = False) -> Path:
    """Shared library of a CUDA source for the processor, compiled when the cache has none.

    Raises:
        BuildError: no compiler, or it failed.
    """
    compiler, text = find_cxx(), host_source(source_text)
    level = ("-O1", *SANITIZERS) if sanitize else ("-O2",)
    used = (*FLAGS, *QUIET, *level, *flags)
    header = HEADER.read_bytes()
    key = digest_of([compiler.path, compiler.version, *used, cpu_features(), header, text])
    folder = cache_folder()
    library = folder / f"host-{key}.so"
    if not library.is_file():
        with tempfile.TemporaryDirectory(prefix="host-", dir=folder) as scratch:
            source, built = Path(scratch, "kernels.cpp"), Path(scratch, "library.so")
            source.write_text(text, encoding="utf-8")
            command = (*used, "-include", str(HEADER))
            compile_library(compiler, command, [source], built, folder / f"host-{key}.log")
            os.replace(built, library)
    return library


def sanitizer_environment() -> dict[str, str]:
    """Variables of a process in which sanitized kernels can be loaded."""
    found = [
        subprocess.run(
            [*find_cxx().command, f"-print-file-name={name}"], capture_output=True, text=True, check=False
        ).stdout.strip()
        for name in ("libasan.so", "libstdc++.so")
    ]
    return {
        "LD_PRELOAD": ":".join(found),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    }


def poisoned(shape: Sequence[int], dtype: npt.DTypeLike) -> Array:
    """An array that no one has written to yet: NaN, or -1 for integers."""
    return np.full(tuple(shape), np.nan if np.dtype(dtype).kind == "f" else -1, dtype)


def run_record(
    record: Record,
    module: HostModule,
    arrays: Mapping[str, Array | None],
    sizes: Mapping[str, int],
    order: str = "forward",
    real: str | None = None,
) -> dict[str, Array]:
    """Run the launches of a potential that the wanted outputs need.

    Args:
        arrays: graph arrays and outputs by name; what is left out or None is a null pointer.
        sizes: n_atoms, n_edges ... and every other number that the launches name.
        real: "double" or "float" when the module was compiled with -DREAL=...; default: the record's.

    Returns:
        The work arrays, by name; an output that kernels need and no one wants is one of them.
    """
    given = {name for name, array in arrays.items() if array is not None}
    needed = {"energy"}
    if given & {"forces", "virial", "virials", "edge_gradients"}:
        needed.add("gradients")
    if "basis" in given:
        needed.add("basis")
    types: dict[str, np.dtype[Any]] = {**_TYPES, "real": _TYPES[real or record.real]}
    lengths = dict(sizes)
    buffers = {
        buffer.name: poisoned(shape_of(buffer, lengths), types[buffer.ctype])
        for buffer in record.buffers
        if buffer.needed_for in needed and buffer.name not in given
    }
    nothing = dict.fromkeys((*GRAPH, *OUTPUTS, "coefficients", *(buffer.name for buffer in record.buffers)))
    # energies and edge_gradients are work arrays too, when the caller does not want them
    known: dict[str, object] = {**nothing, **buffers, **sizes, **{k: v for k, v in arrays.items() if v is not None}}
    for launch in record.launches:
        missing = [name for name in launch.arguments if name not in known]
        if missing:
            raise InputError(f"{launch.kernel}: nothing is known of {', '.join(missing)}")
        count = blocks(launch, lengths)
        if count and launch.needed_for in needed:
            arguments = [known[name] for name in launch.arguments]
            module.launch(launch.kernel, count, launch.block, arguments, launch.shared, order)
    return buffers
