"""The stand-in for CuPy of fake_cupy.py with what the bench asks of a card: events, properties, used memory."""

from __future__ import annotations

import time
import types

from fake_cupy import FakeCupy

MEMORY = 1 << 25  # bytes of the largest allocation: the copy that measures bandwidth takes a quarter


class Event:
    """As cupy.cuda.Event; launches of the shim are done when they return."""

    def record(self, stream=None):
        del stream
        self.at = time.perf_counter()

    def synchronize(self):
        pass


class FakeCard(FakeCupy):
    """A card of one multiprocessor."""

    __version__ = "14.2.0"

    def __init__(self):
        super().__init__(n_devices=2, limit=MEMORY)
        self.events = 0
        self.cuda.Event = self._event
        self.cuda.get_elapsed_time = lambda start, stop: 1e3 * (stop.at - start.at)  # ms
        self.cuda.runtime.driverGetVersion = lambda: 13000
        self.cuda.runtime.getDeviceProperties = lambda index: {
            "name": b"Shim",
            "multiProcessorCount": 1,
            "totalGlobalMem": MEMORY,
            "l2CacheSize": 1 << 20,
        }
        self.held = []

    def _event(self):
        self.events += 1
        return Event()

    def empty(self, shape, dtype):
        made = super().empty(shape, dtype)
        self.held.append(made.nbytes)
        return made

    def get_default_memory_pool(self):
        pool = super().get_default_memory_pool()
        return types.SimpleNamespace(**vars(pool), used_bytes=lambda: sum(self.held))
