"""Specifications with other values at the top level: the text stays as its author wrote it, comments and all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from acegen.spec.read import load_yaml


def with_keys(path: Path, values: Mapping[str, Any]) -> str:
    """Text of the specification `path` with top-level keys set to new values.

    A specification written as one {...} is written anew; every other keeps all lines but those of the keys.
    """
    text = path.read_text(encoding="utf-8")
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        content = load_yaml(path)
        known = content if isinstance(content, dict) else {}
        return _dumped({**known, **values})
    lines = text.splitlines()
    starts = [key.start_mark.line for key, _ in node.value]
    ends = [*starts[1:], node.end_mark.line if node.end_mark.column == 0 else node.end_mark.line + 1]
    dropped = [False] * len(lines)
    for (key, _), start, end in zip(node.value, starts, ends, strict=True):
        if key.value in values:
            for line in range(start, min(end, len(lines))):
                # what stands between this value and the next key belongs to the next key
                own = line == start or lines[line][:1] in (" ", "\t", "-", "]", "}")
                dropped[line] = own and bool(lines[line].strip())
    kept = [line for line, gone in zip(lines, dropped, strict=True) if not gone]
    while kept and (not kept[-1].strip() or kept[-1].strip() == "..."):
        kept.pop()
    return "\n".join(kept) + "\n" + _dumped(dict(values))


def _dumped(content: Mapping[str, Any]) -> str:
    """One line per key, nested mappings in braces."""
    text: str = yaml.safe_dump(dict(content), default_flow_style=None, sort_keys=False, width=10**6)
    return text


def top_keys(path: Path) -> frozenset[str]:
    """Keys that the specification itself has at the top level."""
    content = load_yaml(path)
    return frozenset(map(str, content)) if isinstance(content, dict) else frozenset()
