"""`acegen bench INPUT --design`: rows of the design matrix and basis gradients, their floors, ace-jax's rows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from acegen.bench.design import SIZES, Record, Wanted, measure_design
from acegen.bench.report import machine_line
from acegen.cli.output import record_written, table
from acegen.cli.progress import Progress
from acegen.errors import InputError


def measured(arguments: argparse.Namespace, source: Path) -> Record:
    """Measure, print the text or the record."""
    _refuse_others(arguments)
    wanted = Wanted(
        source=source,
        sizes=arguments.sizes or ((arguments.atoms,) if arguments.atoms else SIZES),
        peer_python=arguments.peer_python if "ace-jax" in arguments.against else None,
        repeats=arguments.repeats,
        lattice=arguments.lattice,
        lattice_constant=arguments.lattice_constant,
        rattle=arguments.rattle,
    )
    with Progress(1 + 2 * len(wanted.sizes)) as progress:
        record = measure_design(wanted, progress.step)
    if record_written(arguments.json, record):
        print(text_of(record))
    return record


def _refuse_others(arguments: argparse.Namespace) -> None:
    """Options that say something about energies and forces only."""
    if arguments.floors or arguments.end_to_end:
        option = "--floors" if arguments.floors else "--end-to-end"
        raise InputError(f"{option}: expected without --design, which has floors and sizes of its own")
    others = [name for name in arguments.against if name != "ace-jax"]
    if others:
        raise InputError(
            f"--against: expected ace-jax with --design, found {', '.join(others)}, which has no such rows"
        )


def text_of(record: Record) -> str:
    """Everything one record says."""
    potential = record["potential"]
    read = sorted(run["memory_gb"] for run in record["runs"])
    header = "atoms neighbours output us/atom GB/s of_bandwidth of_peak floor ace-jax ratio".split()
    rows = []
    for run in record["runs"]:
        for what in ("rows", "gradients"):
            theirs = what == "rows" and run["ace_jax_us"] is not None
            rows.append(
                [
                    str(run["atoms"]),
                    f"{run['neighbours']:.1f}",
                    what,
                    f"{run[f'{what}_us']:.2f}",
                    f"{run[f'{what}_gb']:.2f}",
                    f"{100 * run[f'{what}_bandwidth_fraction']:.0f} %",
                    _percent(run.get(f"{what}_peak_fraction")),
                    _floor(run, what),
                    f"{run['ace_jax_us']:.0f}" if theirs else "",
                    f"{run['ratio']:.0f}x" if theirs else "",
                ]
            )
    lines = [
        f"{potential['name']} ({potential['source']}): {potential['parameters']} parameters",
        f"machine: {machine_line(record['machine'])}",
        f"floors:  {read[0]:.1f} to {read[-1]:.1f} GB/s from memory, {record['peak']:.1f} GFLOP/s float64, one core",
        "",
        table(header, rows),
        "",
        "rows: energy, forces and virial of the whole structure; gradients: dB/dr_ij of every neighbour",
        "floor: what takes longest at least, the bytes of the output or the multiply-adds",
    ]
    return "\n".join([*lines, *(f"note: {note}" for note in record["notes"])])


def _floor(run: Record, what: str) -> str:
    peak = run.get(f"{what}_peak_fraction")
    return "" if peak is None else "bytes" if run[f"{what}_bandwidth_fraction"] > peak else "multiply-adds"


def _percent(fraction: Any) -> str:
    return "" if fraction is None else f"{100 * fraction:.0f} %"
