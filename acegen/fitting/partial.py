"""What an interrupted fit leaves: the factors of the blocks done so far, written aside and renamed, never by halves."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from acegen.aside import written_aside
from acegen.errors import InputError
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


def load_partial(path: Path, n_parameters: int, digest: str, n_blocks: int) -> Factors | None:
    """The state of an interrupted fit of `n_blocks` blocks; None when there is no file.

    Raises:
        InputError: it is of other structures or choices, or no state of a fit.
    """
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, zipfile.ZipFile(file):  # np.load takes other files too
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                own = str(archive["digest"])
                if own == digest:
                    factors = {label: _factor(archive, label, n_parameters) for label in LABELS}
                    done = int(archive["n_blocks"])
    except Exception as error:  # a broken archive has many ways to fail
        raise InputError(f"{path}: no state of a fit to go on from") from error
    if own != digest:
        raise InputError(f"{path}: the state of a fit of other structures or choices")
    if not 0 <= done <= n_blocks:
        raise InputError(f"{path}: no state of a fit to go on from")
    return Factors(factors, done)


def _factor(archive: Mapping[str, np.ndarray], label: str, n_parameters: int) -> Factor:
    """One factor, with the rows that wait in the blocks they came in: the sums are then the same to the last bit.

    Raises:
        ValueError: numbers of another shape or kind.
    """
    names = [f"{label}_waiting_{k}" for k in range(len(archive))]
    waiting = [np.array(archive[name], np.float64, order="F") for name in names if name in archive]
    settled = np.array(archive[f"{label}_triangle"], np.float64, order="F")
    shapes = [settled.shape == (n_parameters + 1,) * 2, *(one.shape[1:] == (n_parameters + 1,) for one in waiting)]
    n_rows = int(archive[f"{label}_rows"])
    if not all(shapes) or n_rows < 0 or not all(np.isfinite(one).all() for one in (settled, *waiting)):
        raise ValueError(f"{label}: no factor of {n_parameters} parameters")
    return Factor(settled, n_rows, waiting)
