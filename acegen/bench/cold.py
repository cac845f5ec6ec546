"""Kernels for the bench, made cold: fresh interpreter, empty cache, generation and C compiler timed apart."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from acegen.build.cache import cache_folder, cached_flags
from acegen.build.cc import find_compiler
from acegen.errors import InputError
from acegen.runtime.load import load_bundle
from acegen.runtime.model import Model

_GENERATE = """
import sys
from acegen.compiler import compile_bundle
from acegen.errors import AcegenError
source, out, precision, form, products, *targets = sys.argv[1:]
try:
    compile_bundle(source, out, precision, form, products, targets=targets)
except AcegenError as error:
    sys.exit(f"acegen: {error}")
"""


@dataclass(frozen=True, slots=True)
class Made:
    """A loaded kernel and what it took: seconds of wall time, None where not measured; bytes of the C source."""

    model: Model
    generate: float | None
    compile: float | None
    source_bytes: int


def make_kernel(
    source: Path, scratch: Path, precision: str, form: str, products: str, threads: int, cached: bool
) -> Made:
    """Generate and compile `source` (an input or a bundle folder) into `scratch`.

    Args:
        cached: use the library cache of the user; compile seconds are then not measured.

    Raises:
        InputError: form or products asked of a bundle, whose code is already written.
        BuildError: no compiler, or it failed.
    """
    folder, generate = make_bundle(source, scratch, precision, form, products, ("c",))
    if cached:
        model, seconds = load_bundle(folder, "cpu", precision, threads), None
    else:
        with private_cache(scratch / "cache"):
            cached_flags(find_compiler(), cache_folder())  # before the clock: probing is done once per machine
            start = time.perf_counter()
            model = load_bundle(folder, "cpu", precision, threads)
            seconds = time.perf_counter() - start
    size = sum((folder / name).stat().st_size for name in model.manifest.sources)
    return Made(model, generate, seconds, size)


def make_bundle(
    source: Path, scratch: Path, precision: str, form: str, products: str, targets: tuple[str, ...]
) -> tuple[Path, float | None]:
    """Bundle folder of `source` and the seconds it took to write it; a folder is taken as it is, None seconds.

    Raises:
        InputError: the input breaks a rule; form or products asked of a bundle, whose code is already written.
    """
    if source.is_dir():
        if (form, products) != ("auto", "auto"):
            raise InputError(f"{source}: --form and --products need an input, found a bundle (its code is written)")
        return source, None
    folder = scratch / f"{source.stem}-{precision}-{form}-{products}"
    start = time.perf_counter()
    # -P: a checkout in the working folder is not the acegen that is installed
    arguments = [str(source), str(folder), precision, form, products, *targets]
    command = [sys.executable, "-P", "-c", _GENERATE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(last.removeprefix("acegen: "))
    return folder, time.perf_counter() - start


@contextmanager
def private_cache(folder: Path) -> Iterator[None]:
    """Let compiled libraries go to an empty cache."""
    before = os.environ.get("ACEGEN_CACHE")
    os.environ["ACEGEN_CACHE"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["ACEGEN_CACHE"]
        else:
            os.environ["ACEGEN_CACHE"] = before
