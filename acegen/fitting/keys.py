"""Where the labels stand: energies, forces and stresses under the names people use, found and reported."""

from __future__ import annotations

from collections import Counter
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
_PREFIX_OF = {prefix + name: prefix for prefix in _PREFIXES for names in _NAMES.values() for name in names}
_LABELS = ("energy", "forces", "virial", "stress")
_ORDER = (*_LABELS, "type")
KINDS = ("config_type", "Group", "group", "type", "tag")
NO_KIND = "all"
LARGEST_LABEL = 1e12  # eV and the like: far above any total energy, far below where squares overflow


@dataclass(frozen=True, slots=True)
class Found:
    """What one source holds: the keys of each label and how many frames have them."""

    source: str
    n_frames: int
    keys: tuple[tuple[str, str, int], ...]  # (label, key, number of frames); a label may have several keys
    missing: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def sentence(self) -> str:
        """One line for people."""
        parts = []
        for label in dict.fromkeys(label for label, _, _ in self.keys):
            own = [
                f"{key!r}" + ("" if count == self.n_frames else f" ({count} of {self.n_frames})")
                for name, key, count in self.keys
                if name == label
            ]
            parts.append(f"{label} from {', '.join(own)}")
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
        counts = Counter(pair for one in chosen for pair in one.items())
        labels = {label for label, _ in counts}
        if not labels & {"energy", "forces"}:
            raise InputError(_nothing(source, own[0].atoms))
        structures += [_labelled(frame, one) for frame, one in zip(own, chosen, strict=True)]
        missing = [label for label in ("energy", "forces") if label not in labels]
        missing += [] if labels & {"virial", "stress"} else ["stress", "virial"]
        rows = sorted(((*pair, n) for pair, n in counts.items()), key=lambda row: (_ORDER.index(row[0]), -row[2], row))
        warnings = _passed_over(source, own, keys) + _of_two_origins(source, chosen, keys)
        reports.append(Found(source, len(own), tuple(rows), tuple(missing), tuple(warnings)))
    return structures, reports


def _chosen_keys(source: str, frames: Sequence[Frame], keys: Keys) -> list[dict[str, str]]:
    """Label -> key of every frame: the given one alone, else of the known names the first that the frame has."""
    for label in _LABELS:
        given = getattr(keys, label)
        if given is not None and not any(_value(frame.atoms, given, label) is not None for frame in frames):
            have = ", ".join(_names(frames[0].atoms))
            raise InputError(f"{source}: no frame has the {label} key {given!r}, the first frame has {have}")
    candidates = KINDS if keys.kind is None else (keys.kind,)
    kind = next((k for k in candidates if any(_kind(f.atoms, k) is not None for f in frames)), None)
    if kind is None and keys.kind is not None:
        raise InputError(f"{source}: no frame has the type key {keys.kind!r}")
    wanted = _wanted(keys)
    chosen = []
    for frame in frames:
        own = {}
        for names in wanted:
            found = next(((label, k) for label, k in names if _value(frame.atoms, k, label) is not None), None)
            if found is not None:
                own[found[0]] = found[1]
        if kind is not None and _kind(frame.atoms, kind) is not None:
            own["type"] = kind
        chosen.append(own)
    return chosen


def _wanted(keys: Keys) -> list[tuple[tuple[str, str], ...]]:
    """For energies, forces and virials the pairs (label, key) that will do, the best one first.

    A stress says what a virial says: only one of them is taken, and where one is named only that one.
    """
    wanted = []
    for labels in (("energy",), ("forces",), ("virial", "stress")):
        given = [(label, key) for label in labels if (key := getattr(keys, label)) is not None]
        wanted.append(tuple(given or _known(labels)))
    return wanted


def _known(labels: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs (label, key) of all known names."""
    return [(label, key) for label in labels for key in KNOWN[label]]


def _passed_over(source: str, frames: Sequence[Frame], keys: Keys) -> list[str]:
    """Sentences about frames that lack a named key but have the label under another name."""
    found = []
    for labels in (("energy",), ("forces",), ("virial", "stress")):
        given = [(label, key) for label in labels if (key := getattr(keys, label)) is not None]
        if not given:
            continue
        lacking = [f for f in frames if all(_value(f.atoms, key, label) is None for label, key in given)]
        others = [
            next((key for label, key in _known(labels) if _value(frame.atoms, key, label) is not None), None)
            for frame in lacking
        ]
        used = list(dict.fromkeys(key for key in others if key is not None))
        if used:
            found.append(
                f"{source}: {sum(key is not None for key in others)} of {len(frames)} structures have no "
                f"{' or '.join(repr(key) for _, key in given)}, but {', '.join(map(repr, used))}: it is not used, for "
                "another key was asked for"
            )
    return found


def _of_two_origins(source: str, chosen: Sequence[dict[str, str]], keys: Keys) -> list[str]:
    """Sentences about names that were found and begin differently, in one frame or from one frame to the other."""
    found = []
    within = Counter((one["energy"], one["forces"]) for one in chosen if "energy" in one and "forces" in one)
    for (energy, forces), count in within.items():
        if keys.energy is None and keys.forces is None and _PREFIX_OF[energy] != _PREFIX_OF[forces]:
            found.append(
                f"{source}: {count} of {len(chosen)} structures have energies under {energy!r} and forces under "
                f"{forces!r}: are they of one calculation?"
            )
    for label in _LABELS:
        counts = Counter(one[label] for one in chosen if label in one)
        if getattr(keys, label) is None and len({_PREFIX_OF[key] for key in counts}) > 1:
            told = " and ".join(f"under {key!r} in {count}" for key, count in counts.items())
            found.append(f"{source}: {label} {told} of {len(chosen)} structures: are they of one calculation?")
    return found


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
    """The structure with its labels, of these keys, in our shapes and units."""
    atoms = frame.atoms
    found = {label: _value(atoms, key, label) for label, key in keys.items()}
    energy, forces = found.get("energy"), found.get("forces")
    virial = None
    if found.get("virial") is not None:
        virial = _voigt(frame, keys["virial"], found["virial"], "eV")
    elif found.get("stress") is not None:
        if not atoms.pbc.all() or atoms.cell.rank < 3:
            raise InputError(
                f"{frame.place}: {keys['stress']}: a stress needs a cell that is periodic in three directions, "
                f"found pbc {atoms.pbc.tolist()} and a cell of rank {atoms.cell.rank}"
            )
        virial = -float(atoms.cell.volume) * _voigt(frame, keys["stress"], found["stress"], "eV/angstrom^3")
    return Structure(
        frame,
        found.get("type") or NO_KIND,
        None if energy is None else float(_numbers(frame, keys["energy"], energy, [(), (1,)], "eV").reshape(())),
        None if forces is None else _numbers(frame, keys["forces"], forces, [(len(atoms), 3)], "eV/angstrom"),
        virial,
    )


def _numbers(frame: Frame, key: str, value: Any, shapes: Sequence[tuple[int, ...]], unit: str) -> FloatArray:
    """A finite array of one of the shapes."""
    try:
        array = np.array(value, np.float64)
        if np.asarray(value).dtype == bool:  # ASE reads energy=T as True, which would count as 1 eV
            raise TypeError
    except (TypeError, ValueError):
        raise InputError(f"{frame.place}: {key}: expected numbers, found {value!r}") from None
    if array.shape not in shapes:
        expected = " or ".join(str(list(shape)) for shape in shapes)
        raise InputError(f"{frame.place}: {key}: expected shape {expected}, found {list(array.shape)}")
    if not np.isfinite(array).all():
        place = "" if array.ndim < 2 else f" at {np.argwhere(~np.isfinite(array))[0].tolist()}"
        raise InputError(f"{frame.place}: {key}: expected finite numbers, found nan or infinity{place}")
    huge = np.argwhere(np.abs(array) > LARGEST_LABEL)
    if len(huge):
        place = "" if array.ndim < 2 else f" at {huge[0].tolist()}"
        raise InputError(
            f"{frame.place}: {key}: expected numbers within +-{LARGEST_LABEL:g} {unit}, "
            f"found {array[tuple(huge[0])]:g}{place}"
        )
    return array


def _voigt(frame: Frame, key: str, value: Any, unit: str) -> FloatArray:
    """[6] xx yy zz yz xz xy of a tensor given as [6], [9] or [3, 3]."""
    array = _numbers(frame, key, value, [(6,), (9,), (3, 3)], unit)
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
