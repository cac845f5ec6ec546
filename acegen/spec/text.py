"""Specifications with other values at the top level: the text stays as its author wrote it, comments and all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from acegen.errors import SpecError
from acegen.spec.read import parse_yaml


def with_keys(text: str, values: Mapping[str, Any]) -> str:
    """The text of a specification with top-level keys set to new values.

    All lines but those of the keys are kept; a specification that cannot be edited line by line, such as one written
    as {...}, is written anew.
    """
    wanted = {**top_level(text), **values}
    edited = _edited(text, values)
    try:
        if edited is not None and parse_yaml(edited, "") == wanted:
            return edited
    except SpecError:
        pass
    return _dumped(wanted)


def _edited(text: str, values: Mapping[str, Any]) -> str | None:
    """The text without the lines of these keys, which follow at the end; None for one in braces."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        return None
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
    return "\n".join(kept) + "\n" + _dumped(values)


def _dumped(content: Mapping[str, Any]) -> str:
    """One line per key, nested mappings in braces."""
    text: str = yaml.safe_dump(dict(content), default_flow_style=None, sort_keys=False, width=10**6)
    return text


def top_level(text: str) -> dict[str, Any]:
    """Keys and values that a specification itself has at the top level."""
    content = parse_yaml(text, "")
    return content if isinstance(content, dict) else {}
