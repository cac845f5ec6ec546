"""Floor 1: files written aside and renamed, so that readers see the old file or the whole new one."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from acegen.errors import AcegenError, InputError

_DEAD = 60.0  # s without a byte, after which nobody is writing a file any more
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextlib.contextmanager
def written_aside(path: Path, complaint: type[AcegenError] = InputError) -> Iterator[IO[bytes]]:
    """A binary file next to `path` that takes its name at the end, or vanishes when anything fails.

    Devices and pipes are written to as they are.

    Raises:
        `complaint`: the folder is missing or cannot be written, `path` is a folder, or the disk is full.
    """
    check_place(path, complaint)
    if _is_device(path):
        with _named(path, complaint), open(path, "wb") as file:
            yield file
        return
    try:
        handle, aside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.absolute().parent)
    except OSError as error:
        raise complaint(f"{path}: cannot be written ({error.strerror or error})") from error
    try:
        with _named(path, complaint), os.fdopen(handle, "wb") as file:
            yield file
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(aside, 0o666 & ~mask)  # mkstemp makes files nobody else can read
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(aside)
        raise


@contextlib.contextmanager
def _named(path: Path, complaint: type[AcegenError]) -> Iterator[None]:
    """The system names no file when it has no room for what is written: do so."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in _NO_ROOM:
            raise complaint(f"{path}: cannot be written ({error.strerror})") from error
        raise


def check_place(path: Path, complaint: type[AcegenError] = InputError) -> None:
    """Refuse a place where no file can be written, before the work whose result goes there.

    Raises:
        `complaint`: the folder is missing or may not be written to, or `path` is a folder.
    """
    if path.is_dir():
        raise complaint(f"{path}: is a folder, expected the name of a file to write")
    if _is_device(path):
        return
    folder = path.absolute().parent
    if not folder.is_dir():
        raise complaint(f"{path}: cannot be written, there is no folder {path.parent}")
    if not os.access(folder, os.W_OK):
        raise complaint(f"{path}: cannot be written, {path.parent} may not be written to")


def _is_device(path: Path) -> bool:
    """Whether it is a device, a pipe, or a name for one: renaming a file over it would destroy it."""
    return (path.exists() and not path.is_file()) or Path("/dev") in path.absolute().parents


def remove_leftovers(path: Path) -> None:
    """Remove what `written_aside` had begun for `path` when its process was killed."""
    own = re.compile(rf"\.{re.escape(path.name)}-[a-z0-9_]{{8}}")  # the names mkstemp makes
    for other in path.absolute().parent.glob(".*-*"):
        if own.fullmatch(other.name) and not other.is_symlink() and other.is_file():
            with contextlib.suppress(OSError):
                if time.time() - other.stat().st_mtime > _DEAD:
                    other.unlink()


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file that exists."""
    try:
        return one.expanduser().samefile(other.expanduser())
    except OSError:
        return False
