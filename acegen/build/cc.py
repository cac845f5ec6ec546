"""Stage 6, build: finds a C compiler, asks which flags it takes, and turns C sources into one shared library."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from acegen.errors import BuildError

# Never -ffast-math: linking with it switches the whole process to flush-to-zero.
BASE_FLAGS = ("-std=c11", "-O2", "-fPIC", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
# clang's own vectoriser undoes the explicit vector types of the kernels.
CLANG_FLAGS = ("-fno-slp-vectorize",)
NATIVE_FLAGS = ("-march=native", "-mcpu=native")
OPENMP_FLAG = "-fopenmp"

_PROBE = "double probe(double x);\ndouble probe(double x) { return x + 1.0; }\n"
# A compiler may take the flag and ignore it, hence the #error.
_OPENMP_PROBE = """#ifndef _OPENMP
#error "no OpenMP"
#endif
#include <omp.h>
int probe(void);
int probe(void) { return omp_get_max_threads(); }
"""
_LOG_LINES = 6  # of the compiler's own text in a BuildError; the rest is in the log


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C compiler: the command that starts it and what it says of itself."""

    command: tuple[str, ...]
    path: str  # resolved executable, part of the cache key
    version: str  # text of --version, part of the cache key

    @property
    def is_clang(self) -> bool:
        """True for clang and everything built on it (zig cc, icx, Apple)."""
        return "clang" in self.version.lower()


def find_compiler() -> Compiler:
    """First usable compiler of ACEGEN_CC, CC, gcc, clang, `python -m ziglang cc`.

    Raises:
        BuildError: none is there, or ACEGEN_CC names something that cannot be run.
    """
    return _find_compiler(os.environ.get("ACEGEN_CC", ""), os.environ.get("CC", ""), os.environ.get("PATH", ""))


@functools.lru_cache(maxsize=8)
def _find_compiler(wanted: str, usual: str, search_path: str) -> Compiler:
    del search_path  # only a part of the cache key
    if wanted.strip():
        compiler = _try_command(_words(wanted))
        if compiler is None:
            raise BuildError(f"ACEGEN_CC: expected a C compiler command, found {wanted!r}, which cannot be run")
        return compiler
    candidates = [_words(usual), ("gcc",), ("clang",)]
    if importlib.util.find_spec("ziglang") is not None:
        candidates.append((sys.executable, "-m", "ziglang", "cc"))
    for command in candidates:
        compiler = _try_command(command)
        if compiler is not None:
            return compiler
    raise BuildError(
        "no C compiler found: install gcc or clang, or `pip install ziglang`, or name one in the environment "
        "variable ACEGEN_CC"
    )


def _words(text: str) -> tuple[str, ...]:
    """The words of a command as a shell would split it; none when a quotation is not closed."""
    try:
        return tuple(shlex.split(text))
    except ValueError:
        return ()


def _try_command(command: tuple[str, ...]) -> Compiler | None:
    """The compiler started by `command`, None when it does not run."""
    executable = shutil.which(command[0]) if command else None
    if executable is None:
        return None
    try:
        result = subprocess.run(
            [executable, *command[1:], "--version"], capture_output=True, text=True, errors="replace", check=False
        )
    except OSError:
        return None
    if result.returncode != 0:
        return None
    return Compiler((executable, *command[1:]), os.path.realpath(executable), result.stdout.strip())


def probe_flags(compiler: Compiler) -> tuple[str, ...]:
    """Flags this compiler takes on this machine; runs it a few times (the build cache remembers the answer)."""
    flags = [*BASE_FLAGS]
    if compiler.is_clang:
        flags += [flag for flag in CLANG_FLAGS if _accepts(compiler, (flag,), _PROBE)]
    native = next((flag for flag in NATIVE_FLAGS if _accepts(compiler, (flag,), _PROBE)), None)
    if native is not None:
        flags.append(native)
    if _accepts(compiler, (OPENMP_FLAG,), _OPENMP_PROBE):
        flags.append(OPENMP_FLAG)
    return tuple(flags)


def _accepts(compiler: Compiler, flags: tuple[str, ...], text: str) -> bool:
    """True when `text` compiles without error under `flags` and the result can be loaded."""
    with tempfile.TemporaryDirectory(prefix="acegen-probe-") as folder:
        source, library = Path(folder, "probe.c"), Path(folder, "probe.so")
        source.write_text(text, encoding="ascii")
        command = [*compiler.command, "-std=c11", "-fPIC", "-shared", *flags, str(source), "-o", str(library)]
        result = subprocess.run(command, capture_output=True, check=False)
        if result.returncode != 0 or not library.is_file():
            return False
        try:
            ctypes.CDLL(str(library))  # a missing OpenMP runtime shows only here
        except OSError:
            return False
    return True


def compile_library(
    compiler: Compiler, flags: Sequence[str], sources: Sequence[Path], library: Path, log: Path
) -> None:
    """Compile `sources` into the shared library `library`; every command and message goes to `log`.

    Several sources are compiled side by side: generated files are split so that large bases compile faster.

    Raises:
        BuildError: the compiler failed; shows its first error and the path of the log.
    """
    objects = [library.with_name(f"{index}.o") for index in range(len(sources))]
    compiles = [
        [*compiler.command, *flags, "-c", str(source), "-o", str(target)]
        for source, target in zip(sources, objects, strict=True)
    ]
    link = [*compiler.command, *flags, "-shared", *map(str, objects), "-o", str(library), "-lm"]
    with ThreadPoolExecutor(max_workers=min(len(sources), os.cpu_count() or 1)) as pool:
        results = list(pool.map(_run, compiles))
    if all(code == 0 for code, _ in results):
        results.append(_run(link))
    log.write_text("\n".join(text for _, text in results), encoding="utf-8")
    for code, text in results:
        if code != 0:
            raise BuildError(_failure(text, compiler, log))
    if not library.is_file():
        raise BuildError(
            f"the C compiler {shlex.join(compiler.command)} ended without an error and wrote no library, "
            f"full log in {log}: is it a compiler? (ACEGEN_CC, CC)"
        )


def _run(command: list[str]) -> tuple[int, str]:
    """Exit code and log text of one compiler call."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        return 1, f"$ {shlex.join(command)}\nerror: {error}\n"
    return result.returncode, f"$ {shlex.join(command)}\n{result.stdout}{result.stderr}"


def _failure(text: str, compiler: Compiler, log: Path) -> str:
    """The sentence of a failed build: first error line, the lines below it, and where the log is."""
    lines = text.splitlines()[1:]
    words = ("error", "undefined reference", "cannot find")
    first = next((k for k, line in enumerate(lines) if any(word in line.lower() for word in words)), 0)
    shown = "\n".join(f"    {line}" for line in lines[first : first + _LOG_LINES]) or "    (the compiler said nothing)"
    return f"the C compiler {shlex.join(compiler.command)} failed, full log in {log}:\n{shown}"
