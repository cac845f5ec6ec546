"""What an interrupted fit leaves: the factors of the blocks done so far, written aside and renamed, never by halves."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from acegen.aside import written_aside
from acegen.fitting.factor import Factor
from acegen.fitting.rows import LABELS, Factors


def save_partial(path: Path, factors: Factors, digest: str) -> None:
    """Write the state of a fit; `digest` names everything the factors depend on."""
    arrays: dict[str, np.ndarray] = {"digest": np.array(digest), "n_blocks": np.array(factors.n_blocks)}
    for label, factor in factors.by_label.items():
        arrays[f"{label}_triangle"] = factor.settled
        arrays[f"{label}_rows"] = np.array(factor.n_rows)
        arrays |= {f"{label}_waiting_{k}": block for k, block in enumerate(factor.waiting)}
    with written_aside(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_partial(path: Path, n_parameters: int, digest: str) -> Factors | None:
    """The state of an interrupted fit; None when there is none, or one of other data or settings."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if str(archive["digest"]) != digest:
                return None
            factors = {label: _factor(archive, label) for label in LABELS}
            n_blocks = int(archive["n_blocks"])
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    if any(factor.settled.shape != (n_parameters + 1, n_parameters + 1) for factor in factors.values()):
        return None
    return Factors(factors, n_blocks)


def _factor(archive: Mapping[str, np.ndarray], label: str) -> Factor:
    """One factor, with the rows that wait in the blocks they came in: the sums are then the same to the last bit."""
    names = [f"{label}_waiting_{k}" for k in range(len(archive))]
    waiting = [np.array(archive[name], np.float64, order="F") for name in names if name in archive]
    settled = np.array(archive[f"{label}_triangle"], np.float64, order="F")
    return Factor(settled, int(archive[f"{label}_rows"]), waiting)
