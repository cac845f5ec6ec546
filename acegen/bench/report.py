"""Earlier records: reading them, and the Markdown table of several."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acegen.bench.cuda_report import device_markdown
from acegen.bench.peers import NAMES
from acegen.bench.predict import prediction_markdown
from acegen.bench.report_floors import around_markdown, floors_markdown, sizes_markdown
from acegen.bench.session import FORMAT, Record
from acegen.errors import InputError

AGREES = 1e-4  # of max|F|: tables of the peers are within 1e-5; more is another model


def machine_line(machine: dict[str, Any]) -> str:
    """Processor, compiler, flags and date in one line."""
    return (
        f"{machine['cpu']}, {machine['vectors']}, {machine['cores']} cores; {machine['compiler']}, "
        f"{machine['flags']}; {machine['date']}"
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
        known = isinstance(record, dict) and record.get("format") == FORMAT
        if not known or not {"runs", "predictions"} & set(record):
            raise InputError(f"{path}: expected a record of `acegen bench --json` of format {FORMAT}, found another")
        records.append(record)
    return records


def markdown_of(records: Sequence[Record]) -> str:
    """Tables of the CPU, of cards, and of predictions for cards, each where there are such records."""
    on_cpu = [record for record in records if "kind" not in record]
    lines = [cpu_markdown(on_cpu)] if on_cpu else []
    lines += device_markdown([record for record in records if record.get("kind") == "cuda"])
    lines += prediction_markdown([record for record in records if record.get("kind") == "prediction"])
    return "\n".join(lines).lstrip("\n")


def cpu_markdown(records: Sequence[Record]) -> str:
    """One row per record, largest size, one thread; the machines below; then floors and sizes where recorded."""
    header = ["potential", "neighbours", "functions", "f64 µs/atom (min)", "of peak", "f32 µs/atom (min)", "f64/f32"]
    peers = [peer for peer in NAMES if any(run["evaluator"] == peer for one in records for run in one["runs"])]
    header += [title for peer in peers for title in (f"{peer} µs/atom", f"× {peer}")] + ["generate + compile"]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for record in records:
        lines.append("| " + " | ".join(_cells(record, peers)) + " |")
    machines = sorted({machine_line(record["machine"]) for record in records})
    peaks = [record["peak"] for record in records]
    best = {name: max(peak[name] for peak in peaks) for name in ("float64", "float32")} if peaks else {}
    lines += ["", *machines]
    lines += (
        [f"Peak of one core: {best['float64']:.1f} GFLOP/s float64, {best['float32']:.1f} float32."] if best else []
    )
    notes = sorted({note for record in records for note in _wrong_peers(record)})
    return "\n".join([*lines, *notes, *floors_markdown(records), *sizes_markdown(records), *around_markdown(records)])


def _cells(record: Record, peers: Sequence[str]) -> list[str]:
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
    for peer in peers:
        run = runs.get((peer, "float64"))
        same = any(a["evaluator"] == peer and a.get("forces", 1.0) <= AGREES for a in record["agreement"])
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
        if "version" in line and line.get("forces", 1.0) > AGREES:
            rows = f" ({line['rows']} rows)" if line.get("rows") else ""
            why = (
                line["compared"] + rows
                if "forces" not in line
                else f"{line['compared']}; forces differ by {line['forces']:.1e} of max|F|"
            )
            notes.append(f"\\* {record['potential']['name']}, {line['evaluator']}: {why}.")
    return notes
