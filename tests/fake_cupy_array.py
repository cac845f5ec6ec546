"""Arrays of the module that stands in for CuPy."""

from __future__ import annotations

import operator
import types

import numpy as np


class FakeError(Exception):
    """What CuPy or the driver would refuse, or would do silently and wrongly."""


class OutOfMemoryError(MemoryError):
    """As cupy.cuda.memory.OutOfMemoryError."""


class Array:
    """An array "in the memory of a device"; only what CuPy's arrays take, and only on their own device."""

    __array_priority__ = 100

    def __init__(self, cupy, values, device):
        self._cupy, self.values, self.device = cupy, values, types.SimpleNamespace(id=device)

    def used(self):
        """The values, for work on the current device."""
        if self.device.id != self._cupy.current:
            raise ValueError(f"array of device {self.device.id} used on device {self._cupy.current}")
        return self.values

    def _new(self, values):
        """A result: a view stays where it is, anything else is allocated on the current device."""
        if isinstance(values, np.ndarray) and values.base is not None and np.shares_memory(values, self.values):
            return Array(self._cupy, values, self.device.id)
        return self._cupy.made(np.asarray(values))

    dtype = property(lambda self: self.values.dtype)
    shape = property(lambda self: self.values.shape)
    ndim = property(lambda self: self.values.ndim)
    size = property(lambda self: self.values.size)
    nbytes = property(lambda self: self.values.nbytes)
    flags = property(lambda self: self.values.flags)
    __cuda_array_interface__ = property(lambda self: self.values.__array_interface__)

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_ufunc__(self, *arguments, **options):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")

    def __array_function__(self, *arguments, **options):
        raise TypeError("NumPy function called with an array of a device")

    def __iter__(self):
        raise FakeError("a copy from the device for every element")

    def __len__(self):
        return len(self.values)

    def _one(self):
        self._cupy.waiting()
        if self.size != 1:
            raise ValueError("The truth value of an array with more than one element is ambiguous")
        return self.values.reshape(-1)[0]

    def __bool__(self):
        return bool(self._one())

    def __int__(self):
        return int(self._one())

    def __float__(self):
        return float(self._one())

    def __getitem__(self, key):
        return self._new(self.values[_key(key)] if not _has_array(key) else self.used()[_key(key)])

    def __setitem__(self, key, value):
        self.used()[_key(key)] = plain(value)

    def get(self):
        self._cupy.waiting()
        return np.array(self.values)

    def set(self, array):
        self._cupy.waiting()
        if type(array) is not np.ndarray:
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if array.dtype != self.dtype:
            raise TypeError(f"{array.dtype} array cannot be set to {self.dtype} array")
        if array.shape != self.shape or not self.flags.c_contiguous:
            raise ValueError("Shape mismatch")
        self.values[...] = array

    def tolist(self):
        return self.get().tolist()

    def copy(self):
        return self._cupy.made(np.array(self.used()))  # on the current device, which must be its own here

    def astype(self, dtype, copy=True):
        return self if not copy and self.dtype == dtype else self._cupy.made(self.used().astype(dtype))

    def reshape(self, *shape):
        return self._new(self.values.reshape(*shape))

    def fill(self, value):
        self.used().fill(plain(value))

    def refuse_empty(self, name):
        if 0 in self.shape:
            raise ValueError(f"zero-size array to reduction operation {name} which has no identity")

    def max(self, axis=None):
        self.refuse_empty("maximum")
        return self._new(self.used().max(axis=axis))

    def min(self, axis=None):
        self.refuse_empty("minimum")
        return self._new(self.used().min(axis=axis))

    def any(self):
        return self._new(self.used().any())

    def all(self):
        return self._new(self.used().all())

    def __neg__(self):
        return self._new(-self.used())

    __hash__ = None


def plain(value):
    """What an operation computes with: values of an array, or a number; NumPy's arrays are refused."""
    if isinstance(value, Array):
        return value.used()
    if isinstance(value, bool | int | float | np.generic):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def _has_array(key):
    return any(isinstance(one, Array) for one in (key if isinstance(key, tuple) else (key,)))


def _key(key):
    """An index of numbers, slices and device arrays."""
    if isinstance(key, tuple):
        return tuple(_key(one) for one in key)
    if isinstance(key, Array):
        return key.used()
    if key is None or key is Ellipsis or isinstance(key, int | slice | np.integer):
        return key
    raise IndexError(f"Unsupported index {type(key)}")


def _binary(name):
    """The method of an operator, for arrays of one device and numbers."""
    work = getattr(operator, name)
    if name.startswith("i"):

        def method(self, other):
            work(self.used(), plain(other))
            return self
    else:

        def method(self, other):
            return self._new(work(self.used(), plain(other)))

    return method


def _reflected(name):
    work = getattr(operator, name)
    return lambda self, other: self._new(work(plain(other), self.used()))


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_"):
    setattr(Array, f"__{_name.rstrip('_')}__", _binary(_name))
    setattr(Array, f"__r{_name.rstrip('_')}__", _reflected(_name))
for _name in ("iadd", "isub", "imul", "ior", "iand"):
    setattr(Array, f"__{_name}__", _binary(_name))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Array, f"__{_name}__", _binary(_name))
