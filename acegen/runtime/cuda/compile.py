"""One function compiles CUDA: NVRTC, else nvcc, to a cubin that the cache keeps; no device is needed."""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from acegen.build.cache import cache_folder, cached_bytes, digest_of
from acegen.errors import BuildError
from acegen.runtime.cuda.nvrtc import CompilationError, Nvrtc, find_nvrtc

# No fast-math flag: subnormal numbers, division and square root as on the CPU.
FLAGS = ("-std=c++17",)
_LOG_LINES = 6  # of the compiler's own text in a BuildError; the rest is in the log


@dataclass(frozen=True, slots=True)
class CudaCompiler:
    """NVRTC, or the command of nvcc."""

    version: str  # part of the cache key
    nvrtc: Nvrtc | None = None
    nvcc: str | None = None

    def architectures(self) -> tuple[int, ...]:
        """Compute capabilities it can write for."""
        if self.nvrtc is not None:
            return self.nvrtc.architectures()
        return _nvcc_architectures(self.nvcc or "nvcc")

    def compile(self, source: str, name: str, flags: Sequence[str]) -> bytes:
        """Cubin of `source`.

        Raises:
            CompilationError: with the log of the compiler.
        """
        if self.nvrtc is not None:
            return self.nvrtc.compile(source, name, flags)
        with tempfile.TemporaryDirectory(prefix="acegen-nvcc-") as folder:
            text, cubin = Path(folder, name), Path(folder, "out.cubin")
            text.write_text(source, encoding="utf-8")
            command = [self.nvcc or "nvcc", "-cubin", *flags, str(text), "-o", str(cubin)]
            result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            if result.returncode != 0 or not cubin.is_file():
                raise CompilationError(f"$ {shlex.join(command)}\n{result.stdout}{result.stderr}")
            return cubin.read_bytes()


def find_cuda_compiler(major: int | None = None) -> CudaCompiler:
    """ACEGEN_NVCC, else NVRTC of CUDA `major` (None: of any), else nvcc.

    A driver may refuse what a compiler of another major version wrote, so NVRTC must be of CuPy's.

    Raises:
        BuildError: none is there, or ACEGEN_NVCC cannot be run.
    """
    wanted = os.environ.get("ACEGEN_NVCC", "").strip()
    if wanted:
        named = _nvcc(wanted)
        if named is None:
            raise BuildError(f"ACEGEN_NVCC: expected the command of nvcc, found {wanted!r}, which cannot be run")
        return named
    nvrtc = find_nvrtc(major)
    if nvrtc is not None:
        return CudaCompiler(f"NVRTC {nvrtc.version[0]}.{nvrtc.version[1]}", nvrtc=nvrtc)
    found = _nvcc("nvcc")
    if found is not None:
        return found
    extra, wheel = ("cuda12", "nvidia-cuda-nvrtc-cu12") if major == 12 else ("cuda13", "nvidia-cuda-nvrtc")
    raise BuildError(
        f"no CUDA compiler found: pip install 'acegen[{extra}]' (or {wheel}), or install nvcc, or name it in the "
        "environment variable ACEGEN_NVCC"
    )


def cached_cubin(
    source: str, name: str, architecture: str, defines: Sequence[str] = (), major: int | None = None
) -> Path:
    """Cubin of a self-contained CUDA source, compiled when the cache holds no undamaged one.

    Args:
        source: the text.
        name: file name for the messages of the compiler, e.g. "si.cu".
        architecture: of the device, e.g. "sm_90".
        defines: preprocessor definitions, "NAME=value".
        major: version of CUDA that is to load the cubin.

    Raises:
        BuildError: no compiler, or it failed, or it does not know the device.
    """
    compiler = find_cuda_compiler(major)
    flags = (*FLAGS, *(f"-D{define}" for define in defines))
    key = digest_of([compiler.version, *flags, architecture, name, source])

    def make() -> bytes:
        target = best_architecture(architecture, compiler)
        try:
            return compiler.compile(source, name, (f"-arch={target}", *flags))
        except CompilationError as error:
            log = cache_folder() / f"{key}.log"
            log.write_text(str(error), encoding="utf-8")
            raise BuildError(_failure(str(error), compiler, log)) from error

    return cached_bytes(key, ".cubin", make)


def best_architecture(architecture: str, compiler: CudaCompiler) -> str:
    """The architecture itself, or the newest older one of its generation, whose code the device also runs.

    Raises:
        BuildError: the compiler knows none of that generation.
    """
    number = re.fullmatch(r"sm_(\d{2,3})[af]?", architecture)
    if number is None:
        raise BuildError(f"architecture: expected a name like 'sm_90', found {architecture!r}")
    wanted, known = int(number[1]), compiler.architectures()
    if wanted in known:
        return architecture
    fitting = [have for have in known if have // 10 == wanted // 10 and have < wanted]
    if not fitting:
        span = f"sm_{min(known)} to sm_{max(known)}" if known else "none"
        raise BuildError(
            f"the device is {architecture}, {compiler.version} writes for {span}: install another CUDA version"
        )
    return f"sm_{max(fitting)}"


def _nvcc(command: str) -> CudaCompiler | None:
    path = shutil.which(command)
    version = None if path is None else _nvcc_version(path)
    return None if version is None else CudaCompiler(version, nvcc=path)


@functools.lru_cache(maxsize=4)
def _nvcc_version(path: str) -> str | None:
    try:
        result = subprocess.run([path, "--version"], capture_output=True, text=True, errors="replace", check=False)
    except OSError:
        return None
    found = re.search(r"release [\d.]+, (V[\d.]+)", result.stdout)
    return f"nvcc {found[1]}" if found and result.returncode == 0 else None


@functools.lru_cache(maxsize=4)
def _nvcc_architectures(path: str) -> tuple[int, ...]:
    result = subprocess.run([path, "--list-gpu-code"], capture_output=True, text=True, errors="replace", check=False)
    return tuple(sorted({int(text) for text in re.findall(r"sm_(\d+)", result.stdout)}))


def _failure(text: str, compiler: CudaCompiler, log: Path) -> str:
    """The sentence of a failed build: first error line, the lines below it, and where the log is."""
    lines = text.splitlines()
    first = next((k for k, line in enumerate(lines) if "error" in line.lower()), 0)
    shown = "\n".join(f"    {line}" for line in lines[first : first + _LOG_LINES]) or "    (the compiler said nothing)"
    return f"the CUDA compiler {compiler.version} failed, full log in {log}:\n{shown}"
