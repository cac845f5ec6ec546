"""Which files a basis specification reads beside itself, found by the reader itself; needs neither SymPy nor NumPy."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from acegen.errors import SpecError
from acegen.spec.model import ArrayFile
from acegen.spec.read import read_spec

_PACE_BLOCK = re.compile(r"^\s*-?\s*\{?\s*[\"']?speciesblock[\"']?\s*:", re.MULTILINE)


def is_pace_text(text: str) -> bool:
    """B-basis files list species blocks; specifications never have that key."""
    return _PACE_BLOCK.search(text) is not None


def array_files(path: Path) -> tuple[ArrayFile, ...]:
    """Array files that `path` names, for a PACE potential in B-basis the active set beside it; else none.

    Not those of what cannot be read: compiling it will say what is wrong.
    """
    if path.suffix not in (".yaml", ".yml"):
        return ()
    try:
        if is_pace_text(path.read_text(encoding="utf-8")):
            beside = path.with_suffix(".asi")
            return (_array_file(beside),) if beside.is_file() else ()
        spec = read_spec(path)
    except (OSError, UnicodeDecodeError, SpecError):
        return ()
    found = (spec.weights.source, spec.radial.weights.source)
    return tuple(source for source in found if source is not None)


def _array_file(path: Path) -> ArrayFile:
    return ArrayFile(path.name, path, hashlib.sha256(path.read_bytes()).hexdigest())
