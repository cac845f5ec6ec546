"""A module that behaves like CuPy as far as acegen calls it: NumPy arrays that claim to be on a device.

Kernels run on the host shim; allocations are counted, so that memory can run out.
"""

from __future__ import annotations

import contextlib
import types

import numpy as np

from acegen.testing.host import HostModule


class OutOfMemoryError(Exception):
    """As cupy.cuda.memory.OutOfMemoryError."""


class Array(np.ndarray):
    """An array "in device memory"."""

    @property
    def __cuda_array_interface__(self):
        return self.__array_interface__

    @property
    def device(self):
        return types.SimpleNamespace(id=0)

    def set(self, array):
        assert type(array) is np.ndarray and array.dtype == self.dtype
        self[...] = array


class FakeCupy(types.ModuleType):
    """The module; `limit` is the size in bytes above which an allocation fails."""

    def __init__(self, n_devices=2, limit=None):
        super().__init__("cupy")
        self.limit, self.n_devices = limit, n_devices
        self.captured, self.replayed, self.loaded, self.released = 0, 0, [], 0
        self.capturing = None
        runtime = types.SimpleNamespace(
            getDeviceCount=lambda: self.n_devices,
            runtimeGetVersion=lambda: 13000,
            memGetInfo=lambda: (2**40 if self.limit is None else self.limit, 2**40),
        )
        self.cuda = types.SimpleNamespace(
            runtime=runtime,
            Device=Device,
            Stream=lambda non_blocking: Stream(self),
            memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        )
        self.sources = {}  # path of a "cubin" -> source

    def __getattr__(self, name):
        function = getattr(np, name)
        if not callable(function) or isinstance(function, type):
            return function

        def wrapped(*arguments, **options):
            return self._own(function(*arguments, **options))

        return wrapped

    def _own(self, value):
        return value.view(Array) if isinstance(value, np.ndarray) else value

    def empty(self, shape, dtype):
        n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if self.limit is not None and n_bytes > self.limit:
            raise OutOfMemoryError(f"Out of memory allocating {n_bytes:,} bytes")
        fill = np.nan if np.dtype(dtype).kind == "f" else -1
        return np.full(shape, fill, dtype).view(Array)

    def array(self, value, order="C"):
        made = self.empty(np.shape(value), np.asarray(value).dtype)
        made[...] = value
        return made

    def asarray(self, value):
        assert isinstance(value, Array)
        return value

    def asnumpy(self, array):
        assert isinstance(array, Array)
        return np.array(array.view(np.ndarray))

    def RawModule(self, path):
        return Module(self, self.sources[path])

    def get_default_memory_pool(self):
        def free_all_blocks():
            self.released += 1

        return types.SimpleNamespace(free_bytes=lambda: 0, free_all_blocks=free_all_blocks)


class Device:
    def __init__(self, index):
        self.id = index
        self.compute_capability = "90"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def synchronize(self):
        pass


class Module:
    """As cupy.RawModule: kernels take device arrays and NumPy scalars of 8 bytes only."""

    def __init__(self, cupy, source):
        self._cupy = cupy
        self._module = HostModule(source)

    def get_function(self, kernel):
        def start(grid, block, arguments, shared_mem=0):
            kinds = self._module.parameters(kernel)
            given = [_plain(kind, value) for kind, value in zip(kinds, arguments, strict=True)]
            work = lambda: self._module.launch(kernel, grid, block, given, shared=shared_mem)  # noqa: E731
            if self._cupy.capturing is None:
                work()
            else:
                self._cupy.capturing.append(work)

        return start


def _plain(kind, value):
    if isinstance(value, Array):
        return value.view(np.ndarray)
    assert isinstance(value, np.generic) and value.itemsize == 8, "an argument CuPy cannot pass"
    if kind.startswith("value"):
        return value
    assert value == 0
    return None


class Stream(contextlib.AbstractContextManager):
    def __init__(self, cupy):
        self._cupy = cupy

    def __exit__(self, *error):
        return None

    def begin_capture(self):
        self._cupy.capturing = []

    def end_capture(self):
        works, self._cupy.capturing = self._cupy.capturing, None
        self._cupy.captured += 1

        def launch():
            self._cupy.replayed += 1
            for work in works:
                work()

        return types.SimpleNamespace(launch=launch)
