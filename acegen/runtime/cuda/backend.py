"""Where kernels run: one protocol, and a device through CuPy; acegen.runtime.cuda.host has the CPU twin for tests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from acegen.errors import InputError, LoadError

_DLPACK_CUDA = (2, 13)  # device types of DLPack: memory of a device, managed memory
_INSTALL = "pip install 'acegen[cuda12]' or 'acegen[cuda13]', whichever the driver takes"


class Backend(Protocol):
    """What the runtime asks of a device. Arrays are those of `xp`: CuPy's, or NumPy's in the shim."""

    xp: Any  # array module: cupy or numpy
    name: str  # "cuda:0" or "host"
    out_of_memory: tuple[type[BaseException], ...]  # what an allocation raises

    def active(self) -> contextlib.AbstractContextManager[Any]:
        """Makes this device the current one inside a `with`."""
        ...

    def allocate(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """New C-contiguous device array, not initialised."""
        ...

    def to_device(self, array: npt.ArrayLike) -> Any:
        """Private device copy of a host array."""
        ...

    def copy_in(self, target: Any, array: npt.NDArray[Any]) -> None:
        """Overwrite a device array with a host array of the same shape and kind."""
        ...

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        """Host copy of a device array, when all launches before it are done."""
        ...

    def adopt(self, value: object) -> Any:
        """Device array of anything with `__cuda_array_interface__` or DLPack (no copy), or of a host array (copy)."""
        ...

    def is_device_array(self, value: object) -> bool:
        """True when results for `value` should stay on the device."""
        ...

    def load(self, source: str, name: str, defines: Sequence[str] = ()) -> Any:
        """Module of a self-contained CUDA source, compiled or from the cache; `defines` are "NAME=value"."""
        ...

    def launch(
        self, module: Any, kernel: str, grid: int, block: int, arguments: Sequence[Any], shared: int = 0
    ) -> None:
        """Start `grid` blocks of `block` threads; nothing when grid is 0.

        Args:
            arguments: device arrays, None (a null pointer), int (int64), float (double) or NumPy scalars.
            shared: bytes of dynamic shared memory.
        """
        ...

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Something that repeats the launches of `work` (which must have run once) with the same arguments."""
        ...

    def synchronize(self) -> None:
        """Wait until all launches are done."""
        ...

    def free_bytes(self) -> int:
        """Memory that can still be allocated."""
        ...

    def release(self) -> None:
        """Give memory that is only kept for reuse back to the device."""
        ...


class _Kernels:
    """A cupy.RawModule and its functions, each looked up once."""

    def __init__(self, module: Any, largest: int) -> None:
        self._module = module
        self._largest = largest  # bytes of shared memory that a block can have on this device
        self._functions: dict[str, tuple[Any, int]] = {}

    def function(self, name: str, shared: int) -> tuple[Any, int]:
        """Kernel `name`, and the dynamic shared memory it gets: `shared` bytes, or 0 where the device has less.

        Code compiled for such a device works in global memory instead.
        """
        known, allowed = self._functions.get(name, (None, 0))
        if known is None:
            known = self._module.get_function(name)
        if shared + int(known.shared_size_bytes) > self._largest:
            shared = 0
        if shared > allowed:
            known.max_dynamic_shared_size_bytes = allowed = shared
        self._functions[name] = known, allowed
        return known, shared


class CupyBackend:
    """A CUDA device through CuPy, which is imported here and nowhere else."""

    def __init__(self, index: int = 0) -> None:
        self.xp = cupy = _cupy()
        self.name = f"cuda:{index}"
        try:
            n_devices = int(cupy.cuda.runtime.getDeviceCount())
        except Exception as error:  # CuPy's own class, known only where a driver is
            raise LoadError(
                f"device: no CUDA device can be used ({_first_line(error)}): install an NVIDIA driver, or load with "
                "device='cpu'"
            ) from error
        if not 0 <= index < n_devices:
            known = ", ".join(f"'cuda:{k}'" for k in range(n_devices)) or "none"
            raise LoadError(f"device: expected one of {known}, found 'cuda:{index}'")
        self._device = cupy.cuda.Device(index)
        self.architecture = f"sm_{self._device.compute_capability}"
        self.out_of_memory: tuple[type[BaseException], ...] = (cupy.cuda.memory.OutOfMemoryError,)
        try:
            with self._device:
                cupy.zeros(1) + 1.0  # CuPy compiles its own kernels, with headers that its wheels do not have
        except RuntimeError as error:
            raise LoadError(
                f"device: CuPy cannot compile its own kernels ({_first_line(error)}): install acegen with the extra "
                "cuda12 or cuda13, or CuPy as 'cupy-cuda13x[ctk]'"
            ) from error

    def active(self) -> contextlib.AbstractContextManager[Any]:
        """See Backend."""
        device: contextlib.AbstractContextManager[Any] = self._device
        return device

    def allocate(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """See Backend."""
        with self._device:
            return self.xp.empty(shape, dtype)

    def to_device(self, array: npt.ArrayLike) -> Any:
        """See Backend."""
        with self._device:
            return self.xp.array(np.ascontiguousarray(array), order="C")

    def copy_in(self, target: Any, array: npt.NDArray[Any]) -> None:
        """See Backend."""
        with self._device:
            target.set(array)

    def to_host(self, array: Any) -> npt.NDArray[Any]:
        """See Backend."""
        with self._device:
            found: npt.NDArray[Any] = self.xp.asnumpy(array)
        return found

    def adopt(self, value: object) -> Any:
        """See Backend."""
        with self._device:
            if hasattr(value, "__cuda_array_interface__"):
                found = self.xp.asarray(value)
            elif _dlpack_on_device(value):
                found = self.xp.from_dlpack(value)
            else:
                return self.to_device(np.asarray(value))
            if int(found.device.id) != int(self._device.id):
                raise InputError(f"array on cuda:{found.device.id}: expected one on {self.name}, where the model is")
            return found

    def is_device_array(self, value: object) -> bool:
        """See Backend."""
        return hasattr(value, "__cuda_array_interface__") or _dlpack_on_device(value)

    def load(self, source: str, name: str, defines: Sequence[str] = ()) -> Any:
        """See Backend."""
        from acegen.runtime.cuda.compile import cached_cubin

        major = int(self.xp.cuda.runtime.runtimeGetVersion()) // 1000
        cubin = cached_cubin(source, name, self.architecture, defines, major)
        with self._device:
            return _Kernels(
                self.xp.RawModule(path=str(cubin)), int(self._device.attributes["MaxSharedMemoryPerBlockOptin"])
            )

    def launch(
        self, module: Any, kernel: str, grid: int, block: int, arguments: Sequence[Any], shared: int = 0
    ) -> None:
        """See Backend."""
        if grid == 0:
            return
        with self._device:
            function, granted = module.function(kernel, shared)
            function((grid,), (block,), tuple(_by_value(value) for value in arguments), shared_mem=granted)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """See Backend; a CUDA graph, started on the current stream."""
        with self._device:
            stream = self.xp.cuda.Stream(non_blocking=True)
            with stream:
                stream.begin_capture()
                try:
                    work()
                finally:
                    graph = stream.end_capture()
        launch: Callable[[], None] = graph.launch
        return launch

    def synchronize(self) -> None:
        """See Backend."""
        self._device.synchronize()

    def free_bytes(self) -> int:
        """See Backend; what CuPy's pool keeps for reuse counts as free."""
        with self._device:
            free = int(self.xp.cuda.runtime.memGetInfo()[0])
            return free + int(self.xp.get_default_memory_pool().free_bytes())

    def release(self) -> None:
        """See Backend."""
        with self._device:
            self.xp.get_default_memory_pool().free_all_blocks()


def cuda_backend(device: str) -> Backend:
    """Backend of "cuda" (the first device), "cuda:<number>", or "host": the same kernels on the processor, to test.

    Raises:
        LoadError: no such device, or CuPy is not installed.
    """
    if device == "host":
        from acegen.runtime.cuda.host import HostBackend

        return HostBackend()
    return CupyBackend(device_number(device))


def device_number(device: str) -> int:
    """Number of "cuda" (0) or "cuda:<number>".

    Raises:
        LoadError: another name.
    """
    kind, colon, number = device.partition(":") if isinstance(device, str) else ("", "", "")
    if kind != "cuda" or (colon and not (number.isascii() and number.isdigit())):
        raise LoadError(f"device: expected 'cpu', 'cuda' or 'cuda:<number>', found {device!r}")
    return int(number) if colon else 0


@contextlib.contextmanager
def memory_told(backend: Backend, what: str) -> Iterator[None]:
    """Turn a failed allocation inside the `with` into one sentence."""
    try:
        yield
    except backend.out_of_memory as error:
        raise InputError(
            f"{what}: does not fit in the memory of {backend.name}, {backend.free_bytes() / 1e9:.3g} GB are free"
        ) from error


def _cupy() -> Any:
    try:
        import cupy
    except ImportError as error:
        raise LoadError(f"device: CUDA needs CuPy ({_first_line(error)}): {_INSTALL}") from error
    return cupy


def _dlpack_on_device(value: object) -> bool:
    """True for arrays of another library that are in CUDA memory."""
    where = getattr(value, "__dlpack_device__", None)
    return where is not None and int(where()[0]) in _DLPACK_CUDA


def _first_line(error: BaseException) -> str:
    """First line of a message; where CuPy frames the original error in a page of advice, that error."""
    lines = [line.strip() for line in str(error).splitlines() if any(map(str.isalnum, line))]
    place = next((k + 1 for k, line in enumerate(lines) if line.startswith("Original error")), 0)
    return lines[place] if place < len(lines) else type(error).__name__


def _by_value(value: Any) -> Any:
    """An argument as CuPy passes it: null pointers and numbers take 8 bytes."""
    if value is None:
        return np.uint64(0)
    if isinstance(value, int):
        return np.int64(value)
    if isinstance(value, float):
        return np.float64(value)
    return value
