"""Stage 6, build: compiled libraries kept by content, safe against races, damage and folders that cannot be written."""

from __future__ import annotations

import functools
import getpass
import hashlib
import inspect
import json
import os
import platform
import stat
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import platformdirs

from acegen.build.cc import Compiler, compile_library, find_compiler, probe_flags
from acegen.errors import BuildError


def cache_folder() -> Path:
    """Folder of compiled libraries: ACEGEN_CACHE, else the user's cache, else (with a warning) a temporary one."""
    return _cache_folder(os.environ.get("ACEGEN_CACHE", ""), tempfile.gettempdir())


@functools.lru_cache(maxsize=8)
def _cache_folder(wanted: str, temporary: str) -> Path:
    folder = Path(wanted).expanduser().absolute() if wanted else Path(platformdirs.user_cache_dir("acegen"))
    problem = _why_unwritable(folder)
    if problem is None:
        return folder
    fallback = _private_temporary(Path(temporary))
    warnings.warn(
        f"cache folder {folder} cannot be written ({problem}); compiled kernels go to {fallback}: "
        "set ACEGEN_CACHE to a folder that can",
        RuntimeWarning,
        stacklevel=_outside(),
    )
    return fallback


def _outside() -> int:
    """Stack level, counted from the caller, of the first frame that is not of acegen: where a warning helps."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "acegen":
        frame, level = frame.f_back, level + 1
    return max(level, 1)


def _why_unwritable(folder: Path) -> str | None:
    """None when files can be created in `folder` (made when missing), else the reason."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or type(error).__name__


def _private_temporary(parent: Path) -> Path:
    """A folder under `parent` only this user can write: libraries from it are loaded into the process."""
    folder = parent / f"acegen-{getpass.getuser() if not hasattr(os, 'getuid') else os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        mine = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022)
        if stat.S_ISDIR(found.st_mode) and mine and _why_unwritable(folder) is None:
            return folder
    except OSError:
        pass
    try:
        return Path(tempfile.mkdtemp(prefix="acegen-", dir=parent))
    except OSError as error:
        raise BuildError(
            f"no folder for compiled kernels: neither the cache nor {parent} can be written ({error.strerror}); "
            "set ACEGEN_CACHE to a folder that can"
        ) from error


def cached_library(sources: Sequence[Path], headers: Sequence[Path] = (), defines: Iterable[str] = ()) -> Path:
    """Shared library of `sources`, compiled when the cache holds no undamaged one.

    The key covers every byte that decides the machine code: sources, headers, flags, compiler and processor.
    A small pointer file names the library and its checksum, so a library is never seen half written and two
    processes that compile at once both end with a good one.

    Args:
        sources: C files to compile.
        headers: files the sources include.
        defines: preprocessor definitions, "NAME=value".

    Raises:
        BuildError: no compiler, or it failed, or the cache folder is full.
    """
    folder = cache_folder()
    compiler = find_compiler()
    try:
        flags = (*cached_flags(compiler, folder), *(f"-D{define}" for define in defines))
        key = _key(compiler, flags, sources, headers)
        pointer = folder / f"{key}.json"
        return _undamaged(pointer) or _build(compiler, flags, sources, pointer)
    except OSError as error:
        raise unwritable(folder, error) from error


def cached_bytes(key: str, suffix: str, make: Callable[[], bytes]) -> Path:
    """File with the bytes of `make`, called when the cache holds no undamaged file of that key.

    Raises:
        BuildError: the cache folder cannot be written; and whatever `make` raises.
    """
    folder = cache_folder()
    pointer = folder / f"{key}.json"
    try:
        kept = _undamaged(pointer)
        if kept is not None:
            return kept
        content = make()
        checksum = hashlib.sha256(content).hexdigest()
        path = folder / f"{key}-{checksum[:16]}{suffix}"
        _write_whole(path, content)
        _write_whole(pointer, json.dumps({"library": path.name, "sha256": checksum}).encode())
    except OSError as error:
        raise unwritable(folder, error) from error
    return path


def unwritable(folder: Path, error: OSError) -> BuildError:
    """What to say when the cache cannot be written, for example because the disk is full."""
    reason = error.strerror or str(error)
    return BuildError(f"cache folder {folder}: cannot be written ({reason}); set ACEGEN_CACHE to a folder that can")


def cached_flags(compiler: Compiler, folder: Path) -> tuple[str, ...]:
    """`probe_flags`, remembered in the cache folder for this compiler and processor."""
    key = digest_of([compiler.path, compiler.version, *compiler.command, cpu_features()])
    path = folder / f"flags-{key}.json"
    known = _read_json(path)
    if isinstance(known, list) and all(isinstance(flag, str) for flag in known):
        return tuple(known)
    flags = probe_flags(compiler)
    _write_whole(path, json.dumps(flags).encode())
    return flags


@functools.lru_cache(maxsize=1)
def cpu_features() -> str:
    """Text that changes when -march=native would: the instruction sets of this processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    wanted = ("vendor_id", "cpu family", "model", "model name", "flags", "Features", "CPU part")
    found = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)  # reversed: the first core wins
    features = {name.strip(): text.strip() for name, text in found.items() if name.strip() in wanted}
    if features:
        return json.dumps(features, sort_keys=True)
    return f"{platform.machine()} {platform.processor()}"


def digest_of(parts: Iterable[str | bytes]) -> str:
    """sha256 (first 40 hex digits) of a sequence of texts; lengths are hashed too, so parts cannot run together."""
    total = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        total.update(len(raw).to_bytes(8, "little"))
        total.update(raw)
    return total.hexdigest()[:40]


def _key(compiler: Compiler, flags: Sequence[str], sources: Sequence[Path], headers: Sequence[Path]) -> str:
    parts: list[str | bytes] = [compiler.path, compiler.version, *compiler.command, *flags, cpu_features()]
    for path in (*sources, *headers):
        try:
            parts += [path.name, path.read_bytes()]
        except OSError as error:
            raise BuildError(f"{path}: cannot read the C source ({error.strerror})") from error
    return digest_of(parts)


def _undamaged(pointer: Path) -> Path | None:
    """The library a pointer file names, None when it is missing or its bytes are not the ones written."""
    entry = _read_json(pointer)
    if not isinstance(entry, dict) or not isinstance(entry.get("library"), str):
        return None
    library = pointer.parent / Path(entry["library"]).name
    try:
        found = hashlib.sha256(library.read_bytes()).hexdigest()
    except OSError:
        return None
    return library if found == entry.get("sha256") else None


def _build(compiler: Compiler, flags: Sequence[str], sources: Sequence[Path], pointer: Path) -> Path:
    """Compile in a private folder, move the library in place, then write the pointer."""
    log = pointer.with_suffix(".log")
    with tempfile.TemporaryDirectory(prefix="build-", dir=pointer.parent) as scratch:
        built = Path(scratch, "library.so")
        compile_library(compiler, flags, sources, built, log)
        checksum = hashlib.sha256(built.read_bytes()).hexdigest()
        # The checksum is in the name: a library another process has loaded is never replaced by other bytes.
        library = pointer.with_name(f"{pointer.stem}-{checksum[:16]}.so")
        os.replace(built, library)
    entry = {"library": library.name, "sha256": checksum, "compiler": compiler.version.splitlines()[:1]}
    _write_whole(pointer, json.dumps(entry).encode())
    return library


def _read_json(path: Path) -> object:
    """Content of a small JSON file, None when it is missing or damaged."""
    try:
        content: object = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content


def _write_whole(path: Path, content: bytes) -> None:
    """Write so that readers see the old file or the new one, never a part."""
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    aside.write_bytes(content)
    os.replace(aside, path)
