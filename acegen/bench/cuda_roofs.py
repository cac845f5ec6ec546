"""Ceilings of a card, measured with the compiler of the kernels: multiply-adds and bytes per second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acegen.bench.cuda_clock import TimedBackend

_SOURCE = Path(__file__).with_name("cuda_roofs.cu")
_ROUND = 64  # multiply-adds of a thread in one round of cuda_roofs.cu
_READ = 64  # bytes of shared memory that a thread reads in one round
_BLOCK, _BLOCKS_PER_SM = 256, 8  # 2,048 threads, all that a multiprocessor holds
_LARGEST = 1 << 30  # bytes of the array that is copied, several times any L2 cache
_MOST_ROUNDS = 1 << 32


@dataclass(frozen=True, slots=True)
class Roofs:
    """The best sample counts."""

    float64: float  # GFLOP/s, two for each multiply-add
    float32: float
    bandwidth: float  # GB/s of the memory, bytes read and bytes written
    shared: float  # GB/s read from shared memory, all multiprocessors together


def measure_roofs(
    backend: TimedBackend, n_multiprocessors: int, seconds: float = 0.02, samples: int = 5, largest: int = _LARGEST
) -> Roofs:
    """Roofs of a device that does nothing else.

    Args:
        backend: the device.
        n_multiprocessors: of it, to fill it with threads.
        seconds: length of a sample.
        samples: of each ceiling.
        largest: bytes of the array that is copied, when there is memory for it.
    """
    module = backend.load(_SOURCE.read_text(encoding="ascii"), _SOURCE.name)
    n_blocks = _BLOCKS_PER_SM * n_multiprocessors
    out = backend.allocate(n_blocks * _BLOCK, np.float64)
    rates = []
    for kernel, per_round in (("chains_double", 2 * _ROUND), ("chains_float", 2 * _ROUND), ("shared_reads", _READ)):
        best = max(_round_rate(backend, module, kernel, n_blocks, out, seconds) for _ in range(samples))
        rates.append(1e-9 * per_round * n_blocks * _BLOCK * best)
    return Roofs(rates[0], rates[1], _copy_rate(backend, module, samples, largest), rates[2])


def make_delay(backend: TimedBackend, seconds: float) -> Callable[[], None]:
    """A launch that keeps the default stream busy for about `seconds` with one warp."""
    module = backend.load(_SOURCE.read_text(encoding="ascii"), _SOURCE.name)
    out = backend.allocate(32, np.float64)
    rounds = 16
    while True:
        arguments = (rounds, 0.999, out)

        def work(given: tuple[Any, ...] = arguments) -> None:
            backend.launch(module, "chains_double", 1, 32, given)

        if backend.event_seconds(work) >= seconds or rounds >= _MOST_ROUNDS:
            return work
        rounds *= 2


def _round_rate(backend: TimedBackend, module: Any, kernel: str, n_blocks: int, out: Any, seconds: float) -> float:
    """Rounds per second."""
    rounds = 16
    while True:
        arguments = (rounds, 0.999, out)

        def work(given: tuple[Any, ...] = arguments) -> None:
            backend.launch(module, kernel, n_blocks, _BLOCK, given)

        elapsed = backend.event_seconds(work)
        if elapsed >= 0.5 * seconds or rounds >= _MOST_ROUNDS:
            return rounds / max(elapsed, 1e-9)
        rounds *= 4


def _copy_rate(backend: TimedBackend, module: Any, samples: int, largest: int) -> float:
    """GB/s of a copy."""
    n_pairs = max(_BLOCK, min(largest, backend.free_bytes() // 4) // 16)
    source, target = (backend.allocate(2 * n_pairs, np.float64) for _ in range(2))
    with backend.active():
        source.fill(1.0)
    arguments = (n_pairs, source, target)

    def work() -> None:
        backend.launch(module, "copy_pairs", -(-n_pairs // _BLOCK), _BLOCK, arguments)

    work()
    best = min(backend.event_seconds(work) for _ in range(samples))
    return 1e-9 * 32.0 * n_pairs / max(best, 1e-9)
