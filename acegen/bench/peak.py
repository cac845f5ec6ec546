"""Peak multiply-add rate of one core, measured with the compiler and flags that build the kernels."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cffi

from acegen.build.cache import cached_library
from acegen.errors import BuildError

CHAINS = 12  # in peak.c
_ITEM = {"float64": 8, "float32": 4}
_DECLARATIONS = """
int64_t peak_bytes(void);
double peak_float64(int64_t n, double factor);
double peak_float32(int64_t n, double factor);
"""


class Peak:
    """Chains of vector multiply-adds; the best sample counts, a busy machine only lowers them."""

    def __init__(self) -> None:
        ffi = cffi.FFI()
        ffi.cdef(_DECLARATIONS)
        library = cached_library([Path(__file__).with_name("peak.c")])
        try:
            self._library: Any = ffi.dlopen(str(library))
        except OSError as error:
            raise BuildError(f"{library}: cannot load the peak measurement ({error})") from error
        self.vector_bytes = int(self._library.peak_bytes())
        self.best = dict.fromkeys(_ITEM, 0.0)  # GFLOP/s by precision

    def sample(self, seconds: float = 0.02) -> None:
        """Measure both precisions for about `seconds` each and keep the best rate seen so far."""
        for precision, item in _ITEM.items():
            function = getattr(self._library, f"peak_{precision}")
            steps = 10_000
            while True:
                start = time.process_time()
                function(steps, 0.999)
                elapsed = time.process_time() - start
                if elapsed >= 0.5 * seconds:
                    break
                steps *= 4
            rate = 2e-9 * CHAINS * (self.vector_bytes // item) * steps / elapsed
            self.best[precision] = max(self.best[precision], rate)
