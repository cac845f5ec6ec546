"""What differs between a bundle folder and the files it should hold, as bounded unified diffs."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

_LINES_PER_FILE = 40
_LINES = 200
_LARGEST = 2_000_000  # bytes of a file that is compared line by line


def differences(folder: Path, wanted: Mapping[str, bytes]) -> list[str]:
    """Lines to print; none when the folder holds exactly the wanted files, byte by byte."""
    if not folder.is_dir():
        return [f"{folder}: expected a bundle folder, found none"]
    found = {Path(place, name).relative_to(folder).as_posix() for place, _, names in os.walk(folder) for name in names}
    lines = [f"{folder / name}: missing" for name in sorted(wanted.keys() - found)]
    lines += [f"{folder / name}: not part of the bundle" for name in sorted(found - wanted.keys())]
    for name in sorted(wanted.keys() & found):
        old, new = (folder / name).read_bytes(), wanted[name]
        if old != new:
            lines += _file_lines(folder / name, old, new)
    if len(lines) > _LINES:
        lines = [*lines[:_LINES], f"... {len(lines) - _LINES} more lines"]
    return lines


def _file_lines(path: Path, old: bytes, new: bytes) -> list[str]:
    """The unified diff of one file, on disk against generated, cut to a bearable length."""
    if max(len(old), len(new)) > _LARGEST or not (_is_text(old) and _is_text(new)):
        return [f"{path}: differs ({len(old)} bytes on disk, {len(new)} generated)"]
    texts = old.decode().splitlines(), new.decode().splitlines()
    if texts[0] == texts[1]:
        return [f"{path}: differs in line endings only"]
    diff = _trimmed_diff(path, *texts)
    lines = list(islice(diff, _LINES_PER_FILE))
    return [*lines, f"... more differences in {path}"] if next(diff, None) is not None else lines


def _trimmed_diff(path: Path, old: list[str], new: list[str]) -> Iterator[str]:
    """Unified diff; common ends are cut off first, difflib takes minutes on large files that differ in one place."""
    start = next((k for k, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    shortest = min(len(old), len(new)) - start
    same_end = next((k for k in range(shortest) if old[-1 - k] != new[-1 - k]), shortest)
    start = max(0, start - 3)
    stops = [len(lines) - max(0, same_end - 3) for lines in (old, new)]
    pieces = old[start : stops[0]], new[start : stops[1]]
    if max(map(len, pieces)) > 4000:
        pieces = pieces[0][:200], pieces[1][:200]  # the first differences tell enough
    names = f"{path} (on disk)", f"{path} (generated)"
    for line in difflib.unified_diff(*pieces, *names, lineterm="", n=3):
        yield _moved(line, start) if line.startswith("@@") else line


def _moved(header: str, lines: int) -> str:
    """A hunk header with its line numbers moved by the lines cut off in front."""
    _, old, new, _ = header.split(" ")
    parts = []
    for text in (old, new):
        first, comma, count = text[1:].partition(",")
        parts.append(f"{text[0]}{int(first) + lines}{comma}{count}")
    return f"@@ {parts[0]} {parts[1]} @@"


def _is_text(raw: bytes) -> bool:
    try:
        return "\0" not in raw.decode()
    except UnicodeDecodeError:
        return False
