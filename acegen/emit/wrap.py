"""Stage 5: C text in 100 columns, so that templates need not count; layout only, never a token changed."""

from __future__ import annotations

import re
import textwrap

WIDTH = 100
_INDENT = 4
_COMMENT_BLOCK = re.compile(r"(\s*\* +)(\S.*)")
_WHOLE_COMMENT = re.compile(r"(\s*)/\* (.*) \*/")
_CODE_AND_COMMENT = re.compile(r"(\s*)(\S.*?)\s*(/\* (?:(?!\*/).)* \*/)")
_OPENING, _CLOSING = "([{", ")]}"
_BEFORE = ("+ ", "- ", "* ", "&& ", "|| ", "? ", ": ")  # an operator opens the next line
_AFTER = (",", ";", "=")  # these end a line


def wrap(text: str) -> str:
    """Break the lines of C source that are longer than 100 columns."""
    out: list[str] = []
    for line in text.split("\n"):
        out += [line] if len(line) <= WIDTH else _wrapped(line)
    return "\n".join(out)


def _wrapped(line: str) -> list[str]:
    """One long line as several; preprocessor lines only lose their comment, to a line above."""
    if line.endswith("\\"):
        return [line]
    if found := _WHOLE_COMMENT.fullmatch(line):
        first, *rest = textwrap.wrap(found[2], WIDTH - len(found[1]) - 6)
        return [f"{found[1]}/* {first}", *(f"{found[1]} * {more}" for more in rest[:-1]), f"{found[1]} * {rest[-1]} */"]
    if found := _COMMENT_BLOCK.fullmatch(line):
        return textwrap.wrap(found[2], WIDTH, initial_indent=found[1], subsequent_indent=found[1])
    if found := _CODE_AND_COMMENT.fullmatch(line):
        parts = [f"{found[1]}{found[3]}", f"{found[1]}{found[2]}"]
        return [piece for part in parts for piece in ([part] if len(part) <= WIDTH else _wrapped(part))]
    if line.lstrip().startswith("#"):
        return [line]
    return _broken(line)


def _broken(line: str) -> list[str]:
    """A long statement over several lines, broken where the fewest brackets are open."""
    indent = line[: len(line) - len(line.lstrip())]
    out: list[str] = []
    rest = line
    while len(rest) > WIDTH:
        at = _best_break(rest)
        if at is None:
            break
        out.append(rest[:at].rstrip())
        rest = indent + " " * _INDENT + rest[at:].lstrip()
    return [*out, rest]


def _best_break(line: str) -> int | None:
    """Where to break: the last place of the lowest depth, not too far left; None without any."""
    depth, quoted = 0, False
    best: tuple[int, int] | None = None
    indent = len(line) - len(line.lstrip())
    earliest = indent + (WIDTH - indent) // 3
    for at, sign in enumerate(line[: WIDTH + 1]):
        if sign == '"' and line[at - 1] != "\\":
            quoted = not quoted
        if quoted:
            continue
        depth += (sign in _OPENING) - (sign in _CLOSING)
        if at < earliest or line[at - 1] != " ":
            continue
        before, after = line.startswith(_BEFORE, at), line[at - 2] in _AFTER
        rank = 2 * depth + (not before and line[at - 2] == "=")  # better between the terms of a sum than before it
        if (before or after) and (best is None or rank <= best[0]):
            best = (rank, at)
    return best and best[1]
