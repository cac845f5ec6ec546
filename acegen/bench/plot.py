"""Records as one SVG: time per atom against basis size, throughput against system size; logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from acegen.bench.report import machine_line
from acegen.bench.session import Record

_WIDTH, _HEIGHT = 480, 360  # of one panel, with its margins
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 34, 52
_COLOURS = ("#0b6e99", "#d9730d", "#6b6b6b", "#a0369b", "#2f7d32", "#b3261e", "#8a6d00", "#3f51b5")


@dataclass
class Series:
    """Points (x, y, name) of one evaluator."""

    label: str
    points: list[tuple[float, float, str]] = field(default_factory=list)


def plot_of(records: Sequence[Record]) -> str:
    """SVG text with both panels; the second only when a record has several sizes."""
    first = _panel("basis functions", "µs per atom, one core", _by_basis(records), lines=False, names=True)
    sizes = _by_size(records)
    second = _panel("atoms", "atom-steps per second", sizes, lines=True, names=False) if sizes else ""
    width = _WIDTH * (2 if second else 1)
    machines = sorted({machine_line(record["machine"]) for record in records})
    body = [first, f'<g transform="translate({_WIDTH},0)">{second}</g>' if second else ""]
    for row, machine in enumerate(machines):
        y = _HEIGHT + 12 + 12 * row
        body.append(f'<text x="8" y="{y}" font-size="8" fill="#555">{escape(machine)}</text>')
    height = _HEIGHT + 12 * len(machines) + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="11">\n<rect width="{width}" height="{height}" fill="white"/>\n'
        + "\n".join(part for part in body if part)
        + "\n</svg>\n"
    )


def _by_basis(records: Sequence[Record]) -> list[Series]:
    """One series per evaluator and precision: largest size of each record, one thread."""
    series: dict[str, Series] = {}
    for record in records:
        most = max(run["n_atoms"] for run in record["runs"])
        for run in record["runs"]:
            if run["threads"] == 1 and run["n_atoms"] == most:
                label = run["evaluator"] if run["evaluator"] != "acegen" else f"acegen {run['precision']}"
                potential = record["potential"]
                point = (float(potential["functions"]), float(run["us_per_atom"]), str(potential["name"]))
                series.setdefault(label, Series(label)).points.append(point)
    return list(series.values())


def _by_size(records: Sequence[Record]) -> list[Series]:
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


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Decimal logarithms a little outside the values."""
    low, high = math.log10(min(values)), math.log10(max(values))
    margin = 0.06 * (high - low) + 0.06
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """1, 2, 5 times powers of ten between the limits; only powers of ten on long axes."""
    factors = (1, 2, 5) if high - low < 2.5 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    return [f * 10.0**p for p in powers for f in factors if low <= math.log10(f * 10.0**p) <= high]


def _number(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value >= 1e4 else f"{value:g}"


def _panel(x_title: str, y_title: str, series: Sequence[Series], lines: bool, names: bool) -> str:
    """Axes, points, legend of one panel as SVG elements."""
    points = [point for one in series for point in one.points]
    x_low, x_high = _limits([p[0] for p in points])
    y_low, y_high = _limits([p[1] for p in points])
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - x_low) / (x_high - x_low)
        up = (math.log10(y) - y_low) / (y_high - y_low)
        return round(_LEFT + across * (right - _LEFT), 1), round(bottom - up * (bottom - _TOP), 1)

    out = []
    for tick in _ticks(x_low, x_high):
        x, _ = at(tick, 10**y_low)
        out.append(f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{bottom}" stroke="#e4e4e4"/>')
        out.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{_number(tick)}</text>')
    for tick in _ticks(y_low, y_high):
        _, y = at(10**x_low, tick)
        out.append(f'<line x1="{_LEFT}" y1="{y}" x2="{right}" y2="{y}" stroke="#e4e4e4"/>')
        out.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{_number(tick)}</text>')
    box = f'x="{_LEFT}" y="{_TOP}" width="{right - _LEFT}" height="{bottom - _TOP}"'
    out.append(f'<rect {box} fill="none" stroke="#888"/>')
    middle_x, middle_y = (_LEFT + right) / 2, (_TOP + bottom) / 2
    out.append(f'<text x="{middle_x}" y="{bottom + 36}" text-anchor="middle">{escape(x_title)}</text>')
    turn = f'transform="translate(14,{middle_y}) rotate(-90)"'
    out.append(f'<text {turn} text-anchor="middle">{escape(y_title)}</text>')
    for index, one in enumerate(series):
        out += _draw(one, _COLOURS[index % len(_COLOURS)], at, lines, names and index == 0)
        y, colour = _TOP + 14 + 14 * index, _COLOURS[index % len(_COLOURS)]
        out.append(f'<circle cx="{_LEFT + 12}" cy="{y - 4}" r="3.5" fill="{colour}"/>')
        out.append(f'<text x="{_LEFT + 20}" y="{y}">{escape(one.label)}</text>')
    return "\n".join(out)


def _draw(one: Series, colour: str, at: object, lines: bool, names: bool) -> list[str]:
    """Points of one series, joined where `lines`, labelled where `names`."""
    assert callable(at)
    places = [(*at(x, y), name) for x, y, name in sorted(one.points)]
    out = []
    if lines:
        path = " ".join(f"{x},{y}" for x, y, _ in places)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}"/>')
    for x, y, name in places:
        out.append(f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>')
        if names:
            out.append(
                f'<text x="{x}" y="{y + 14}" font-size="8" text-anchor="middle" fill="#555">{escape(name)}</text>'
            )
    return out
