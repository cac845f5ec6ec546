"""Floor 1: frames of XYZ files, counted line by line; readers of ASE stop at a blank line without a word."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import IO

from acegen.errors import InputError

_LONGEST = 20  # characters of a number of atoms
_BEGINNING = 1024  # bytes that show whether a file is text
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"PK\x03\x04": "zip"}


def count_frames(path: Path) -> int:
    """Number of structures.

    Raises:
        InputError: unreadable, empty, not in the shape of XYZ, or with more structures after a blank line.
    """
    n_frames = n_lines = 0
    try:
        with open(path, "rb") as file:
            _check_text(path, file.read(_BEGINNING))
            file.seek(0)
            while (head := file.readline()).strip():
                n_lines += 1
                if head.lstrip().startswith(b"VEC"):  # a cell vector after the atoms
                    continue
                if not head.strip().isdigit() or len(head) > _LONGEST:
                    raise InputError(
                        f"{path}: frame {n_frames}: line {n_lines}: expected the number of atoms, found {_shown(head)}"
                    )
                for line in range(int(head) + 1):
                    if not file.readline():
                        raise InputError(
                            f"{path}: frame {n_frames}: expected {int(head)} atoms, the file ends after "
                            f"{max(line - 1, 0)}"
                        )
                n_lines += int(head) + 1
                n_frames += 1
            if head:
                _check_rest(path, file, n_lines + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if n_frames == 0:
        raise InputError(f"{path}: holds no structures, expected an extended XYZ file")
    return n_frames


def _check_text(path: Path, beginning: bytes) -> None:
    """Refuse what is no text, without showing it."""
    for magic, name in _COMPRESSED.items():
        if beginning.startswith(magic):
            raise InputError(f"{path}: is compressed ({name}), expected extended XYZ as plain text")
    if beginning.startswith(codecs.BOM_UTF8):
        raise InputError(f"{path}: begins with a byte order mark, expected extended XYZ as UTF-8 text without it")
    if b"\0" in beginning:
        raise InputError(f"{path}: is no text, expected extended XYZ")


def printable(text: str, most: int = 200) -> str:
    """One line of at most so many characters that a terminal can show."""
    shown = "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)
    return shown if len(shown) <= most else f"{shown[:most]}..."


def _check_rest(path: Path, file: IO[bytes], blank: int) -> None:
    """Only blank lines may follow the blank line of that number."""
    for line, text in enumerate(file, blank + 1):
        if text.strip():
            raise InputError(
                f"{path}: line {blank} is blank, and line {line} is not: expected one structure right after the other, "
                f"found {_shown(text)}"
            )


def _shown(line: bytes) -> str:
    return repr(printable(line.strip()[:40].decode(errors="replace").replace("\ufffd", "?")))
