"""`acegen export`: an input as a `.yace` file, for the programs that read those."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from acegen.cli.output import size_text


def add_parser(subparsers: Any) -> None:
    """Declare the verb."""
    parser = subparsers.add_parser(
        "export",
        help="write an input as a .yace file",
        description="Write a specification or a potential as a .yace file, exactly. The radial functions must be ones "
        "that PACE has (radial.kind ChebExpCos, ChebPow or SBessel) and the harmonics spherical.",
    )
    parser.add_argument("input", metavar="INPUT", type=Path, help="specification or potential")
    parser.add_argument("-o", "--out", metavar="FILE.yace", type=Path, required=True, help="file to write")


def run(arguments: argparse.Namespace) -> int:
    """Write the file and say so."""
    import acegen

    path = acegen.export(arguments.input, arguments.out)
    print(f"{path}: {size_text(path.stat().st_size)}")
    return 0
