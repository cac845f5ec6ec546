"""What `acegen bench` prints of a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acegen.bench.end_to_end import text_of as around_text
from acegen.bench.report import AGREES, machine_line
from acegen.bench.report_floors import fraction_cells, traffic_text
from acegen.bench.session import Record
from acegen.cli.output import seconds_text, size_text, table


def text_of(record: Record) -> str:
    """Everything one record says."""
    machine, potential, crystal, peak = (record[key] for key in ("machine", "potential", "crystal", "peak"))
    lines = [
        f"{potential['name']} ({potential['source']}): {', '.join(potential['species'])}, "
        f"correlation order {potential['correlation_order']}, {potential['functions']} functions, "
        f"cutoff {potential['cutoff']:g} A",
        f"machine: {machine_line(machine)}",
        f"peak:    {peak['float64']:.1f} GFLOP/s float64, {peak['float32']:.1f} float32, one core",
        f"crystal: {crystal['lattice']} {crystal['constant']:.3f} A, rattled {crystal['rattle']:g} A, "
        f"list with {crystal['skin']:g} A skin",
    ]
    lines += [f"kernel:  {_kernel_line(kernel)}" for kernel in record["kernels"]]
    lines += ["", _runs(record["runs"]), ""]
    for floors in record.get("floors", ()):
        lines += [_floors(floors, record["bandwidth"]), ""]
    if "end_to_end" in record:
        lines += [around_text(record["end_to_end"]), ""]
    lines += [_agreement_line(line) for line in record["agreement"]]
    lines += [f"note: {note}" for note in record["notes"]]
    return "\n".join(lines).rstrip()


def _kernel_line(kernel: dict[str, Any]) -> str:
    parts = [f"{kernel['precision']}, {size_text(kernel['source_bytes'])} of C"]
    for verb in ("generate", "compile"):
        seconds = kernel[f"{verb}_seconds"]
        parts += [f"{verb} {seconds_text(seconds)}"] if seconds is not None else []
    return ", ".join(parts)


def _runs(runs: Sequence[dict[str, Any]]) -> str:
    header = "evaluator precision threads atoms neighbours us/atom (min) atom-steps/s GFLOP/s peak ratio".split()
    rows = []
    for run in runs:
        rows.append(
            [
                run["evaluator"],
                run["precision"],
                str(run["threads"]),
                f"{run['n_atoms']:,}",
                f"{run['neighbours']:.1f}",
                f"{run['us_per_atom']:.3f}",
                f"({run['us_per_atom_min']:.3f})",
                f"{run['atom_steps_per_s']:,}",
                f"{run['gflops']:.1f}" if "gflops" in run else "",
                f"{run['peak_fraction']:.0%}" if "peak_fraction" in run else "",
                f"{run['ratio']:.2f}x" if "ratio" in run else "",
            ]
        )
    return table(header, rows, left=2)


def _floors(floors: dict[str, Any], bandwidth: dict[str, float]) -> str:
    """Least time of every stage, measured time of the groups, fraction reached."""
    roofs = ", ".join(f"{level} {rate:.0f}" for level, rate in bandwidth.items())
    title = f"floors, {floors['precision']}, per atom at the peak and at GB/s from {roofs}:"
    stages = [
        [stage, f"{one['operations']:,}", traffic_text(one["bytes"]), f"{one['floor_us']:.3f}"]
        for stage, one in floors["stages"].items()
    ]
    groups = [
        [name, " + ".join(one.get("stages", ("everything",))), *fraction_cells(one)]
        for name, one in {**floors["groups"], "whole": floors["whole"]}.items()
    ]
    first = table(["stage", "multiply-adds", "bytes", "floor us"], stages)
    second = table(["measured", "stages", "floor us", "us/atom", "reached"], groups, left=2)
    return f"{title}\n{first}\n\n{second}"


def _agreement_line(line: dict[str, Any]) -> str:
    who = f"{line['evaluator']} {line.get('version') or ''}".strip()
    rows = f", {line['rows']} rows" if line.get("rows") else ""
    if "forces" not in line:
        return f"{who}: {line['compared']}{rows}"
    verdict = "" if line["forces"] <= AGREES else "  ** does not agree **"
    return (
        f"{who}: {line['compared']}{rows}, {line['n_atoms']:,} atoms: energy differs by {line['energy']:.1e} eV/atom, "
        f"forces by {line['forces']:.1e} of max|F|{verdict}"
    )
