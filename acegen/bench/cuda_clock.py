"""Time on a device: events around work, and around every launch."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from acegen.runtime.cuda.backend import CupyBackend, device_number

_MOST_CALLS = 2000


@dataclass(slots=True)
class Spans:
    """Events before and after every launch, by kernel name."""

    events: list[tuple[str, Any, Any]] = field(default_factory=list)


class TimedBackend(CupyBackend):
    """A device whose launches can be timed one by one.

    Args:
        device: "cuda" or "cuda:<number>".

    Raises:
        LoadError: no such device, or CuPy is not installed.
    """

    def __init__(self, device: str) -> None:
        super().__init__(device_number(device))
        self._spans: Spans | None = None

    def launch(
        self, module: Any, kernel: str, grid: int, block: int, arguments: Sequence[Any], shared: int = 0
    ) -> None:
        """See Backend; inside `timed` between two events."""
        if self._spans is None or grid == 0:
            super().launch(module, kernel, grid, block, arguments, shared)
            return
        with self.active():
            start, stop = self.xp.cuda.Event(), self.xp.cuda.Event()
            start.record()
            super().launch(module, kernel, grid, block, arguments, shared)
            stop.record()
        self._spans.events.append((kernel, start, stop))

    @contextlib.contextmanager
    def timed(self) -> Iterator[Spans]:
        """Events around all launches inside the `with`."""
        self._spans = Spans()
        try:
            yield self._spans
        finally:
            self._spans = None

    def launch_seconds(self, spans: Spans) -> dict[str, float]:
        """Seconds of every kernel, in the order of their first launches; those of one name are added up."""
        self.synchronize()
        found: dict[str, float] = {}
        for kernel, start, stop in spans.events:
            found[kernel] = found.get(kernel, 0.0) + self._between(start, stop)
        return found

    def event_seconds(self, work: Callable[[], object]) -> float:
        """Seconds of the device from before `work` to when its last launch is done."""
        with self.active():
            start, stop = self.xp.cuda.Event(), self.xp.cuda.Event()
            start.record()
            work()
            stop.record()
        self.synchronize()
        return self._between(start, stop)

    def used_bytes(self) -> int:
        """Memory that arrays take, as CuPy's pool counts it."""
        with self.active():
            return int(self.xp.get_default_memory_pool().used_bytes())

    def _between(self, start: Any, stop: Any) -> float:
        return 1e-3 * float(self.xp.cuda.get_elapsed_time(start, stop))


def kernel_seconds(
    backend: TimedBackend, start: Callable[[], object], repeats: int, delay: Callable[[], object] = lambda: None
) -> dict[str, float]:
    """Median seconds of each kernel that `start` launches; it must launch them one by one, not as a CUDA graph.

    Args:
        start: the work, which must not wait for the device before its last launch.
        repeats: samples.
        delay: keeps the device busy for longer than the host takes to launch everything. A device that is idle
            passes the first event at once, and the time of the kernel would include that of its launch.
    """
    start()  # warm: kernels loaded, work arrays allocated
    samples = []
    for _ in range(repeats):
        delay()
        with backend.timed() as spans:
            start()
        samples.append(backend.launch_seconds(spans))
    return {kernel: statistics.median(sample[kernel] for sample in samples) for kernel in samples[0]}


def wall_samples(
    backend: TimedBackend, work: Callable[[], object], repeats: int, seconds: float = 0.05
) -> tuple[list[float], int]:
    """Wall seconds of one `work`, all its launches done, as means over samples of about `seconds`; and their calls."""
    for _ in range(3):  # the third call may be the first that repeats a CUDA graph
        work()
    once = _wall(backend, work, 1)
    calls = max(1, min(_MOST_CALLS, round(seconds / max(once, 1e-7))))
    return [_wall(backend, work, calls) for _ in range(repeats)], calls


def _wall(backend: TimedBackend, work: Callable[[], object], calls: int) -> float:
    backend.synchronize()
    start = time.perf_counter()
    for _ in range(calls):
        work()
    backend.synchronize()
    return (time.perf_counter() - start) / calls
