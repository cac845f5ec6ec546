"""The golden set: `generated/` holds exactly the bytes that the compiler writes for the example specifications."""

from __future__ import annotations

import difflib
import itertools
from pathlib import Path

import pytest

from acegen.compiler import compile_files
from acegen.emit.bundle import contents

ROOT = Path(__file__).resolve().parents[1]
SPECS = sorted((ROOT / "examples" / "specs").glob("*.yaml"))
GENERATED = ROOT / "generated"
UPDATE = "if the change is wanted: acegen compile examples/specs/*.yaml -o generated, and commit what it wrote"
MOST_LINES = 60  # of a difference that are shown


def difference(path: str, committed: bytes, now: bytes) -> str:
    """Unified difference of a text file, or a sentence for a binary one; empty when equal."""
    if committed == now:
        return ""
    try:
        old, new = committed.decode().splitlines(), now.decode().splitlines()
    except UnicodeDecodeError:
        return f"{path}: {len(committed)} bytes committed, {len(now)} other bytes compiled"
    lines = difflib.unified_diff(old, new, f"generated/{path}", f"compiled/{path}", lineterm="", n=1)
    return "\n".join(line[:160] for line in itertools.islice(lines, MOST_LINES))


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_generated_equals_what_the_compiler_writes(spec: Path) -> None:
    compiled = compile_files(spec)
    now = contents(compiled.files, compiled.manifest, compiled.binary)
    folder = GENERATED / spec.stem
    committed = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(committed) == sorted(now), f"files of generated/{spec.stem}: {UPDATE}"
    parts = [difference(f"{spec.stem}/{path}", committed[path], now[path]) for path in sorted(now)]
    changed = [part for part in parts if part]
    assert not changed, "\n".join([*changed, UPDATE])


def test_every_generated_folder_has_its_specification() -> None:
    assert sorted(path.name for path in GENERATED.iterdir()) == [spec.stem for spec in SPECS]


def test_the_golden_set_stays_small_enough_to_review() -> None:
    assert sum(path.stat().st_size for path in GENERATED.rglob("*") if path.is_file()) < 1_000_000
