"""Read bandwidth of one core from each level of memory, measured with the compiler and flags of the kernels."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cffi

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
    ffi = cffi.FFI()
    ffi.cdef(_DECLARATIONS)
    library = cached_library([Path(__file__).with_name("bandwidth.c")])
    try:
        kernel = ffi.dlopen(str(library))
    except OSError as error:
        raise BuildError(f"{library}: cannot load the bandwidth measurement ({error})") from error
    first, second, third = cache_sizes()
    sizes = (first // 2, second // 2, third // 4, min(_LARGEST, 4 * third))
    found = {}
    for level, wanted in zip(LEVELS, sizes, strict=True):
        size = max(512, wanted // 512 * 512)
        buffer = kernel.stream_new(size)
        if buffer == ffi.NULL:
            raise BuildError(f"bandwidth: {size} bytes of memory are not there")
        try:
            found[level] = max(_rate(kernel, buffer, size, seconds) for _ in range(samples))
        finally:
            kernel.stream_free(buffer)
    return found


def _rate(kernel: object, buffer: object, size: int, seconds: float) -> float:
    sweeps = 1
    while True:
        start = time.process_time()
        kernel.stream_read(buffer, size, sweeps)  # type: ignore[attr-defined]
        elapsed = time.process_time() - start
        if elapsed >= 0.5 * seconds:
            return 1e-9 * size * sweeps / elapsed
        sweeps *= 4
