"""Records as text for a terminal and as the Markdown table of several of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acegen.bench.session import FORMAT, Record
from acegen.cli.output import seconds_text, size_text, table
from acegen.errors import InputError

_AGREES = 1e-4  # of max|F|: tables of the peers are within 1e-5; more is another model


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
    lines += [_agreement_line(line) for line in record["agreement"]]
    lines += [f"note: {note}" for note in record["notes"]]
    return "\n".join(lines).rstrip()


def machine_line(machine: dict[str, Any]) -> str:
    """Processor, compiler, flags and date in one line."""
    return (
        f"{machine['cpu']}, {machine['vectors']}, {machine['cores']} cores; {machine['compiler']}, "
        f"{machine['flags']}; {machine['date']}"
    )


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


def _agreement_line(line: dict[str, Any]) -> str:
    who = f"{line['evaluator']} {line.get('version') or ''}".strip()
    rows = f", {line['rows']} rows" if line.get("rows") else ""
    if "forces" not in line:
        return f"{who}: {line['compared']}{rows}"
    verdict = "" if line["forces"] <= _AGREES else "  ** does not agree **"
    return (
        f"{who}: {line['compared']}{rows}, {line['n_atoms']:,} atoms: energy differs by {line['energy']:.1e} eV/atom, "
        f"forces by {line['forces']:.1e} of max|F|{verdict}"
    )


def read_records(paths: Sequence[Path]) -> list[Record]:
    """Records written by `acegen bench --json`.

    Raises:
        InputError: a file is missing or not such a record.
    """
    records = []
    for path in paths:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise InputError(f"{path}: expected a record of `acegen bench --json`, found no JSON ({error})") from error
        if not isinstance(record, dict) or record.get("format") != FORMAT or "runs" not in record:
            raise InputError(f"{path}: expected a record of `acegen bench --json` of format {FORMAT}, found another")
        records.append(record)
    return records


def markdown_of(records: Sequence[Record]) -> str:
    """One row per record, largest size, one thread; the machines below."""
    header = ["potential", "neighbours", "functions", "f64 µs/atom (min)", "of peak", "f32 µs/atom (min)", "f64/f32"]
    header += ["pyace µs/atom", "× pyace", "ace-jax µs/atom", "× ace-jax", "generate + compile"]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for record in records:
        lines.append("| " + " | ".join(_cells(record)) + " |")
    machines = sorted({machine_line(record["machine"]) for record in records})
    peaks = [record["peak"] for record in records]
    best = {name: max(peak[name] for peak in peaks) for name in ("float64", "float32")} if peaks else {}
    lines += ["", *machines]
    lines += (
        [f"Peak of one core: {best['float64']:.1f} GFLOP/s float64, {best['float32']:.1f} float32."] if best else []
    )
    notes = sorted({note for record in records for note in _wrong_peers(record)})
    return "\n".join([*lines, *notes])


def _cells(record: Record) -> list[str]:
    most = max(run["n_atoms"] for run in record["runs"])
    runs = {
        (run["evaluator"], run["precision"]): run
        for run in record["runs"]
        if run["n_atoms"] == most and run["threads"] == 1
    }
    double, single = runs.get(("acegen", "float64")), runs.get(("acegen", "float32"))
    first = double or single
    cells = [record["potential"]["name"], f"{first['neighbours']:.0f}" if first else ""]
    cells.append(f"{record['potential']['functions']:,}")
    cells.append(_microseconds(double))
    cells.append(f"{double['peak_fraction']:.0%}" if double else "")
    cells.append(_microseconds(single))
    cells.append(f"{double['us_per_atom'] / single['us_per_atom']:.2f}" if double and single else "")
    for peer in ("pyace", "ace-jax"):
        run = runs.get((peer, "float64"))
        same = any(a["evaluator"] == peer and a.get("forces", 1.0) <= _AGREES for a in record["agreement"])
        cells.append(f"{run['us_per_atom']:.1f}{'' if same else ' *'}" if run else "")
        cells.append(f"{run['ratio']:.1f}" if run and "ratio" in run else "")
    kernel = record["kernels"][0]
    seconds = [kernel["generate_seconds"], kernel["compile_seconds"]]
    cells.append(" + ".join(f"{value:.1f}" for value in seconds) + " s" if None not in seconds else "")
    return cells


def _microseconds(run: dict[str, Any] | None) -> str:
    return f"{run['us_per_atom']:.2f} ({run['us_per_atom_min']:.2f})" if run else ""


def _wrong_peers(record: Record) -> list[str]:
    """Footnotes of peers that did not compute the same numbers."""
    notes = []
    for line in record["agreement"]:
        if "version" in line and line.get("forces", 1.0) > _AGREES:
            rows = f" ({line['rows']} rows)" if line.get("rows") else ""
            why = (
                line["compared"] + rows if "forces" not in line else f"forces differ by {line['forces']:.1e} of max|F|"
            )
            notes.append(f"\\* {record['potential']['name']}, {line['evaluator']}: {why}.")
    return notes
