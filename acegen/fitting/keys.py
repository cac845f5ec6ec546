"""Where the labels stand: energies, forces and stresses under the names people use, found and reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acegen.errors import InputError
from acegen.fitting.settings import Keys
from acegen.fitting.structures import VOIGT, Frame, Structure
from acegen.runtime.arrays import FloatArray

if TYPE_CHECKING:
    from ase import Atoms

# Labels written on purpose for a fit come before what a calculator may have left in the same frame.
_PREFIXES = ("REF_", "ref_", "DFT_", "dft_", "QM_", "qm_", "")
_NAMES = {
    "energy": ("energy", "Energy", "free_energy"),
    "forces": ("forces", "force", "Forces"),
    "virial": ("virial", "virials", "Virial"),
    "stress": ("stress", "Stress"),
}
KNOWN = {label: tuple(prefix + name for prefix in _PREFIXES for name in names) for label, names in _NAMES.items()}
KINDS = ("config_type", "Group", "group", "type", "tag")
NO_KIND = "all"


@dataclass(frozen=True, slots=True)
class Found:
    """What one source holds: the key of each label and how many frames have it."""

    source: str
    n_frames: int
    keys: tuple[tuple[str, str, int], ...]  # (label, key, number of frames)
    missing: tuple[str, ...]

    def sentence(self) -> str:
        """One line for people."""
        parts = [
            f"{label} from {key!r}" + ("" if count == self.n_frames else f" ({count} of {self.n_frames})")
            for label, key, count in self.keys
        ]
        absent = f"; no {' or '.join(self.missing)}" if self.missing else ""
        return f"{Path(self.source).name}: {self.n_frames} structures, {', '.join(parts)}{absent}"


def label_structures(frames: Sequence[Frame], keys: Keys) -> tuple[list[Structure], list[Found]]:
    """Labelled structures, and per source what was found.

    Raises:
        InputError: a given key is nowhere; a source has neither energies nor forces; a label has another shape.
    """
    structures: list[Structure] = []
    reports: list[Found] = []
    for source in dict.fromkeys(frame.source for frame in frames):
        own = [frame for frame in frames if frame.source == source]
        chosen = _chosen_keys(source, own, keys)
        if "energy" not in chosen and "forces" not in chosen:
            raise InputError(_nothing(source, own[0].atoms))
        structures += [_labelled(frame, chosen) for frame in own]
        counted = {
            label: sum(_value(frame.atoms, key, label) is not None for frame in own) for label, key in chosen.items()
        }
        has_virial = "virial" in chosen or "stress" in chosen
        missing = [label for label in ("energy", "forces") if label not in chosen]
        missing += [] if has_virial else ["stress", "virial"]
        rows = tuple((label, key, counted[label]) for label, key in chosen.items())
        reports.append(Found(source, len(own), rows, tuple(missing)))
    return structures, reports


def _chosen_keys(source: str, frames: Sequence[Frame], keys: Keys) -> dict[str, str]:
    """Label -> key; of the known names the first one that any frame has."""
    chosen: dict[str, str] = {}
    for label in ("energy", "forces", "virial", "stress"):
        given = getattr(keys, label)
        candidates = KNOWN[label] if given is None else (given,)
        key = next((k for k in candidates if any(_value(f.atoms, k, label) is not None for f in frames)), None)
        if key is not None:
            chosen[label] = key
        elif given is not None:
            have = ", ".join(_names(frames[0].atoms))
            raise InputError(f"{source}: no frame has the {label} key {given!r}, the first frame has {have}")
    if "virial" in chosen and "stress" in chosen:  # both say the same: the one that was named, else the virial
        del chosen["virial" if keys.stress is not None and keys.virial is None else "stress"]
    given_kind = keys.kind
    candidates = KINDS if given_kind is None else (given_kind,)
    kind = next((k for k in candidates if any(_kind(f.atoms, k) is not None for f in frames)), None)
    if kind is not None:
        chosen["type"] = kind
    elif given_kind is not None:
        raise InputError(f"{source}: no frame has the type key {given_kind!r}")
    return chosen


def _nothing(source: str, atoms: Atoms) -> str:
    have = ", ".join(_names(atoms)) or "no labels at all"
    return (
        f"{source}: neither energies nor forces found, expected keys such as energy and forces or REF_energy and "
        f"REF_forces; the first frame has {have} (name them with --energy-key and --forces-key)"
    )


def _names(atoms: Atoms) -> list[str]:
    """Everything a frame carries beside its geometry."""
    own = [key for key in atoms.arrays if key not in ("numbers", "positions")]
    return [*_results(atoms), *map(str, atoms.info), *own]


def _results(atoms: Atoms) -> dict[str, Any]:
    """Results that a calculator holds for these very atoms."""
    calc = atoms.calc
    if calc is None or not hasattr(calc, "check_state") or calc.check_state(atoms):
        return {}
    return dict(calc.results)


def _value(atoms: Atoms, key: str, label: str) -> Any:
    """The label under a key, wherever the frame keeps it; None when it has none."""
    if label == "type":
        return _kind(atoms, key)
    if label == "forces" and key in atoms.arrays:
        return atoms.arrays[key]
    if key in atoms.info:
        return atoms.info[key]
    calc = atoms.calc
    return None if calc is None or key not in getattr(calc, "results", {}) else _results(atoms).get(key)


def _kind(atoms: Atoms, key: str) -> str | None:
    value = atoms.info.get(key)
    return str(value) if isinstance(value, str | int | np.integer) and not isinstance(value, bool) else None


def _labelled(frame: Frame, keys: dict[str, str]) -> Structure:
    """The structure with its labels in our shapes and units."""
    atoms = frame.atoms
    found = {label: _value(atoms, key, label) for label, key in keys.items()}
    energy, forces = found.get("energy"), found.get("forces")
    virial = None
    if found.get("virial") is not None:
        virial = _voigt(frame, keys["virial"], found["virial"])
    elif found.get("stress") is not None:
        if not atoms.pbc.all() or atoms.cell.rank < 3:
            raise InputError(
                f"{frame.place}: {keys['stress']}: a stress needs a cell that is periodic in three directions, "
                f"found pbc {atoms.pbc.tolist()} and a cell of rank {atoms.cell.rank}"
            )
        virial = -float(atoms.cell.volume) * _voigt(frame, keys["stress"], found["stress"])
    return Structure(
        frame,
        found.get("type") or NO_KIND,
        None if energy is None else float(_numbers(frame, keys["energy"], energy, [(), (1,)]).reshape(())),
        None if forces is None else _numbers(frame, keys["forces"], forces, [(len(atoms), 3)]),
        virial,
    )


def _numbers(frame: Frame, key: str, value: Any, shapes: Sequence[tuple[int, ...]]) -> FloatArray:
    """A finite array of one of the shapes."""
    try:
        array = np.array(value, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{frame.place}: {key}: expected numbers, found {value!r}") from None
    if array.shape not in shapes:
        expected = " or ".join(str(list(shape)) for shape in shapes)
        raise InputError(f"{frame.place}: {key}: expected shape {expected}, found {list(array.shape)}")
    if not np.isfinite(array).all():
        place = "" if array.ndim < 2 else f" at {np.argwhere(~np.isfinite(array))[0].tolist()}"
        raise InputError(f"{frame.place}: {key}: expected finite numbers, found nan or infinity{place}")
    return array


def _voigt(frame: Frame, key: str, value: Any) -> FloatArray:
    """[6] xx yy zz yz xz xy of a tensor given as [6], [9] or [3, 3]."""
    array = _numbers(frame, key, value, [(6,), (9,), (3, 3)])
    if array.size == 6:
        return array
    tensor = array.reshape(3, 3)
    skew, size = float(np.abs(tensor - tensor.T).max()), float(np.abs(tensor).max())
    if skew > 1e-2 * size:
        raise InputError(
            f"{frame.place}: {key}: expected a symmetric tensor, found {tensor.tolist()}, which differs from its "
            f"transpose by {skew:g}"
        )
    return np.array([0.5 * (tensor[a, b] + tensor[b, a]) for a, b in VOIGT])
