"""The backend of the tests: the very same kernels on the CPU, through the host shim."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class HostBackend:
    """The same kernels on the CPU through the shim of acegen.testing, for tests; arrays are NumPy's.

    Args:
        order: in which the threads of a block run: "forward", "reverse" or "random".
        flags: for the C++ compiler, e.g. sanitizers.
        memory: bytes a single allocation may take, to test what happens when there are no more.
    """

    def __init__(self, order: str = "forward", flags: Sequence[str] = (), memory: int | None = None) -> None:
        self.xp: Any = np
        self.name = "host"
        self.order, self.memory = order, memory
        self._flags = tuple(flags)
        self.out_of_memory: tuple[type[BaseException], ...] = (MemoryError,)
        self.launched: list[str] = []  # names of all kernels so far

    def active(self) -> contextlib.AbstractContextManager[Any]:
        """See Backend."""
        return contextlib.nullcontext()

    def allocate(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """See Backend; floats hold NaN, so that what a kernel did not write shows."""
        n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if self.memory is not None and n_bytes > self.memory:
            raise MemoryError(f"{n_bytes} bytes asked for, {self.memory} are there")
        fill: float | int = np.nan if np.dtype(dtype).kind == "f" else -1
        return np.full(shape, fill, dtype)

    def to_device(self, array: npt.ArrayLike) -> Any:
        """See Backend."""
        found = self.allocate(np.shape(array), np.asarray(array).dtype)
        found[...] = array
        return found

    def copy_in(self, target: Any, array: npt.NDArray[Any]) -> None:
        """See Backend."""
        target[...] = array

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        """See Backend."""
        return np.array(array)

    def adopt(self, value: object) -> Any:
        """See Backend."""
        return self.to_device(np.asarray(value))

    def is_device_array(self, value: object) -> bool:
        """See Backend; the shim knows no device arrays."""
        del value
        return False

    def load(self, source: str, name: str, defines: Sequence[str] = ()) -> Any:
        """See Backend."""
        from acegen.testing.host import HostModule

        del name
        return HostModule(source, flags=(*self._flags, *(f"-D{define}" for define in defines)))

    def launch(
        self, module: Any, kernel: str, grid: int, block: int, arguments: Sequence[Any], shared: int = 0
    ) -> None:
        """See Backend."""
        if grid > 0:
            self.launched.append(kernel)
            module.launch(kernel, grid, block, arguments, shared=shared, order=self.order)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """See Backend; repeating is calling again."""
        return work

    def synchronize(self) -> None:
        """See Backend; launches return when they are done."""

    def free_bytes(self) -> int:
        """See Backend."""
        return 2**62 if self.memory is None else self.memory

    def release(self) -> None:
        """See Backend; nothing is kept."""
