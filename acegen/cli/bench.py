"""`acegen bench`: time per atom, share of the floating-point peak, compile seconds, ratios to other evaluators."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from acegen.aside import check_place
from acegen.cli.arguments import FORMS, PRECISIONS, PRODUCTS, add_device, positive
from acegen.cli.progress import Progress
from acegen.errors import InputError

PEERS = ("pyace", "pyace-native", "ace-jax")
PLOTS = (".svg", ".png")

_DESCRIPTION = """Time energy, forces and virial on a perturbed crystal, neighbour list (0.5 A skin) prepared
beforehand. One thread: processor time; several: wall time. Every evaluator gets one sample in each round, ratios
are ratios of medians. GFLOP/s count the useful multiply-adds of the manifest, twice each; the peak is measured."""


def add_parser(subparsers: Any) -> None:
    """Declare the verb."""
    parser = subparsers.add_parser("bench", help="speed, share of the peak, compile time", description=_DESCRIPTION)
    add = parser.add_argument
    add("input", metavar="INPUT|DIR", type=Path, nargs="?", help="specification, potential or bundle folder")
    add("--atoms", type=positive, help="size of the structure (default: 2048)")
    add("--sizes", type=_numbers, help="several sizes, e.g. 8,64,512 (instead of --atoms; on a card 512 to 262,144)")
    choice = _one_of("precision", PRECISIONS)
    add("--precision", type=choice, help="float64,float32 or one of them (default: float64)")
    add("--threads", type=_numbers, default=(1,), help="numbers of threads, e.g. 1,2 (default: 1)")
    add("--repeats", type=positive, default=7, help="samples of every evaluator (default: %(default)s)")
    add("--against", type=_one_of("peer", PEERS), default=(), help=f"other evaluators, of {','.join(PEERS)}")
    add("--peer-python", default=sys.executable, help="Python that has them installed (default: this one)")
    add("--native-python", default=sys.executable, help="the same for pyace-native, built with -march=native")
    add("--form", choices=FORMS, default="auto", help="form of the product basis (default: cheapest)")
    add("--products", choices=PRODUCTS, default="auto", help="straight-line code or loops over tables")
    add("--cached", action="store_true", help="use the kernel cache; compile seconds are not measured then")
    add("--lattice", help="sc, bcc, fcc or diamond (default: that of the element)")
    add("--lattice-constant", type=float, metavar="A", help="in angstrom (default: from the elements)")
    add("--rattle", type=_length, default=0.05, metavar="A", help="random displacement (default: %(default)s)")
    add("--floors", action="store_true", help="operations, bytes, least times and measured times by stage")
    add("--design", action="store_true", help="rows of the design matrix and basis gradients instead of energies")
    add("--end-to-end", action="store_true", help="threads, a batch of small structures, few atoms, steps from ASE")
    add_device(parser)
    add("--predict", action="store_true", help="with --device cuda: from counted work and data sheets, needs no card")
    add("--card", type=_words, metavar="NAME", help="to predict for: h200, h100, a100, v100, rtx4090 (default: h200)")
    add("--json", metavar="FILE", help="write the record to FILE, or to the terminal with -")
    add(
        "--plot",
        metavar="FILE",
        type=Path,
        help="draw (.svg, .png) time against basis size and throughput against system size",
    )
    add("--table", metavar="RECORD", type=Path, nargs="+", help="measure nothing: Markdown table of earlier records")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print, or print the table of earlier records."""
    if arguments.plot is not None and arguments.plot.suffix not in PLOTS:  # before minutes of measurement
        raise InputError(f"--plot: expected a file name ending in {' or '.join(PLOTS)}, found {str(arguments.plot)!r}")
    for path in (arguments.plot, arguments.json):
        if path is not None and str(path) != "-":
            check_place(Path(path))
    if arguments.table is not None:
        from acegen.bench.report import markdown_of, read_records

        records = read_records(arguments.table)
        print(markdown_of(records))
    elif arguments.input is None:
        raise InputError("bench: expected an input, a bundle folder, or --table with earlier records; found none")
    else:
        records = [_measured(arguments)]
    if arguments.plot is not None:
        from acegen.bench.plot import write_plot

        on_cpu = [record for record in records if "kind" not in record]
        if not on_cpu:
            raise InputError("--plot: expected a record of the CPU among them, found none")
        write_plot(arguments.plot, on_cpu)
    return 0


def _measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure, print the text or the record."""
    source = arguments.input.expanduser()
    if not source.exists():
        raise InputError(f"{source}: expected a specification, a potential or a bundle folder, found nothing")
    if arguments.device != "cpu":
        from acegen.cli.bench_cuda import measured

        return measured(arguments, source)
    if arguments.predict or arguments.card:
        raise InputError("--predict: expected with --device cuda, found --device cpu")
    if arguments.design:
        from acegen.cli.bench_design import measured as design_measured

        return design_measured(arguments, source)
    from acegen.bench.session import Wanted, measure
    from acegen.cli.bench_text import text_of
    from acegen.cli.output import record_written

    wanted = Wanted(
        source=source,
        sizes=arguments.sizes or (arguments.atoms or 2048,),
        precisions=arguments.precision or ("float64",),
        threads=arguments.threads,
        against=arguments.against,
        peer_python=arguments.peer_python,
        repeats=arguments.repeats,
        form=arguments.form,
        products=arguments.products,
        cached=arguments.cached,
        lattice=arguments.lattice,
        lattice_constant=arguments.lattice_constant,
        rattle=arguments.rattle,
        floors=arguments.floors,
        native_python=arguments.native_python,
        around=arguments.end_to_end,
    )
    steps = len(wanted.precisions) + (1 + len(wanted.precisions) if wanted.floors else 0) + 4 * wanted.around
    steps += len(wanted.sizes) * (len(wanted.against) + wanted.repeats + 1)
    with Progress(steps) as progress:
        record = measure(wanted, progress.step)
    if record_written(arguments.json, record):
        print(text_of(record))
    return record


def _numbers(text: str) -> tuple[int, ...]:
    """Integers >= 1 separated by commas, for argparse."""
    return tuple(positive(part.strip()) for part in text.split(","))


def _words(text: str) -> tuple[str, ...]:
    """Words separated by commas, for argparse."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",")))


def _length(text: str) -> float:
    """A length >= 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < 10.0:
        raise argparse.ArgumentTypeError(f"expected a length in angstrom from 0 to 10, found {text!r}")
    return value


def _one_of(what: str, allowed: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """Words separated by commas, for argparse."""

    def read(text: str) -> tuple[str, ...]:
        words = _words(text)
        for word in words:
            if word not in allowed:
                raise argparse.ArgumentTypeError(f"unknown {what} {word!r}, expected one of {', '.join(allowed)}")
        return words

    return read
