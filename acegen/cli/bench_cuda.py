"""`acegen bench --device cuda`: measures on a card, or predicts for one that is not there."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from acegen.cli.output import record_written
from acegen.cli.progress import Progress
from acegen.errors import InputError

Record = dict[str, Any]


def measured(arguments: argparse.Namespace, source: Path) -> Record:
    """Measure or predict, print the text or the record."""
    _refuse(arguments)
    return _predicted(arguments, source) if arguments.predict else _timed(arguments, source)


def _refuse(arguments: argparse.Namespace) -> None:
    """Options that mean nothing here.

    Raises:
        InputError: names one.
    """
    for option, given in (
        ("--against", arguments.against),
        ("--end-to-end", arguments.end_to_end),
        ("--plot", arguments.plot),
        ("--atoms", arguments.atoms),
    ):
        if given:
            instead = " (use --sizes)" if option == "--atoms" else ""
            raise InputError(f"{option}: expected with --device cpu only, found --device {arguments.device}{instead}")
    if arguments.predict and arguments.device != "cuda":
        raise InputError(f"--predict: expected with --device cuda, found --device {arguments.device}")
    if arguments.card and not arguments.predict:
        raise InputError("--card: expected with --predict only; --device cuda:<number> chooses a card that is there")


def _predicted(arguments: argparse.Namespace, source: Path) -> Record:
    from acegen.bench.predict import CARDS, Wanted, predict, prediction_text

    for name in arguments.card or ():
        if name not in CARDS:
            raise InputError(f"--card: unknown card {name!r}, expected one of {', '.join(CARDS)}")
    wanted = Wanted(
        source=source,
        cards=arguments.card or ("h200",),
        precisions=arguments.precision or ("float64", "float32"),
        form=arguments.form,
        products=arguments.products,
        lattice=arguments.lattice,
        lattice_constant=arguments.lattice_constant,
        rattle=arguments.rattle,
    )
    record = predict(wanted)
    if record_written(arguments.json, record):
        print(prediction_text(record))
    return record


def _timed(arguments: argparse.Namespace, source: Path) -> Record:
    from acegen.bench.cuda_session import SIZES, Wanted, measure_on_device
    from acegen.cli.bench_cuda_text import text_of

    wanted = Wanted(
        source=source,
        device=arguments.device,
        sizes=arguments.sizes or SIZES,
        precisions=arguments.precision or ("float64",),
        threads=arguments.threads,
        repeats=arguments.repeats,
        form=arguments.form,
        products=arguments.products,
        cached=arguments.cached,
        lattice=arguments.lattice,
        lattice_constant=arguments.lattice_constant,
        rattle=arguments.rattle,
        floors=arguments.floors,
    )
    with Progress(wanted.steps) as progress:
        record = measure_on_device(wanted, progress.step)
    if record_written(arguments.json, record):
        print(text_of(record))
    return record
