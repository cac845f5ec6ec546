"""Stage 5: what templates share and one kernel does not need: functions that nobody calls, needless (void)."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

_VOID = re.compile(r"^(\s*)(\(void\)\w+(?:, \(void\)\w+)*);$")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_EMPTY_CONDITION = re.compile(r"^#if[^\n]*\n\n*#endif[^\n]*\n", re.MULTILINE)


class _Function(NamedTuple):
    """Lines first..last-1 of a definition at the top level, with the comment right above it."""

    name: str
    first: int
    body: int  # its first line
    last: int


def prune(text: str) -> str:
    """The same translation unit without unused functions and without (void) of arguments that are used."""
    text = _without_voids(text)
    while True:
        lines = text.split("\n")
        names = Counter(re.findall(r"\w+", _COMMENT.sub("", text)))
        unused = [f for f in _functions(lines) if names[f.name] == _count(f.name, lines[f.first : f.last])]
        if not unused:
            return text
        for function in reversed(unused):
            del lines[function.first : function.last]
        text = _EMPTY_CONDITION.sub("", "\n".join(lines))


def _count(name: str, lines: list[str]) -> int:
    """How often code, not comments, names it."""
    return len(re.findall(rf"\b{name}\b", _COMMENT.sub("", "\n".join(lines))))


def _functions(lines: list[str]) -> list[_Function]:
    """Definitions of functions of this unit alone."""
    found = []
    line = 0
    while line < len(lines):
        start = line
        line += 1
        if not lines[start].startswith(("INLINE ", "static ")):
            continue
        head = start
        while head < len(lines) and "{" not in lines[head] and not lines[head].endswith(";"):
            head += 1
        name = re.search(r"(\w+)\(", lines[start])
        if (
            head == len(lines)
            or "{" not in lines[head]
            or name is None
            or "=" in "".join(lines[start : head + 1]).split("{")[0]
        ):
            continue
        end = head
        if not lines[head].endswith("}"):
            while lines[end] != "}":
                end += 1
        found.append(_Function(name.group(1), _comment_above(lines, start), head, end + 1))
        line = end + 1
    return found


def _comment_above(lines: list[str], line: int) -> int:
    """First line of the comment that ends right above this line, else the line."""
    if line == 0 or not lines[line - 1].endswith("*/"):
        return line
    first = line - 1
    while first > 0 and not lines[first].startswith("/*"):
        first -= 1
    return line if lines[first].startswith(("/* --", "/* ==")) else first


def _without_voids(text: str) -> str:
    lines = text.split("\n")
    for function in reversed(_functions(lines)):
        for line in range(function.last - 1, function.body, -1):
            match = _VOID.match(lines[line])
            if match is None:
                continue
            others = _unconditional(lines[function.body : line]) + _unconditional(lines[line + 1 : function.last])
            names = re.findall(r"\(void\)(\w+)", match.group(2))
            needed = [f"(void){name}" for name in names if not _count(name, others)]
            lines[line : line + 1] = [f"{match.group(1)}{', '.join(needed)};"] if needed else []
    return "\n".join(lines)


def _unconditional(lines: list[str]) -> list[str]:
    """Those that every compiler sees."""
    out, depth = [], 0
    for line in lines:
        depth += line.startswith("#if") - line.startswith("#endif")
        if depth == 0 and not line.startswith("#"):
            out.append(line)
    return out
