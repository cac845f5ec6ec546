"""Stage 5: Plan -> C text."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from acegen.emit.environment import environment
from acegen.emit.prune import prune
from acegen.emit.wrap import WIDTH, wrap
from acegen.manifest import COMMITTEE, EVALUATE, SITE, Argument
from acegen.maths.switching import switching_section
from acegen.plan.types import Plan


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a bundle."""

    path: str
    text: str


def documented(argument: Argument, name: str) -> str:
    """One argument of a C function, for the comment over its prototype."""
    shape = f"[{','.join(argument.shape)}]" if argument.shape else ""
    unit = f"; {argument.unit}" if argument.unit else ""
    null = "; NULL allowed" if argument.optional and "NULL" not in argument.meaning else ""
    start = f" *   {argument.name + ' ' + shape:<33} {argument.intent:<5}"
    lines = textwrap.wrap(argument.meaning.replace("<name>", name) + unit + null, WIDTH - len(start))
    return f"\n *{' ' * (len(start) - 2)}".join([start[len(" *   ") :] + lines[0], *lines[1:]])


def tidy(text: str) -> str:
    """No trailing blanks, no runs of empty lines."""
    out: list[str] = []
    for line in (raw.rstrip() for raw in text.split("\n")):
        if line or (out and out[-1]):
            out.append(line)
    return "\n".join(out).rstrip("\n") + "\n"


def render_c(plan: Plan) -> tuple[SourceFile, ...]:
    """<name>.h and <name>.c."""
    jinja = environment()
    jinja.filters["documented"] = documented
    jinja.filters["largest_cutoff"] = lambda p: max(bond.cutoff for bond in p.bonds)
    values = {
        "plan": plan,
        "forward": False,
        "tables": {"evaluate": EVALUATE, "site": SITE, "committee": COMMITTEE},
        "switching": switching_section(),
    }
    return tuple(
        SourceFile(
            f"{plan.name}.{suffix}", wrap(tidy(prune(jinja.get_template(f"c/module.{suffix}.j2").render(values))))
        )
        for suffix in ("h", "c")
    )
