"""Records as one picture: time per atom against basis size, throughput against system size; logarithmic axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acegen.aside import written_aside
from acegen.bench.report import machine_line
from acegen.bench.session import Record
from acegen.errors import InputError


@dataclass(slots=True)
class Series:
    """Points (x, y, name) of one evaluator."""

    label: str
    points: list[tuple[float, float, str]] = field(default_factory=list)


def write_plot(path: Path, records: Sequence[Record]) -> None:
    """Draw both panels to an .svg or .png file; the second only when a record has several sizes.

    The same records give the same bytes.

    Raises:
        InputError: matplotlib, which ASE needs too, is not there.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(f"--plot: matplotlib cannot be imported ({error}): pip install matplotlib") from error
    by_size = series_by_size(records)
    panels = 2 if by_size else 1
    with rc_context({"svg.hashsalt": "acegen", "svg.fonttype": "none"}):
        figure = Figure(figsize=(5.6 * panels, 4.6), layout="constrained")
        axes = figure.subplots(1, panels, squeeze=False)[0]
        _panel(axes[0], "basis functions", "µs per atom, one core", series_by_basis(records), "o")
        if by_size:
            _panel(axes[1], "atoms", "atom-steps per second", by_size, "o-")
        machines = sorted({machine_line(record["machine"]) for record in records})
        figure.suptitle("\n".join(machines), fontsize=5)
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        with written_aside(path) as file:
            figure.savefig(file, format=path.suffix[1:], metadata=metadata, dpi=150)


def series_by_basis(records: Sequence[Record]) -> list[Series]:
    """One series per evaluator and precision: largest size of each record, one thread."""
    series: dict[str, Series] = {}
    for record in records:
        most = max(run["n_atoms"] for run in record["runs"])
        for run in record["runs"]:
            if run["threads"] == 1 and run["n_atoms"] == most:
                label = run["evaluator"] if run["evaluator"] != "acegen" else f"acegen {run['precision']}"
                potential = record["potential"]
                point = (float(potential["functions"]), float(run["us_per_atom"]), str(potential["name"]))
                points = series.setdefault(label, Series(label)).points
                if all(point[2] != name for _, _, name in points):  # the first record of a potential counts
                    points.append(point)
    return list(series.values())


def series_by_size(records: Sequence[Record]) -> list[Series]:
    """One series per potential, evaluator, precision and threads: throughput at every size."""
    series: dict[str, Series] = {}
    for record in records:
        if len({run["n_atoms"] for run in record["runs"]}) < 2:
            continue
        for run in record["runs"]:
            kind = f"{run['precision']}, {run['threads']} thread{'s' if run['threads'] > 1 else ''}"
            label = f"{record['potential']['name']}, {run['evaluator']} {kind}"
            point = (float(run["n_atoms"]), float(run["atom_steps_per_s"]), "")
            series.setdefault(label, Series(label)).points.append(point)
    return list(series.values())


def _panel(axes: Any, x_title: str, y_title: str, series: Sequence[Series], marker: str) -> None:
    """Draw the series of one panel; the points of the first carry their names."""
    from matplotlib.ticker import LogLocator, NullLocator

    for index, one in enumerate(series):
        points = sorted(one.points)
        axes.plot([p[0] for p in points], [p[1] for p in points], marker, label=one.label, markersize=5)
        for x, y, name in points if index == 0 else ():
            axes.annotate(name, (x, y), (0, -9), textcoords="offset points", fontsize=5, ha="center")
    axes.set(xscale="log", yscale="log", xlabel=x_title, ylabel=y_title)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        axis.set_minor_locator(NullLocator())
    axes.grid(True, alpha=0.25)
    axes.legend(fontsize=7)
