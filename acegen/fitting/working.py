"""The model a fit works with: the specification compiled in double precision, with weights that can be replaced."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from acegen.errors import SpecError
from acegen.fitting.reference import Reference
from acegen.loader import load
from acegen.runtime.model import Model
from acegen.spec.files import is_pace_text
from acegen.spec.model import BasisSpec
from acegen.spec.read import read_spec
from acegen.spec.text import with_keys


def read_fittable(path: Path) -> BasisSpec:
    """The specification at `path`, which must be linear in its weights.

    Raises:
        SpecError: it breaks a rule, is no specification, or has an embedding.
    """
    if not path.is_file():
        raise SpecError(f"{path}: expected a basis specification, found nothing")
    if path.suffix not in (".yaml", ".yml") or is_pace_text(path.read_text(encoding="utf-8", errors="replace")):
        raise SpecError(f"{path}: expected a basis specification (.yaml), only these can be fitted")
    spec = read_spec(path)
    if spec.embedding.kind != "linear":
        raise SpecError(
            f"{path.name}: embedding: expected linear, got {spec.embedding.kind!r}: a linear fit needs an energy that "
            "is linear in the weights"
        )
    return spec


def working_model(path: Path, spec: BasisSpec, threads: int | None) -> Model:
    """Compile (or find in the cache) the model of a specification with weights 0 and no reference energies.

    It depends on neither structures nor choices: fitting again compiles nothing.
    """
    values = {
        "name": spec.name,
        "precision": "float64",
        "reference_energies": {},
        "weights": "zero",
        "weights_replaceable": True,
    }
    with tempfile.TemporaryDirectory(prefix="acegen-fit-") as scratch:
        own = Path(scratch) / f"{spec.name}.yaml"
        own.write_text(with_keys(path, values), encoding="utf-8")
        copy_radial_weights(path, spec, own.parent)
        return load(own, "cpu", "float64", threads)


def reference_mapping(spec: BasisSpec, reference: Reference) -> dict[str, float]:
    """E0 (eV) by symbol, as a specification says it."""
    return dict(zip(spec.elements, map(float, reference.energies), strict=True))


def copy_radial_weights(path: Path, spec: BasisSpec, folder: Path) -> None:
    """Put the array file of given radial weights, if there is one, next to a copy of the specification.

    Raises:
        SpecError: another file of that name is there.
    """
    source = spec.radial.weights.source
    if source is None:
        return
    there = folder / source.file
    if there.exists():
        if there.read_bytes() != source.path.read_bytes():
            raise SpecError(
                f"{there}: another file than the radial weights of {path.name}, expected it not to be there"
            )
        return
    there.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source.path, there)
