"""Checked access to the arrays and the meta text of an ace-jax `.npz` file (ace_model.md S14)."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from acegen.errors import PotentialError

ANY = -1  # a length that is not known beforehand


@dataclass(frozen=True, slots=True, eq=False)
class Archive:
    """A file: its name for messages, its arrays, and the mapping stored as `meta_json`."""

    file: str
    arrays: dict[str, np.ndarray]
    meta: dict[str, object]

    def fail(self, what: str, expected: str, found: object) -> PotentialError:
        """The error for a wrong entry."""
        return PotentialError(f"{self.file}: {what}: expected {expected}, found {found}")

    def has(self, name: str) -> bool:
        """Whether there is such an array."""
        return name in self.arrays

    def numbers(self, name: str, *shape: int) -> np.ndarray:
        """A float64 array of finite numbers; lengths of `shape` may be ANY."""
        array = self._array(name, "fiu", *shape)
        if not np.isfinite(array).all():
            raise self.fail(name, "finite numbers", "infinite or undefined ones")
        return array.astype(np.float64)

    def indices(self, name: str, limit: int, *shape: int) -> np.ndarray:
        """An int64 array of indices from 0 to limit - 1."""
        array = self._array(name, "iu", *shape)
        if array.size and not 0 <= array.min() <= array.max() < limit:
            raise self.fail(name, f"indices from 0 to {limit - 1}", f"{array.min()} to {array.max()}")
        return array.astype(np.int64)

    def _array(self, name: str, kinds: str, *shape: int) -> np.ndarray:
        if name not in self.arrays:
            raise PotentialError(f"{self.file}: {name}: expected this array in the file, found none")
        array = self.arrays[name]
        wanted = [str(length) if length != ANY else "any" for length in shape]
        fits = array.ndim == len(shape) and all(w in (ANY, n) for w, n in zip(shape, array.shape, strict=True))
        if not fits:
            raise self.fail(name, f"shape [{', '.join(wanted)}]", list(array.shape))
        if array.dtype.kind not in kinds:
            raise self.fail(name, "whole numbers" if kinds == "iu" else "real numbers", f"type {array.dtype}")
        return array

    def word(self, key: str, allowed: tuple[str, ...], default: str = "") -> str:
        """A word of the meta text."""
        value = self.meta.get(key, default or None)
        if not isinstance(value, str) or value not in allowed:
            raise self.fail(f"meta_json.{key}", f"one of {', '.join(allowed)}", repr(value))
        return value


def read_archive(path: Path) -> Archive:
    """All arrays of an ace-jax model file.

    Raises:
        PotentialError: not an `.npz` file, or one of something else.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: np.asarray(content[name]) for name in content}
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile):
        raise PotentialError(f"{path.name}: expected a NumPy .npz file of numbers, found an unreadable one") from None
    if "meta_json" not in arrays:
        beside = path.with_suffix(".yaml")
        way_out = f"load {beside.name}" if beside.is_file() else "they are read through its key weights"
        raise PotentialError(
            f"{path.name}: expected an ace-jax model (an array meta_json), found arrays {_listed(arrays)}; "
            f"if these are weights of a specification, {way_out}"
        )
    try:
        meta = json.loads(bytes(arrays["meta_json"]).decode())
    except (ValueError, RecursionError):
        raise PotentialError(f"{path.name}: meta_json: expected JSON text, found an unreadable one") from None
    if not isinstance(meta, dict):
        raise PotentialError(f"{path.name}: meta_json: expected a JSON object, found {type(meta).__name__}")
    archive = Archive(path.name, arrays, meta)
    if meta.get("schema_version") != 1:
        raise archive.fail("meta_json.schema_version", "1", repr(meta.get("schema_version")))
    return archive


def _listed(arrays: dict[str, np.ndarray]) -> str:
    names = sorted(arrays)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") if names else "none"
