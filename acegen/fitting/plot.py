"""Parity plot of a fit: labels against the model, energies, forces and virials side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from acegen.aside import written_aside
from acegen.errors import InputError
from acegen.fitting.accuracy import Comparison, errors_by_kind
from acegen.fitting.checks import residual_energies
from acegen.fitting.fitted import Fitted
from acegen.runtime.arrays import FloatArray

_MOST_POINTS = 4000  # of one panel and set; more is a large file and no other picture
_TITLES = {
    "energy": "energy less that of the elements, eV/atom",
    "forces": "force components, eV/Å",
    "virial": "virial components, eV/atom",
}


def write_plot(path: str | os.PathLike[str], fitted: Fitted) -> None:
    """Draw the parity plot to an .svg or .png file; the same fit gives the same bytes.

    Raises:
        InputError: matplotlib, which ASE needs too, is not there, or the suffix is unknown.
    """
    out = Path(path).expanduser()
    if out.suffix not in (".svg", ".png"):
        raise InputError(f"--plot: {out.name}: expected the name of an .svg or .png file")
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(f"--plot: matplotlib cannot be imported ({error}): pip install matplotlib") from error
    panels = [label for label in _TITLES if any(len(getattr(one, label)) for one in fitted.comparisons["train"])]
    with rc_context({"svg.hashsalt": "acegen", "svg.fonttype": "none"}):
        figure = Figure(figsize=(4.4 * len(panels), 4.4), layout="constrained")
        for axes, label in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _panel(axes, label, fitted)
        figure.suptitle(f"{fitted.spec.name}: {fitted.solution['solver']}, {_count(fitted)} functions", fontsize=9)
        metadata = {"Date": None} if out.suffix == ".svg" else {"Software": None}
        with written_aside(out) as file:
            figure.savefig(file, format=out.suffix[1:], metadata=metadata, dpi=150)


def _count(fitted: Fitted) -> int:
    return int(sum(len(weights) for weights in fitted.weights))


def _panel(axes: Any, label: str, fitted: Fitted) -> None:
    """Every set of structures in a colour of its own, training behind, with its root-mean-square error."""
    low, high = np.inf, -np.inf
    for order, (name, comparisons) in enumerate(fitted.comparisons.items()):
        pairs = _pairs(label, comparisons, fitted.spec.elements)
        if not len(pairs):
            continue
        low, high = min(low, float(pairs.min())), max(high, float(pairs.max()))
        total = errors_by_kind(comparisons)[-1]
        error = getattr(total, f"{label}_rmse")
        unit = "eV/Å" if label == "forces" else "meV/atom"
        shown = pairs[:: max(1, len(pairs) // _MOST_POINTS)]
        axes.plot(
            *shown.T,
            ".",
            label=f"{name}: RMSE {error:.3g} {unit}",
            markersize=2 + 2 * order,
            alpha=0.6,
            markeredgewidth=0,
            rasterized=len(shown) > 1000,
            zorder=2 + order,
        )
    axes.plot([low, high], [low, high], "-", color="0.6", linewidth=0.8, zorder=1)
    axes.set(xlabel="label", ylabel="model", title=_TITLES[label], aspect="equal")
    axes.title.set_fontsize(9)
    axes.grid(True, alpha=0.25)
    axes.legend(fontsize=7, loc="upper left", markerscale=2)


def _pairs(label: str, comparisons: Sequence[Comparison], species: Sequence[str]) -> FloatArray:
    """Label and model [n, 2]; of the energies what the composition explains is taken off both."""
    own = [one for one in comparisons if len(getattr(one, label))]
    if not own or label != "energy":
        return np.concatenate([np.zeros((0, 2)), *(getattr(one, label) for one in own)])
    residual = residual_energies([one.structure for one in own], species)
    shift = residual - np.array([one.energy[0, 0] for one in own])
    stacked: FloatArray = np.concatenate([one.energy for one in own]) + shift[:, None]
    return stacked
