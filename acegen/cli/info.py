"""`acegen info`: what an input would compile to, or what a bundle holds; nothing is built."""

from __future__ import annotations

import argparse
from typing import Any

from acegen.cli.arguments import add_choices, add_json, add_subject, existing
from acegen.cli.output import seconds_text, size_text, table, to_json
from acegen.cli.progress import Progress

_COLUMNS = (  # key of a species, its title
    ("n_channels", "channels"),
    ("n_A", "A"),
    ("n_AA", "AA"),
    ("n_B", "B"),
    ("n_pair", "pair"),
    ("n_monomials", "monomials"),
    ("n_densities", "densities"),
    ("form", "form"),
    ("layout", "layout"),
    ("n_components", "X"),
    ("n_products", "products"),
    ("n_coefficients", "coefficients"),
)


def add_parser(subparsers: Any) -> None:
    """Declare the verb."""
    parser = subparsers.add_parser(
        "info",
        help="sizes, operation counts, code bytes and estimated compile time, before anything is built",
        description="Print what an input compiles to, or what a bundle holds. No C compiler is started.",
    )
    add_subject(parser)
    add_choices(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the sizes of an input or a bundle."""
    from acegen.cli.info_of import of_bundle, of_input

    path = existing(arguments.input)
    if path.is_dir():
        found = of_bundle(path)
    else:
        with Progress(3) as progress:
            progress.warn_if_large(path)
            found = of_input(path, arguments.precision, arguments.form, arguments.products, progress.step)
    print(to_json(found) if arguments.json else _text(found))
    return 0


def _text(found: dict[str, Any]) -> str:
    head = f"{found['name']}: {', '.join(found['symbols'])}, correlation order {found['correlation_order']}, "
    head += f"cutoff {found['cutoff']:g} A, {found['precision']}"
    kind = "linear in its weights" if found["linear"] else "with an embedding"
    kind += ", weights replaceable" if found["replaceable"] else ""
    lines = [head, f"read from {found['source']} (sha256:{found['digest'][:16]}), {kind}", "", _species(found), ""]
    lines += [_operations(found), ""]
    source, compiled = found["source_bytes"], found["estimates"]
    lines.append(
        f"C source {size_text(source['code'] + source['tables'])}: statements {size_text(source['code'])}, "
        f"tables {size_text(source['tables'])} ({size_text(found['table_bytes'])} in the object)"
    )
    lines.append(f"estimate: {seconds_text(compiled['compile_seconds'])} of C compiler (gcc -O2, one core)")
    if "thread_bytes" in compiled:
        lines.append(
            f"working memory per thread: {size_text(compiled['thread_bytes'])} "
            f"({compiled['atoms']:,} atoms of {compiled['neighbours']} neighbours, "
            f"{compiled['vector_bytes']}-byte vectors)"
        )
    return "\n".join(lines)


def _species(found: dict[str, Any]) -> str:
    known = [(key, title) for key, title in _COLUMNS if any(key in one for one in found["species"])]
    rows = [[one["symbol"], *(str(one.get(key, "-")) for key, _ in known)] for one in found["species"]]
    return table(["centre", *(title for _, title in known)], rows)


def _operations(found: dict[str, Any]) -> str:
    counted = found["operations"]
    text = "multiply-adds: " + ", ".join(f"{stage} {count:,}" for stage, count in counted.items())
    return (
        text
        + f" (edge: per neighbour, others: per atom; {found['operations_per_atom']:,} per atom with "
        + (f"{found['estimates']['neighbours']} neighbours)")
    )
