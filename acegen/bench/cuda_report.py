"""Markdown tables of records of `acegen bench --device cuda`: rates by size, kernels, lists and memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acegen.bench.cuda_card import card_line

Record = dict[str, Any]


def roofs_line(record: Record) -> str:
    """Measured ceilings in words."""
    roofs = record["roofs"]
    return (
        f"{1e-3 * roofs['float64']:.1f} TFLOP/s float64, {1e-3 * roofs['float32']:.1f} float32, "
        f"{1e-3 * roofs['bandwidth']:.2f} TB/s copied, {1e-3 * roofs['shared']:.1f} TB/s from shared memory (measured)"
    )


def device_markdown(records: Sequence[Record]) -> list[str]:
    """Lines of all tables; none without records."""
    if not records:
        return []
    sizes = sorted({run["n_atoms"] for record in records for run in record["runs"]})
    titles = ["potential", "precision", "neighbours", *(f"{n:,} atoms" for n in sizes), "of peak", "× CPU"]
    lines = ["", "Million atom-steps per second on a card, kernels alone (with the call around them):", ""]
    lines += [_row(titles), _rule(titles)]
    lines += [_row(cells) for record in records for cells in _rates(record, sizes)]
    lines += ["", "ns per atom on a card, largest size: kernels, whole evaluation, neighbour list, memory:", ""]
    titles = ["potential", "precision", "atoms", "kernels", "evaluation", "new list", "list kept", "step"]
    titles += ["batch of 8 atoms", "bytes per atom (predicted)", "generate + compile"]
    lines += [_row(titles), _rule(titles)]
    lines += [_row(cells) for record in records for cells in _details(record)]
    cards = sorted({f"{card_line(record['card'])}: {roofs_line(record)}; {_date(record)}" for record in records})
    return [*lines, "", *cards]


def rate_text(run: dict[str, Any]) -> str:
    """ "25.1 (20.3)": million atom-steps per second of the kernels, and with everything around them."""
    return f"{1e-6 * run['kernels_atom_steps_per_s']:.3g} ({1e-6 * run['atom_steps_per_s']:.3g})"


def _rates(record: Record, sizes: Sequence[int]) -> list[list[str]]:
    rows = []
    for precision, runs in _by_precision(record).items():
        found = {run["n_atoms"]: run for run in runs}
        most = found[max(found)]
        cpu = [one["us_per_atom"] for one in record["cpu"] if one["threads"] == 1]
        cells = [record["potential"]["name"], precision, f"{most['neighbours']:.0f}"]
        cells += [rate_text(found[n]) if n in found else "" for n in sizes]
        cells.append(f"{most['peak_fraction']:.0%}")
        cells.append(f"{cpu[0] / most['us_per_atom']:,.0f}" if cpu else "")
        rows.append(cells)
    return rows


def _details(record: Record) -> list[list[str]]:
    rows = []
    for precision, runs in _by_precision(record).items():
        run = max(runs, key=lambda one: int(one["n_atoms"]))
        cells = [record["potential"]["name"], precision, f"{run['n_atoms']:,}"]
        keys = ("kernels_us_per_atom", "us_per_atom", "list_build_us", "list_refresh_us", "step_us")
        cells += [f"{1e3 * run[key]:.1f}" for key in keys]
        batch = [one for one in record["batches"] if one["precision"] == precision]
        cells.append(f"{1e3 * batch[0]['us_per_atom']:.1f}" if batch else "")
        cells.append(f"{run['memory_bytes'] / run['n_atoms']:,.0f} ({run['memory_predicted'] / run['n_atoms']:,.0f})")
        (kernel,) = (one for one in record["kernels"] if one["precision"] == precision)
        seconds = (kernel["generate_seconds"], kernel["compile_seconds"])
        cells.append(" + ".join(f"{one:.1f}" for one in seconds) + " s" if None not in seconds else "")
        rows.append(cells)
    return rows


def _by_precision(record: Record) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for run in record["runs"]:
        found.setdefault(run["precision"], []).append(run)
    return found


def _date(record: Record) -> str:
    return str(record["machine"]["date"])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _rule(titles: Sequence[str]) -> str:
    return "|---" * len(titles) + "|"
