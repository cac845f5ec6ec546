"""What `acegen bench --device cuda` prints of a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acegen.bench.cuda_card import card_line
from acegen.bench.cuda_report import rate_text, roofs_line
from acegen.bench.report import AGREES, machine_line
from acegen.cli.output import seconds_text, size_text, table

Record = dict[str, Any]


def text_of(record: Record) -> str:
    """Everything one record says."""
    potential, crystal = record["potential"], record["crystal"]
    lines = [
        f"{potential['name']} ({potential['source']}): {', '.join(potential['species'])}, "
        f"correlation order {potential['correlation_order']}, {potential['functions']} functions, "
        f"cutoff {potential['cutoff']:g} A",
        f"card:    {card_line(record['card'])}",
        f"roofs:   {roofs_line(record)}",
        f"host:    {machine_line(record['machine'])}",
        f"crystal: {crystal['lattice']} {crystal['constant']:.3f} A, rattled {crystal['rattle']:g} A, "
        f"list with {crystal['skin']:g} A skin, made on the device",
    ]
    lines += [f"kernels: {_kernel_line(kernel)}" for kernel in record["kernels"]]
    runs, batches = record["runs"], record["batches"]
    if runs or batches:
        lines += ["", _runs(runs + batches), "", "ns per atom by kernel:", _kernels(runs + batches), ""]
    for floors in record.get("floors", ()):
        lines += [floors_text(floors), ""]
    lines += [_cpu_line(cpu, runs) for cpu in record["cpu"]]
    lines += [_agreement_line(line) for line in record["agreement"]]
    lines += [f"note: {note}" for note in record["notes"]]
    return "\n".join(lines).rstrip()


def floors_text(floors: dict[str, Any]) -> str:
    """Counted operations and bytes of every kernel against the measured ceilings."""
    rows = [
        [
            one["kernel"],
            f"{one['operations']:,.0f}",
            f"{one['shared_bytes']:,.0f}",
            f"{one['bytes']:,.0f}",
            f"{1e3 * one['us_per_atom']:.2f}",
            f"{one['peak_fraction']:.1%}",
            f"{one['shared_fraction']:.1%}",
            f"{one['bandwidth_fraction']:.1%}",
            one["bound"],
        ]
        for one in floors["kernels"]
    ]
    title = f"ceilings reached, {floors['precision']}, {floors['n_atoms']:,} atoms, operations and bytes counted:"
    header = [
        "stage",
        "multiply-adds",
        "shared bytes",
        "bytes",
        "ns/atom",
        "of peak",
        "of shared",
        "of memory",
        "bound",
    ]
    return f"{title}\n{table(header, rows)}"


def _kernel_line(kernel: dict[str, Any]) -> str:
    parts = [f"{kernel['precision']}, {size_text(kernel['source_bytes'])} of CUDA"]
    for verb in ("generate", "compile"):
        seconds = kernel[f"{verb}_seconds"]
        parts += [f"{verb} {seconds_text(seconds)}"] if seconds is not None else []
    return ", ".join(parts)


def _runs(runs: Sequence[dict[str, Any]]) -> str:
    """Rates are million atom-steps per second, times ns per atom."""
    header = ["precision", "atoms", "systems", "listed", "M/s kernels (call)", "kernels", "call", "of peak", "new list"]
    header += ["kept", "step", "memory", "(predicted)"]
    rows = []
    for run in runs:
        rows.append(
            [
                run["precision"],
                f"{run['n_atoms']:,}",
                f"{run['n_systems']:,}",
                f"{run['listed']:.1f}",
                rate_text(run),
                f"{1e3 * run['kernels_us_per_atom']:.1f}",
                f"{1e3 * run['us_per_atom']:.1f}",
                f"{run['peak_fraction']:.1%}",
                *(f"{1e3 * run[key]:.1f}" for key in ("list_build_us", "list_refresh_us", "step_us")),
                size_text(run["memory_bytes"]),
                f"({size_text(run['memory_predicted'])})",
            ]
        )
    return table(header, rows)


def _kernels(runs: Sequence[dict[str, Any]]) -> str:
    """A row per kernel, a column per run."""
    names = list(dict.fromkeys(name for run in runs for name in run["kernels"]))
    header = ["kernel"]
    for run in runs:
        batch = f" in {run['n_systems']:,}" if run["n_systems"] > 1 else ""
        header.append(f"{run['precision'].removeprefix('float')}: {run['n_atoms']:,}{batch}")
    rows = [[name, *(f"{1e3 * run['kernels'].get(name, 0.0):.2f}" for run in runs)] for name in names]
    return table(header, rows)


def _cpu_line(cpu: dict[str, Any], runs: Sequence[dict[str, Any]]) -> str:
    same = [run for run in runs if run["precision"] == cpu["precision"]]
    threads = f"{cpu['threads']} thread{'s' if cpu['threads'] > 1 else ''}"
    line = f"CPU, {cpu['precision']}, {threads}, {cpu['n_atoms']:,} atoms: {cpu['us_per_atom']:.3f} us/atom"
    if same:
        most = max(same, key=lambda run: int(run["n_atoms"]))
        line += f", {cpu['us_per_atom'] / most['us_per_atom']:,.0f} times the card's at {most['n_atoms']:,} atoms"
    return line


def _agreement_line(line: dict[str, Any]) -> str:
    verdict = "" if line["forces"] <= AGREES else "  ** does not agree **"
    return (
        f"{line['evaluator']}: against {line['compared']}, {line['n_atoms']:,} atoms: energy differs by "
        f"{line['energy']:.1e} eV/atom, forces by {line['forces']:.1e} of max|F|{verdict}"
    )
