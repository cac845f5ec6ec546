"""The specification of a fit, and the model it works with: double precision, with weights that can be replaced."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acegen.aside import written_aside
from acegen.errors import SpecError
from acegen.fitting.reference import Reference
from acegen.loader import load
from acegen.runtime.model import Model
from acegen.spec.files import is_pace_text
from acegen.spec.model import BasisSpec
from acegen.spec.read import parse_yaml, read_text, spec_of
from acegen.spec.text import top_level, with_keys


@dataclass(frozen=True, slots=True)
class Fittable:
    """A linear specification as it was when the fit began: its file may be edited meanwhile."""

    path: Path
    text: str
    spec: BasisSpec

    @property
    def keys(self) -> frozenset[str]:
        """Keys that the specification itself has at the top level."""
        return frozenset(top_level(self.text))

    @property
    def files(self) -> tuple[Path, ...]:
        """The specification and the array files that it names."""
        arrays = (self.spec.weights.source, self.spec.radial.weights.source)
        return self.path, *(array.path for array in arrays if array is not None)

    def written(self, folder: Path, values: Mapping[str, Any], taken: str = "") -> str:
        """Text for a specification in `folder` with these values; the array file of given radial weights is copied.

        Args:
            folder: where the specification will be.
            values: of top-level keys.
            taken: name of another array file there, which radial weights must not replace.

        Raises:
            SpecError: another file than the radial weights is there, or they were changed since they were read.
        """
        source = self.spec.radial.weights.source
        if source is None or Path(source.file).is_absolute():
            return with_keys(self.text, values)
        name = Path(source.file).name  # next to the specification, wherever it was before
        if name == taken:
            name = f"{Path(taken).stem}_radial.npz"
        self._copy_radial_weights(source.path, source.sha256, folder / name)
        if name == source.file:
            return with_keys(self.text, values)
        radial = top_level(self.text)["radial"]
        return with_keys(self.text, {"radial": {**radial, "weights": {**radial["weights"], "file": name}}, **values})

    def _copy_radial_weights(self, source: Path, checksum: str, there: Path) -> None:
        content = source.read_bytes()
        if hashlib.sha256(content).hexdigest() != checksum:
            raise SpecError(f"{source}: radial weights changed since {self.path.name} was read, expected the same")
        if not there.exists():
            with written_aside(there, SpecError) as file:
                file.write(content)
        elif there.read_bytes() != content:
            raise SpecError(
                f"{there}: another file than the radial weights of {self.path.name}, expected it not to be there"
            )


def read_fittable(path: Path) -> Fittable:
    """The specification at `path`, which must be linear in its weights.

    Raises:
        SpecError: it breaks a rule, is no specification, or has an embedding.
    """
    if path.is_dir():
        raise SpecError(f"{path}: expected a basis specification (.yaml), found a folder")
    if not path.is_file():
        raise SpecError(f"{path}: expected a basis specification, found nothing")
    if path.suffix not in (".yaml", ".yml"):
        raise SpecError(f"{path}: expected a basis specification (.yaml), only these can be fitted")
    text = read_text(path)
    if is_pace_text(text):
        raise SpecError(f"{path}: expected a basis specification, found a PACE potential, which cannot be fitted")
    spec = spec_of(parse_yaml(text, path.name), path)
    if spec.embedding.kind != "linear":
        raise SpecError(
            f"{path.name}: embedding: expected linear, got {spec.embedding.kind!r}: a linear fit needs an energy that "
            "is linear in the weights"
        )
    return Fittable(path, text, spec)


def working_model(source: Fittable, threads: int | None) -> Model:
    """Compile (or find in the cache) the model of a specification with weights 0 and no reference energies.

    It depends on neither structures nor choices: fitting again compiles nothing.
    """
    values = {
        "name": source.spec.name,
        "precision": "float64",
        "reference_energies": {},
        "weights": "zero",
        "weights_replaceable": True,
    }
    with tempfile.TemporaryDirectory(prefix="acegen-fit-") as scratch:
        own = Path(scratch) / f"{source.spec.name}.yaml"
        own.write_text(source.written(own.parent, values), encoding="utf-8")
        return load(own, "cpu", "float64", threads)


def reference_mapping(spec: BasisSpec, reference: Reference) -> dict[str, float]:
    """E0 (eV) by symbol, as a specification says it."""
    return dict(zip(spec.elements, map(float, reference.energies), strict=True))
