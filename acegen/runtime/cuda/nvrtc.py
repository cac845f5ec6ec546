"""NVRTC, NVIDIA's compiler as a library, through ctypes: neither a CUDA toolkit nor a device is needed."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import glob
import os
import re
import site
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_PATTERNS = ("libnvrtc.so.[0-9]*", "nvrtc64_[0-9]*_0.dll")
_WHEEL_FOLDERS = ("nvidia/cuda_nvrtc/lib", "nvidia/cuda_nvrtc/bin", "nvidia/cu[0-9]*/lib", "nvidia/cu[0-9]*/bin/*")


class CompilationError(Exception):
    """The source was refused; the text is the compiler's log."""


@dataclass(frozen=True, slots=True)
class Nvrtc:
    """A loaded NVRTC library."""

    path: str
    version: tuple[int, int]
    library: Any

    def architectures(self) -> tuple[int, ...]:
        """Compute capabilities it can write for, e.g. 90 for sm_90."""
        count = ctypes.c_int()
        self._check(self.library.nvrtcGetNumSupportedArchs(ctypes.byref(count)))
        found = (ctypes.c_int * count.value)()
        self._check(self.library.nvrtcGetSupportedArchs(found))
        return tuple(found)

    def compile(self, source: str, name: str, flags: Sequence[str]) -> bytes:
        """Cubin of `source`.

        Raises:
            CompilationError: with the log of the compiler.
        """
        program = ctypes.c_void_p()
        text = source.encode()
        create = self.library.nvrtcCreateProgram
        self._check(create(ctypes.byref(program), text, name.encode(), 0, None, None))
        try:
            words = (ctypes.c_char_p * len(flags))(*(flag.encode() for flag in flags))
            if self.library.nvrtcCompileProgram(program, len(flags), words) != 0:
                log = self._text(program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog")
                raise CompilationError(log.rstrip(b"\0").decode(errors="replace"))
            return self._text(program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN")
        finally:
            self.library.nvrtcDestroyProgram(ctypes.byref(program))

    def _text(self, program: ctypes.c_void_p, size_of: str, get: str) -> bytes:
        size = ctypes.c_size_t()
        self._check(getattr(self.library, size_of)(program, ctypes.byref(size)))
        found = ctypes.create_string_buffer(size.value)
        self._check(getattr(self.library, get)(program, found))
        return found.raw

    def _check(self, code: int) -> None:
        if code != 0:
            self.library.nvrtcGetErrorString.restype = ctypes.c_char_p
            raise CompilationError(f"{self.path}: {self.library.nvrtcGetErrorString(code).decode()}")


def find_nvrtc(major: int | None = None) -> Nvrtc | None:
    """NVRTC of CUDA `major` (None: of any) from a wheel, a CUDA toolkit or the system; None when there is none."""
    for path in _candidates(tuple(_folders())):
        found = _load(path)
        if found is not None and major in (None, found.version[0]):
            return found
    return None


def _folders() -> list[str]:
    """Where NVRTC may lie, the wheels of this environment first."""
    packages = [*sys.path, *site.getsitepackages()]
    folders = [os.path.join(package, inner) for package in packages if package for inner in _WHEEL_FOLDERS]
    roots = [os.environ.get("CUDA_PATH", ""), os.environ.get("CUDA_HOME", ""), sys.prefix, "/usr/local/cuda"]
    return folders + [os.path.join(root, inner) for root in roots if root for inner in ("lib64", "lib", "bin")]


@functools.lru_cache(maxsize=8)
def _candidates(folders: tuple[str, ...]) -> tuple[str, ...]:
    found = [path for folder in folders for pattern in _PATTERNS for path in glob.glob(os.path.join(folder, pattern))]
    newest_first = sorted(dict.fromkeys(found), key=lambda path: [-int(n) for n in re.findall(r"\d+", path)[-1:]])
    system = ctypes.util.find_library("nvrtc")
    return (*newest_first, *([system] if system else []))


@functools.lru_cache(maxsize=8)
def _load(path: str) -> Nvrtc | None:
    try:
        # NVRTC opens its built-in functions by their bare name, which the loader finds only when they are loaded.
        for beside in glob.glob(os.path.join(os.path.dirname(path), "libnvrtc-builtins.so*")):
            ctypes.CDLL(beside)
        library = ctypes.CDLL(path)
        major, minor = ctypes.c_int(), ctypes.c_int()
        if library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)) != 0:
            return None
        for name in ("nvrtcGetCUBIN", "nvrtcGetNumSupportedArchs"):  # CUDA 11.2 and newer
            getattr(library, name)
    except (OSError, AttributeError):
        return None
    return Nvrtc(path, (major.value, minor.value), library)
