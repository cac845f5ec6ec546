"""What a measurement on a device was made on: card, driver, CUDA, compiler, clocks."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

from acegen.bench.cuda_clock import TimedBackend
from acegen.errors import BuildError
from acegen.runtime.cuda.compile import find_cuda_compiler

# What nvidia-smi tells beyond CUDA, and what we call it.
_ASKED = {
    "driver_version": "driver",
    "clocks.sm": "clock_mhz",
    "clocks.max.sm": "clock_limit_mhz",
    "clocks.mem": "memory_clock_mhz",
    "power.limit": "power_limit_w",
    "ecc.mode.current": "ecc",
}
_SECONDS = 20.0  # nvidia-smi takes one or two


def describe_card(backend: TimedBackend) -> dict[str, Any]:
    """Card and software; the clocks are those of this moment, so ask while the card is warm.

    What only nvidia-smi knows (driver, clocks, power limit, ECC) is left out where it cannot be run.
    """
    cupy = backend.xp
    runtime, index = cupy.cuda.runtime, int(backend.name.partition(":")[2])
    raw = runtime.getDeviceProperties(index)
    name = raw["name"]
    found: dict[str, Any] = {
        "name": name.decode() if isinstance(name, bytes) else str(name),
        "architecture": backend.architecture,
        "multiprocessors": int(raw["multiProcessorCount"]),
        "memory_bytes": int(raw["totalGlobalMem"]),
        "l2_bytes": int(raw["l2CacheSize"]),
        "cuda_of_driver": _version(int(runtime.driverGetVersion())),
        "cuda_of_cupy": _version(int(runtime.runtimeGetVersion())),
        "cupy": str(cupy.__version__),
        "compiler": _compiler(int(runtime.runtimeGetVersion()) // 1000),
    }
    return {**found, **_told_by_smi(_pci_name(backend, index))}


def card_line(card: dict[str, Any]) -> str:
    """Card, software and clocks in one line."""
    parts = [
        f"{card['name']} ({card['architecture']}, {card['multiprocessors']} multiprocessors, "
        f"{card['memory_bytes'] / 1e9:.0f} GB)",
        f"driver {card['driver']}" if "driver" in card else f"driver for CUDA {card['cuda_of_driver']}",
        f"CuPy {card['cupy']}",
        str(card["compiler"]),
    ]
    if "clock_mhz" in card:
        parts.append(f"{card['clock_mhz']} of {card.get('clock_limit_mhz', '?')} MHz")
    return ", ".join(parts)


def _version(number: int) -> str:
    """13020 -> "13.2"."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _compiler(major: int) -> str:
    try:
        return find_cuda_compiler(major).version
    except BuildError:
        return "none"


def _pci_name(backend: TimedBackend, index: int) -> str:
    """How nvidia-smi calls the device: CUDA may count the cards in another order."""
    return str(getattr(backend.xp.cuda.Device(index), "pci_bus_id", index))


def _told_by_smi(card: str) -> dict[str, str]:
    command = shutil.which("nvidia-smi")
    if command is None:
        return {}
    asked = [command, f"--id={card}", f"--query-gpu={','.join(_ASKED)}", "--format=csv,noheader,nounits"]
    try:
        result = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    values = [value.strip() for value in result.stdout.strip().split(",")]
    if result.returncode != 0 or len(values) != len(_ASKED):
        return {}
    return {key: value for key, value in zip(_ASKED.values(), values, strict=True) if not value.startswith("[")}
