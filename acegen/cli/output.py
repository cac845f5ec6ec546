"""Text and JSON for people and scripts: aligned tables, readable sizes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from acegen.aside import written_aside


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns aligned under `header`; the first `left` columns to the left, the others to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    out = []
    for line in lines:
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        out.append("  ".join(cells).rstrip())
    return "\n".join(out)


def to_json(value: object) -> str:
    """JSON text for scripts."""
    return json.dumps(value, indent=1, allow_nan=False)


def record_written(where: str | None, record: object) -> bool:
    """Write a record to a file, or print it where that is "-"; True when its text should be printed too."""
    if where == "-":
        print(to_json(record))
        return False
    if where is not None:
        with written_aside(Path(where)) as file:
            file.write(f"{to_json(record)}\n".encode())
    return True


def size_text(n_bytes: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000.0:
            return f"{n_bytes:.0f} {unit}" if unit == "B" or n_bytes >= 100.0 else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000.0
    return f"{n_bytes:.1f} GB"


def seconds_text(seconds: float) -> str:
    """Seconds for people."""
    return f"{seconds:.2f} s" if seconds < 1.0 else f"{seconds:.1f} s"
