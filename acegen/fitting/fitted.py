"""The result of a fit: a model that runs, its errors, and the files it is kept in."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acegen.aside import check_place, remove_leftovers, same_file, written_aside
from acegen.errors import InputError
from acegen.fitting.accuracy import Comparison, Errors, largest_errors
from acegen.fitting.keys import Found
from acegen.fitting.reference import Reference
from acegen.fitting.settings import Settings
from acegen.fitting.weighting import Weighting
from acegen.fitting.working import Fittable, reference_mapping
from acegen.loader import load
from acegen.runtime.arrays import FloatArray
from acegen.runtime.model import Model
from acegen.spec.model import BasisSpec

_OTHER_FILES = (".xyz", ".extxyz", ".gz", ".npz", ".json", ".yace", ".svg", ".png")


@dataclass(slots=True, eq=False, repr=False)
class Fitted:
    """A fitted model in memory; `save` keeps it."""

    source: Fittable
    weights: tuple[FloatArray, ...]  # [species] [n_functions] eV
    committee: tuple[FloatArray, ...]  # [species] [n_members, n_functions]
    active_set: tuple[FloatArray, ...]  # [species] [n_functions, n_functions]; empty: not asked for
    reference: Reference
    errors: dict[str, tuple[Errors, ...]]  # "train", and "test" or "holdout"; the last entry is of all structures
    solution: dict[str, float | int | str]
    found: tuple[Found, ...]
    warnings: tuple[str, ...]
    comparisons: dict[str, list[Comparison]]
    weighting: Weighting
    settings: Settings
    threads: int | None = None
    partial: Path | None = None  # state on disk, of no use once the model is saved
    _model: Model | None = None

    @property
    def spec(self) -> BasisSpec:
        """The specification that was fitted."""
        return self.source.spec

    @property
    def model(self) -> Model:
        """The model with these weights: evaluates, and makes an ASE calculator. Compiled when first asked for."""
        if self._model is None:
            with tempfile.TemporaryDirectory(prefix="acegen-fit-") as scratch:
                path = self._write(Path(scratch) / self.spec.name)[0]
                self._model = load(path, "cpu", None, self.threads)
        return self._model

    def __repr__(self) -> str:
        total = self.errors["train"][-1]
        return (
            f"Fitted({self.spec.name!r}, n_parameters={sum(map(len, self.weights))}, "
            f"n_structures={total.n_structures}, energy_rmse={total.energy_rmse}, forces_rmse={total.forces_rmse})"
        )

    def save(self, path: str | os.PathLike[str]) -> tuple[Path, Path, Path]:
        """Write <path>.yaml (the specification with these weights), <path>.npz (all numbers) and <path>.json (report).

        All three are complete before an older specification goes, and the new one appears last: whenever it is there,
        all of it is there.

        Returns:
            The three paths; the first one is what `acegen.load` and `acegen.compile` take.

        Raises:
            InputError: the folder cannot be written, or one of the files is what this fit has read.
        """
        check_writable(path)
        check_keeps(path, (*self.source.files, *(Path(one.source) for one in self.found)))
        files = self._write(Path(path))
        if self.partial is not None:
            self.partial.unlink(missing_ok=True)
        for file in (*files, partial_of(path)):
            remove_leftovers(file)
        return files

    def _write(self, path: Path) -> tuple[Path, Path, Path]:
        """The three files, the specification last."""
        spec_file, arrays_file, report_file = files_of(path)
        values = {
            "name": self.spec.name,
            "reference_energies": reference_mapping(self.spec, self.reference),
            "weights": {"kind": "file", "file": arrays_file.name},
        }
        text = self.source.written(spec_file.parent, values, arrays_file.name)
        report = json.dumps(self.report(), indent=1, allow_nan=False) + "\n"
        # the files take their names in the order of this list read backwards
        with written_aside(spec_file) as own, written_aside(report_file) as told, written_aside(arrays_file) as numbers:
            own.write(text.encode())
            told.write(report.encode())
            np.savez(numbers, **self.arrays())  # type: ignore[arg-type]
            for file in (own, told, numbers):
                file.flush()  # a full disk shows here, while the older model is whole
            spec_file.unlink(missing_ok=True)  # it must not stand beside arrays that are not its own
        return spec_file, arrays_file, report_file

    def arrays(self) -> dict[str, np.ndarray]:
        """Content of the .npz file: weights_<a>, committee_<a>, active_set_inverse_<a> for species a."""
        arrays: dict[str, np.ndarray] = {f"weights_{a}": w[:, None] for a, w in enumerate(self.weights)}
        arrays |= {f"committee_{a}": w for a, w in enumerate(self.committee) if len(w)}
        arrays |= {f"active_set_inverse_{a}": inverse for a, inverse in enumerate(self.active_set)}
        return arrays

    def report(self) -> dict[str, Any]:
        """Everything a script may want to know; the same fit gives the same report."""
        return {
            "name": self.spec.name,
            "species": list(self.spec.elements),
            "specification": self.source.path.name,
            "n_parameters": int(sum(len(w) for w in self.weights)),
            "labels": [
                {"source": f.source, "n_frames": f.n_frames, "keys": [list(key) for key in f.keys]} for f in self.found
            ],
            "reference_energies": {
                symbol: {"energy": energy, "from": origin}
                for symbol, energy, origin in zip(
                    self.spec.elements, self.reference.energies, self.reference.origins, strict=True
                )
            },
            "weights": self.weighting.told(),
            "settings": {
                name: getattr(self.settings, name) for name in ("prior", "tolerance", "holdout", "seed", "committee")
            },
            "solution": self.solution,
            "errors": {name: [asdict(errors) for errors in group] for name, group in self.errors.items()},
            "largest_errors": {
                name: {label: {"error": error, "of": one.frame.place} for label, (error, one) in found.items()}
                for name, found in ((name, largest_errors(ones)) for name, ones in self.comparisons.items())
            },
            "warnings": list(self.warnings),
        }


def files_of(path: str | os.PathLike[str]) -> tuple[Path, Path, Path]:
    """Specification, arrays and report of a model kept under `path` (with or without .yaml).

    Raises:
        InputError: `path` names a folder by dots or slashes alone, or ends like a file of another kind.
    """
    base = Path(path).expanduser()
    if base.name in ("", ".."):
        raise InputError(f"{os.fspath(path)!r}: expected the name of a model to write, such as model")
    if base.suffix in _OTHER_FILES:
        raise InputError(f"{base}: expected the name of a model to write, such as {base.stem}, found {base.suffix!r}")
    base = base.with_suffix("") if base.suffix in (".yaml", ".yml") else base
    return tuple(base.with_name(base.name + suffix) for suffix in (".yaml", ".npz", ".json"))  # type: ignore[return-value]


def partial_of(path: str | os.PathLike[str]) -> Path:
    """Where an interrupted fit of the model `path` keeps its state."""
    return files_of(path)[0].with_suffix(".partial")


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a place where no model can be written, before any work is done.

    Raises:
        InputError: the folder is missing or must not be written, or one of the names is a folder.
    """
    _check_ordinary(Path(path).expanduser())
    for file in files_of(path):
        check_regular(file)


def check_regular(path: Path) -> None:
    """Refuse a place where no ordinary file can be written.

    Raises:
        InputError: the folder is missing or must not be written, or the name is one of a folder, device or pipe.
    """
    check_place(path)
    _check_ordinary(path)


def _check_ordinary(path: Path) -> None:
    """Refuse devices and pipes: what is kept there cannot be read again."""
    special = path.exists() and not (path.is_file() or path.is_dir())
    if special or path.absolute().parent == Path("/dev"):
        raise InputError(f"{path}: is a device or pipe, expected the name of a file to write")


def check_keeps(path: str | os.PathLike[str], sources: Iterable[Path]) -> None:
    """Refuse a model whose files would replace what it is made from.

    Raises:
        InputError: names the file that is both.
    """
    for file in files_of(path):
        for source in sources:
            if same_file(file, source):
                raise InputError(f"{file}: is read by this fit and would be replaced, expected another name to write")
