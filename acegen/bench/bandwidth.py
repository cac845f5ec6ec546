"""Read bandwidth of one core from each level of memory, measured with the compiler and flags of the kernels."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cffi

from acegen.bench.contenders import Seconds
from acegen.build.cache import cached_library
from acegen.errors import BuildError

LEVELS = ("L1", "L2", "L3", "memory")
_USUAL = (32 << 10, 512 << 10, 16 << 20)  # where the system does not say
_NAMES = ("SC_LEVEL1_DCACHE_SIZE", "SC_LEVEL2_CACHE_SIZE", "SC_LEVEL3_CACHE_SIZE")
_LARGEST = 256 << 20  # of the buffer in memory
_DECLARATIONS = """
double *stream_new(int64_t bytes);
void stream_free(double *buffer);
double stream_read(const double *buffer, int64_t bytes, int64_t sweeps);
"""


def cache_sizes() -> tuple[int, int, int]:
    """Bytes of L1 data, L2 and L3 cache of a core, or usual ones where the system does not tell them."""
    found = []
    for name, usual in zip(_NAMES, _USUAL, strict=True):
        try:
            size = os.sysconf(name)
        except (AttributeError, ValueError, OSError):
            size = 0
        found.append(size if size > 0 else usual)
    return found[0], found[1], found[2]


def level_of(size: float) -> str:
    """The fastest level that holds `size` bytes."""
    for level, capacity in zip(LEVELS, cache_sizes(), strict=False):
        if size <= capacity:
            return level
    return LEVELS[-1]


def read_bandwidth(seconds: float = 0.02, samples: int = 3) -> dict[str, float]:
    """GB/s of every level; the best sample counts, a busy machine only lowers it.

    Args:
        seconds: length of a sample.
        samples: of each level.
    """
    found = {}
    for level in LEVELS:
        with Reader(level) as reader:
            found[level] = max(reader.rate(seconds) for _ in range(samples))
    return found


class Reader:
    """Reads memory of one level again and again; a context, since the memory is its own.

    Raises:
        BuildError: no C compiler, or not that much memory.
    """

    def __init__(self, level: str) -> None:
        first, second, third = cache_sizes()
        sizes = dict(zip(LEVELS, (first // 2, second // 2, third // 4, min(_LARGEST, 4 * third)), strict=True))
        self.n_bytes = max(512, sizes[level] // 512 * 512)
        self.label = f"read from {level}"
        ffi = cffi.FFI()
        ffi.cdef(_DECLARATIONS)
        library = cached_library([Path(__file__).with_name("bandwidth.c")])
        try:
            self._kernel = ffi.dlopen(str(library))
        except OSError as error:
            raise BuildError(f"{library}: cannot load the bandwidth measurement ({error})") from error
        self._buffer = self._kernel.stream_new(self.n_bytes)
        if self._buffer == ffi.NULL:
            raise BuildError(f"bandwidth: {self.n_bytes} bytes of memory are not there")

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self._kernel.stream_free(self._buffer)

    def sample(self, calls: int) -> Seconds:
        """Mean time of one of `calls` sweeps."""
        wall, cpu = time.perf_counter(), time.process_time()
        self._kernel.stream_read(self._buffer, self.n_bytes, calls)
        return Seconds((time.process_time() - cpu) / calls, (time.perf_counter() - wall) / calls)

    def rate(self, seconds: float) -> float:
        """GB/s of one sample of about this length, processor time."""
        calls = 1
        while True:
            once = self.sample(calls)
            if once.cpu * calls >= 0.5 * seconds:
                return 1e-9 * self.n_bytes / once.cpu
            calls *= 4
