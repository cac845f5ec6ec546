"""Checks of arrays handed over by a caller: dtype, shape, range and finiteness, each failure one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from acegen.errors import InputError

FloatArray = npt.NDArray[np.float64]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]


def float_array(name: str, value: object, shape: Sequence[int | None], unit: str = "") -> FloatArray:
    """A private float64 C-order copy of `value`, finite and of `shape` (None: any length)."""
    found = any_array(name, value)
    if found.dtype.kind not in "fiu":
        raise InputError(f"{name}: expected an array of real numbers, found {found.dtype}")
    _check_shape(name, found, shape)
    array = np.array(found, dtype=np.float64, order="C", copy=True)
    if np.count_nonzero(np.isfinite(array)) != array.size:  # `.all()` is slow for a few atoms
        place = tuple(int(k) for k in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"{name}: expected finite numbers{unit and ' in '}{unit}, found {array[place]} at {place}")
    return array


def int32_array(name: str, value: object, shape: Sequence[int | None]) -> Int32Array:
    """A private int32 C-order copy of `value` of `shape`; refuses numbers that do not fit."""
    return np.array(_integers(name, value, shape, np.dtype(np.int32)), np.int32)


def int64_array(name: str, value: object, shape: Sequence[int | None]) -> Int64Array:
    """A private int64 C-order copy of `value` of `shape`; refuses numbers that do not fit."""
    return np.array(_integers(name, value, shape, np.dtype(np.int64)), np.int64)


def _integers(name: str, value: object, shape: Sequence[int | None], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    found = any_array(name, value)
    if found.size == 0 and found.dtype == np.float64:
        found = found.astype(dtype)  # np.asarray([]) is float64: an empty list is a fine list of integers
    if found.dtype.kind not in "iu":
        raise InputError(f"{name}: expected an array of integers, found {found.dtype}")
    _check_shape(name, found, shape)
    limit = np.iinfo(dtype)
    if found.size and (int(found.max()) > limit.max or int(found.min()) < limit.min):
        raise InputError(f"{name}: expected numbers that fit {dtype}, found {found.min()} to {found.max()}")
    return found


def check_range(name: str, array: npt.NDArray[Any], stop: int, of: str) -> None:
    """Refuse entries outside 0..stop-1; `of` says what they index."""
    if array.size == 0:
        return
    wrong = (array < 0) | (array >= stop)
    if wrong.any():
        k = int(np.flatnonzero(wrong)[0])
        allowed = f"0 to {stop - 1}" if stop > 0 else "none, there are no"
        raise InputError(f"{name}: entry {k} is {int(array[k])}, expected {allowed} ({of})")


def offsets(name: str, value: object, n_rows: int | None, total: int) -> Int64Array:
    """CSR offsets: int64 [n_rows+1], from 0 to `total`, never decreasing."""
    array = int64_array(name, value, (None if n_rows is None else n_rows + 1,))
    if array.size == 0 or array[0] != 0 or array[-1] != total:
        ends = f"from {array[0]} to {array[-1]}" if array.size else "an empty array"
        raise InputError(f"{name}: expected offsets from 0 to {total}, found {ends}")
    if (np.diff(array) < 0).any():
        k = int(np.flatnonzero(np.diff(array) < 0)[0])
        raise InputError(f"{name}: offsets must not decrease, found {array[k]} then {array[k + 1]} at {k + 1}")
    return array


def any_array(name: str, value: object) -> npt.NDArray[Any]:
    """`value` as an array of any kind, without copying; refuses ragged rows, and masks that hide entries."""
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{name}: expected an array, found rows of different lengths") from error
    if isinstance(value, np.ma.MaskedArray) and value.mask.any():
        raise InputError(f"{name}: expected all entries, found a masked array with {int(value.mask.sum())} hidden")
    return found


def read_only(array: FloatArray) -> FloatArray:
    """A copy that cannot be written to: an edit, which would change nothing, is refused."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def symbol_names(name: str, value: object) -> tuple[str, ...]:
    """Symbols in the order of the species indices."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InputError(f"{name}: expected a sequence of chemical symbols, found {value!r}")
    symbols = tuple(value)
    wrong = [symbol for symbol in symbols if not isinstance(symbol, str)]
    if wrong:
        raise InputError(f"{name}: expected a sequence of chemical symbols, found {wrong[0]!r} in it")
    for symbol in symbols:
        if symbols.count(symbol) > 1:
            raise InputError(
                f"{name}: expected each chemical symbol once, found {symbol!r} {symbols.count(symbol)} times"
            )
    return symbols


def _check_shape(name: str, array: npt.NDArray[Any], shape: Sequence[int | None]) -> None:
    if array.shape == shape:
        return
    fits = array.ndim == len(shape) and all(
        want is None or want == have for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits:
        expected = ", ".join("any" if want is None else str(want) for want in shape)
        raise InputError(f"{name}: expected shape [{expected}], found {list(array.shape)}")
