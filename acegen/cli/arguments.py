"""Arguments that several verbs share, worded once."""

from __future__ import annotations

import argparse
from pathlib import Path

from acegen.errors import LoadError

PRECISIONS = ("float64", "float32")
FORMS = ("auto", "coupled", "pair", "flat")
PRODUCTS = ("auto", "unrolled", "tiled")


def add_choices(parser: argparse.ArgumentParser) -> None:
    """--precision, --form and --products: how the kernel is laid out."""
    add_precision(parser)
    parser.add_argument("--form", choices=FORMS, default="auto", help="form of the product basis (default: cheapest)")
    parser.add_argument(
        "--products",
        choices=PRODUCTS,
        default="auto",
        help="straight-line code or loops over tables (default: straight lines where they are short)",
    )


def add_precision(parser: argparse.ArgumentParser) -> None:
    """--precision alone."""
    parser.add_argument("--precision", choices=PRECISIONS, help="arithmetic of the kernel (default: as the input says)")


def add_subject(parser: argparse.ArgumentParser) -> None:
    """The positional INPUT|DIR."""
    parser.add_argument("input", metavar="INPUT|DIR", type=Path, help="specification, potential or bundle folder")


def existing(path: Path) -> Path:
    """INPUT|DIR as a path that is there.

    Raises:
        LoadError: it is not.
    """
    found = path.expanduser()
    if not found.exists():
        raise LoadError(f"{found}: expected a bundle folder, a specification or a potential, found nothing")
    return found


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device."""
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:<number> (default: cpu)")


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def positive(text: str) -> int:
    """An integer >= 1, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected an integer >= 1, found {text!r}")
    return value
