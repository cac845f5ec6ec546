"""Stage 5: C text in 100 columns, so that templates need not count; layout only, never a token changed."""

from __future__ import annotations

import re
import textwrap

WIDTH = 100
_INDENT = 4
_COMMENT_BLOCK = re.compile(r"(\s*\* +)(\S.*)")
_PROSE = re.compile(r"(\s*)(?:/\*| \*) ((?:[A-Za-z0-9(|]|\*/).*)")  # a line of a comment that goes on or ends here
_RULE = re.compile(r"(\s*/\* -.*?)-* \*/")
_WHOLE_COMMENT = re.compile(r"(\s*)/\* (.*) \*/")
_CODE_AND_COMMENT = re.compile(r"(\s*)(\S.*?)\s*(/\* (?:(?!\*/).)* \*/)")
_OPENING, _CLOSING = "([{", ")]}"
_BEFORE = ("+ ", "- ", "* ", "&& ", "|| ", "? ", ": ")  # an operator opens the next line
_AFTER = (",", ";", "=")  # these end a line


def wrap(text: str) -> str:
    """Break the lines of C source that are longer than 100 columns."""
    out: list[str] = []
    lines = text.split("\n")
    at, inside = 0, False  # of a comment of several lines
    while at < len(lines):
        start, line = at, lines[at]
        at += 1
        if len(line) <= WIDTH:
            out.append(line)
        elif _continues(line, inside):
            paragraph, at = _paragraph(lines, start)
            out += paragraph
        else:
            out += _wrapped(line)
        for passed in lines[start:at]:
            if "/*" in passed or "*/" in passed:
                inside = passed.rfind("/*") > passed.rfind("*/")
    return "\n".join(out)


def _continues(line: str, inside: bool) -> bool:
    """Whether this is a line of prose in a comment of several lines, the first one unless `inside`."""
    opens = line.lstrip().startswith("/*") and "*/" not in line
    return _PROSE.fullmatch(line) is not None and (inside or opens)


def _paragraph(lines: list[str], at: int) -> tuple[list[str], int]:
    """The comment from line `at` on, filled anew as far as words move to the next line; and the first line after."""
    opening, margin = "/*" in lines[at][:WIDTH], ""
    rest = ""
    filled: list[str] = []
    while at < len(lines):
        found = _PROSE.fullmatch(lines[at])
        if found is None or (filled and "/*" in lines[at]):
            break
        margin = found[1]
        first = f"{margin}/* " if opening and not filled else f"{margin} * "
        words = f"{rest}{'  ' if rest.endswith('.') else ' '}{found[2]}".strip()
        at += 1
        ended = words.endswith("*/")
        pieces = textwrap.wrap(words, WIDTH, initial_indent=first, subsequent_indent=f"{margin} * ")
        if len(pieces) == 1 or ended:
            return [*filled, *(f"{margin} */" if piece == f"{margin} * */" else piece for piece in pieces)], at
        filled += pieces[:-1]
        rest = pieces[-1][len(margin) + 3 :]
    return [*filled, f"{margin} * {rest}"], at


def _wrapped(line: str) -> list[str]:
    """One long line as several; preprocessor lines only lose their comment, to a line above."""
    if line.endswith("\\"):
        return [line]
    if found := _RULE.fullmatch(line):
        return [f"{found[1]}{'-' * (WIDTH - len(found[1]) - 3)} */"] if len(found[1]) < WIDTH - 3 else [line]
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
