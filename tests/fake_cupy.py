"""A module that behaves like CuPy 14 as far as acegen calls it: arrays in "device memory", kernels on the host shim.

As strict as CuPy, or stricter: no array becomes a NumPy array unasked or mixes with one, every array is used on the
device it lies on, nothing is allocated or waited for while launches are captured, empty arrays have no maximum.
Allocations are counted, so that memory can run out.
"""

from __future__ import annotations

import contextlib
import types

import numpy as np
from fake_cupy_array import Array, FakeError, OutOfMemoryError, plain

from acegen.testing.host import HostModule

_PLAIN_SHARED = 48 * 1024


class FakeCupy(types.ModuleType):
    """The module; `limit` is the size in bytes above which an allocation fails."""

    ndarray = Array

    def __init__(self, n_devices=2, limit=None):
        super().__init__("cupy")
        self.limit, self.n_devices, self.current = limit, n_devices, 0
        self.captured, self.replayed, self.loaded, self.released = 0, 0, [], 0
        self.capturing = None  # launches of the stream that records them
        self.stream = None  # the current one, None: the default stream
        runtime = types.SimpleNamespace(
            getDeviceCount=lambda: self.n_devices,
            runtimeGetVersion=lambda: 13000,
            memGetInfo=lambda: (2**40 if self.limit is None else self.limit, 2**40),
        )
        self.cuda = types.SimpleNamespace(
            runtime=runtime,
            Device=lambda index: Device(self, index),
            Stream=lambda non_blocking: Stream(self, non_blocking),
            memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        )
        self.sources = {}  # path of a "cubin" -> source

    def made(self, values):
        """A new array of the current device that holds `values`."""
        if self.capturing is not None:
            raise FakeError("allocation while launches are captured")
        if self.limit is not None and values.nbytes > self.limit:
            raise OutOfMemoryError(f"Out of memory allocating {values.nbytes:,} bytes")
        return Array(self, values, self.current)

    def empty(self, shape, dtype=float, order="C"):
        assert order == "C"
        fill = np.nan if np.dtype(dtype).kind == "f" else -1
        return self.made(np.full(shape, fill, dtype))

    def zeros(self, shape, dtype=float):
        return self.made(np.zeros(shape, dtype))

    def full(self, shape, fill_value, dtype=None):
        return self.made(np.full(shape, fill_value, dtype))

    def arange(self, start, stop=None, step=1, dtype=None):
        return self.made(np.arange(start, stop, step, dtype=dtype))

    def empty_like(self, prototype):
        return self.empty(prototype.shape, prototype.dtype)

    def array(self, value, dtype=None, copy=True, order="K"):
        assert copy is True and order in ("C", "K")
        if isinstance(value, Array):
            return self.made(np.array(value.used(), dtype))
        self.waiting()
        return self.made(np.array(value, dtype, order=order))

    def asarray(self, value):
        if isinstance(value, Array):
            return value
        if not hasattr(value, "__cuda_array_interface__"):
            return self.array(value)
        holder = types.SimpleNamespace(__array_interface__=value.__cuda_array_interface__)
        return Array(self, np.asarray(holder), self.current)

    def from_dlpack(self, tensor):
        kind, index = tensor.__dlpack_device__()
        if kind not in (2, 13):
            raise BufferError("CPU tensors cannot be imported without a copy")
        return Array(self, tensor.array, index)

    def asnumpy(self, array):
        if not isinstance(array, Array):
            raise FakeError(f"asnumpy of a {type(array).__name__}: no need")
        return array.get()

    def ascontiguousarray(self, array):
        values = array.used()
        return array if values.flags.c_contiguous else self.made(np.ascontiguousarray(values))

    def concatenate(self, arrays):
        if not all(isinstance(array, Array) for array in arrays):
            raise TypeError("Only cupy arrays can be concatenated")
        return self.made(np.concatenate([array.used() for array in arrays]))

    def argsort(self, array, axis=-1, kind=None):
        if kind not in (None, "stable"):
            raise ValueError(f"Unsupported kind {kind!r}")
        return self.made(np.argsort(array.used(), axis=axis, kind="stable"))

    def searchsorted(self, a, v, side="left"):
        if not isinstance(a, Array) or not isinstance(v, Array | int | float):
            raise NotImplementedError("Only int or ndarray are supported for a")
        return self.made(np.searchsorted(a.used(), plain(v), side=side))

    def bincount(self, x, minlength=None):
        self.waiting()
        return self.made(np.bincount(x.used(), minlength=minlength))

    def unique(self, array, return_inverse=False):
        self.waiting()
        found = np.unique(array.used(), return_inverse=return_inverse)
        return tuple(self.made(one) for one in found) if return_inverse else self.made(found)

    def cumsum(self, array):
        return self.made(np.cumsum(array.used()))

    def abs(self, array):
        return self.made(np.abs(array.used()))

    def isfinite(self, array):
        return self.made(np.isfinite(array.used()))

    def argmax(self, array):
        array.refuse_empty("argmax")
        return self.made(np.array(np.argmax(array.used())))

    def waiting(self):
        """What makes the host wait for the device is not allowed during a capture."""
        if self.capturing is not None:
            raise FakeError("operation not permitted when stream is capturing")

    def RawModule(self, *, path):
        assert type(path) is str
        return Module(self, self.sources[path])

    def get_default_memory_pool(self):
        def free_all_blocks():
            self.released += 1

        return types.SimpleNamespace(free_bytes=lambda: 0, free_all_blocks=free_all_blocks)


class Device:
    """As cupy.cuda.Device: `with` makes it the current one."""

    def __init__(self, cupy, index):
        self._cupy, self.id, self._before = cupy, index, []
        self.compute_capability = "90"
        self.attributes = {"MaxSharedMemoryPerBlockOptin": 227 * 1024}

    def __enter__(self):
        self._before.append(self._cupy.current)
        self._cupy.current = self.id
        return self

    def __exit__(self, *error):
        self._cupy.current = self._before.pop()

    def synchronize(self):
        self._cupy.waiting()


class Module:
    """As cupy.RawModule."""

    def __init__(self, cupy, source):
        self._cupy = cupy
        self._module = HostModule(source)

    def get_function(self, kernel):
        return Kernel(self._cupy, self._module, kernel)


class Kernel:
    """As cupy.RawKernel: takes device arrays and NumPy scalars of 8 bytes only, and does not look at their kinds."""

    def __init__(self, cupy, module, name):
        self._cupy, self._module, self._name = cupy, module, name
        self._kinds = module.parameters(name)
        self.max_dynamic_shared_size_bytes = _PLAIN_SHARED
        self.shared_size_bytes = 8704  # of static shared memory; the shim does not count it

    def __call__(self, grid, block, arguments, *, shared_mem=0):
        assert type(grid) is tuple and type(block) is tuple and type(arguments) is tuple
        assert min(*grid, *block) > 0 and grid[0] < 2**31
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise FakeError("invalid argument: more shared memory than the function may use")
        given = [self._passed(kind, value) for kind, value in zip(self._kinds, arguments, strict=True)]
        cupy = self._cupy

        def work():
            self._module.launch(self._name, grid[0], block[0], given, shared=shared_mem)

        if cupy.stream is not None and cupy.stream.capturing:
            cupy.capturing.append(work)
        else:
            cupy.waiting()
            work()

    def _passed(self, kind, value):
        if isinstance(value, Array):
            values = value.used()
            if not values.flags.c_contiguous:
                raise FakeError("a strided array: the kernel would see its memory, not its elements")
            return values if values.size else None  # CuPy's arrays without elements are null pointers
        if not isinstance(value, np.generic) or value.itemsize != 8:
            raise TypeError(f"Unsupported type {type(value)}")
        if kind.startswith("value"):
            return value
        assert value == 0
        return None


class Stream(contextlib.AbstractContextManager):
    """As cupy.cuda.Stream, for captures only."""

    def __init__(self, cupy, non_blocking):
        assert non_blocking  # the default stream would wait for a capture, which ends it
        self._cupy, self.capturing, self._before = cupy, False, None

    def __enter__(self):
        self._before, self._cupy.stream = self._cupy.stream, self
        return self

    def __exit__(self, *error):
        self._cupy.stream = self._before

    def begin_capture(self):
        self._cupy.capturing, self.capturing = [], True

    def end_capture(self):
        works, self._cupy.capturing, self.capturing = self._cupy.capturing, None, False
        self._cupy.captured += 1

        def launch():
            self._cupy.waiting()
            self._cupy.replayed += 1
            for work in works:
                work()

        return types.SimpleNamespace(launch=launch)
