"""What a measurement was made on: processor, compiler, flags, date."""

from __future__ import annotations

import datetime
import json
import os
import platform

import numpy as np

from acegen.build.cache import cache_folder, cached_flags, cpu_features
from acegen.build.cc import find_compiler

_WORTH_SAYING = ("avx512f", "avx2", "fma", "asimd", "sve", "sse2")  # the first found names the vector unit


def describe_machine() -> dict[str, str | int]:
    """Processor, cores, vector unit, compiler, flags, versions and the date of today."""
    compiler = find_compiler()
    try:
        features = json.loads(cpu_features())
    except ValueError:
        features = {}
    flags = str(features.get("flags") or features.get("Features") or "").split()
    model = str(features.get("model name") or platform.processor() or platform.machine())
    family = features.get("cpu family")
    return {
        "cpu": f"{model} (family {family} model {features.get('model')})" if family else model,
        "vectors": next((name for name in _WORTH_SAYING if name in flags), "unknown"),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "compiler": (compiler.version.splitlines() or ["unknown"])[0],
        "flags": " ".join(cached_flags(compiler, cache_folder())),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "date": datetime.date.today().isoformat(),
    }
