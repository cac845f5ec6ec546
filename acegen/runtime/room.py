"""Large results: their bytes are counted first, and refused in one sentence where the machine cannot hold them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence

import numpy as np

from acegen.errors import InputError
from acegen.runtime.arrays import FloatArray


def room_for(
    name: str, shape: Sequence[int], advice: str, make: Callable[[Sequence[int]], FloatArray] = np.empty
) -> FloatArray:
    """A new float64 array of `shape`; `advice` says what to do instead where it is too large.

    Raises:
        InputError: it is larger than the memory of the machine, or none of that size is to be had.
    """
    n_bytes = 8 * math.prod(shape)
    try:
        if n_bytes <= physical_bytes():
            return make(shape)
    except MemoryError:
        pass
    raise InputError(f"{name}: {list(shape)} takes {n_bytes} bytes, more than there is memory: {advice}")


def room_for_rows(shape: Sequence[int]) -> FloatArray:
    """Rows of the design matrix of all structures at once, as `room_for`."""
    return room_for("design", shape, "use design_blocks, or fewer structures")


def physical_bytes() -> float:
    """Memory of the machine; infinity where it cannot be asked for."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return math.inf
