"""Markdown tables of records beyond the first: floors and fractions reached, throughput by size, around the kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from acegen.bench.session import Record


def traffic_text(moved: Mapping[str, float]) -> str:
    """Bytes by level, nearest first."""
    return ", ".join(f"{level} {moved[level]:,.0f}" for level in ("L1", "L2", "L3", "memory") if level in moved)


def fraction_cells(one: Mapping[str, Any]) -> list[str]:
    """Floor, measured time, fraction reached."""
    fraction = one["fraction"]
    return [
        f"{one['floor_us']:.2f}",
        f"{one['measured_us']:.2f}",
        f"{fraction:.0%}" if fraction is not None and fraction < 2.0 else "-",
    ]


def floors_markdown(records: Sequence[Record]) -> list[str]:
    """Lines of two tables: per group floor / measured (fraction), and operations with floors by stage."""
    found = [(record, floors) for record in records for floors in record.get("floors", ())]
    if not found:
        return []
    groups = list(found[0][1]["groups"])
    stages = list(found[0][1]["stages"])
    lines = ["", "Floor / measured µs per atom (fraction of the floor reached), by what can be timed apart:", ""]
    lines += _head(["potential", "precision", "neighbours (slots)", *groups, "whole"])
    for record, floors in found:
        cells = [
            record["potential"]["name"],
            floors["precision"],
            f"{floors['neighbours']:.0f} ({floors['slots']:.0f})",
        ]
        for one in [*(floors["groups"][group] for group in groups), floors["whole"]]:
            least, measured, fraction = fraction_cells(one)
            cells.append(f"{least} / {measured} ({fraction})")
        lines.append(_row(cells))
    lines += ["", "Multiply-adds per atom and, behind them, the floor in µs, by stage:", ""]
    lines += _head(["potential", "precision", *stages])
    for record, floors in found:
        cells = [record["potential"]["name"], floors["precision"]]
        for stage in stages:
            one = floors["stages"][stage]
            cells.append(f"{one['operations']:,} {one['floor_us']:.2f}")
        lines.append(_row(cells))
    roofs = sorted({_roofs(record) for record, _ in found})
    return [*lines, "", *roofs]


def sizes_markdown(records: Sequence[Record]) -> list[str]:
    """Lines of the table of records with several sizes: atom-steps per second."""
    runs = [(r["potential"]["name"], run) for r in records if len(_sizes(r)) > 1 for run in r["runs"]]
    if not runs:
        return []
    kinds = list(dict.fromkeys((name, run["evaluator"], run["precision"], run["threads"]) for name, run in runs))
    sizes = sorted({run["n_atoms"] for _, run in runs})
    lines = [
        "",
        "Atom-steps per second by size of the structure:",
        "",
        *_head(["evaluator", *(f"{n:,}" for n in sizes)]),
    ]
    for kind in kinds:
        found = {
            run["n_atoms"]: run["atom_steps_per_s"]
            for name, run in runs
            if (name, run["evaluator"], run["precision"], run["threads"]) == kind
        }
        name, evaluator, precision, threads = kind
        title = f"{name}, {evaluator} {precision}, {threads} thread{'s' if threads > 1 else ''}"
        lines.append(_row([title, *(f"{found[n]:,}" if n in found else "" for n in sizes)]))
    return lines


def around_markdown(records: Sequence[Record]) -> list[str]:
    """Lines of the table of what is around the kernel."""
    found = [(record["potential"]["name"], record["end_to_end"]) for record in records if "end_to_end" in record]
    if not found:
        return []
    titles = ["potential", "threads: speedup", "batch of small / one large, per atom", "lists of the batch"]
    few = [one["atoms"] for one in found[0][1]["few"]]
    titles += [f"{n} atoms: kernel, + call, + moved µs" for n in few]
    titles += ["ASE step / kernel", "new list, kernels"]
    lines = ["", "Around the kernel (see `acegen bench --end-to-end`):", "", *_head(titles)]
    for name, one in found:
        cells = [name, f"{one['threads']['threads']}: {one['threads']['speedup']:.2f}", f"{one['batch']['ratio']:.2f}"]
        cells.append(f"{1e3 * one['batch']['build_seconds_batch']:.1f} ms")
        for small in one["few"]:
            kernel = small["seconds_kernel"]
            more = (1e6 * (small[key] - kernel) for key in ("seconds_evaluate", "seconds_moved"))
            cells.append(f"{1e6 * kernel:.1f}, " + ", ".join(f"+{extra:.1f}" for extra in more))
        cells.append(f"{one['ase']['ratio']:.2f}")
        cells.append(f"{one['ase']['seconds_list'] / one['ase']['seconds_kernel']:.2f}")
        lines.append(_row(cells))
    return lines


def _sizes(record: Record) -> set[int]:
    return {run["n_atoms"] for run in record["runs"]}


def _roofs(record: Record) -> str:
    peak, rates = record["peak"], record["bandwidth"]
    known = ", ".join(f"{level} {rate:.0f} GB/s" for level, rate in rates.items())
    name = record["potential"]["name"]
    return f"Roofs of {name}: {peak['float64']:.1f} GFLOP/s float64, {peak['float32']:.1f} float32; {known}"


def _head(titles: Sequence[str]) -> list[str]:
    return [_row(titles), "|---" * len(titles) + "|"]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
