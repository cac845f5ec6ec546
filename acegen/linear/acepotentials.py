"""Stage 1 for `.json` files of ACEpotentials (ace_model.md S15): keywords of ace1_model and a list of weights.

The file holds neither the basis nor its coupling: both are rebuilt from the keywords, and only where the result is
known to be the same to rounding.  Everything else is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from acegen.basis.coupled import enumerate_potential
from acegen.basis.product import bodies
from acegen.errors import PotentialError
from acegen.linear.keywords import specification
from acegen.linear.older_coupling import older_row_factor
from acegen.pace.assemble import LARGEST, c_identifier
from acegen.potential import Potential
from acegen.spec.model import BasisSpec
from acegen.spec.read import spec_of

_KNOWN = ("model_parameters", "model_spec", "meta", "errors", "project", "manifest")
_OTHER_WAY = "export the model to .npz with ace-jax instead"


def read_acepotentials(path: Path) -> Potential:
    """The model of a `.json` file saved by ACEpotentials; weights are replaceable.

    Args:
        path: the file.

    Raises:
        PotentialError: unreadable, not such a model, or with a part that cannot be reproduced exactly.
        SpecError: keywords out of range.
    """
    path = Path(path)
    content = _read(path)
    version = _coupling_version(content, path.name)
    keywords = content.get("model_spec")
    if not isinstance(keywords, dict):
        raise PotentialError(f"{path.name}: model_spec: expected the keywords of ace1_model, found {keywords!r}")
    name = c_identifier(path.stem)
    spec = spec_of({"name": name, **specification(keywords, path.name)}, path)
    factors = _row_factors(spec, path.name, version)
    potential = enumerate_potential(spec)
    weights = _weights(content, path.name, potential, factors)
    centres = tuple(replace(centre, weights=w) for centre, w in zip(potential.centres, weights, strict=True))
    return replace(potential, centres=centres, digest=hashlib.sha256(path.read_bytes()).hexdigest(), replaceable=True)


def _read(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PotentialError(f"{path.name}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise PotentialError(f"{path.name}: expected JSON text, found something else") from None
    if not isinstance(content, dict) or "model_spec" not in content:
        raise PotentialError(f"{path.name}: expected a model saved by ACEpotentials (key model_spec), found none")
    for key in content:
        if key not in _KNOWN:
            raise PotentialError(f"{path.name}: {key}: expected one of {', '.join(_KNOWN)}, found an unknown key")
    return content


def _coupling_version(content: dict[str, object], file: str) -> str:
    """The version of EquivariantTensors in the manifest, below 0.5."""
    found: object = content.get("manifest")
    for key in ("deps", "EquivariantTensors"):
        found = found.get(key) if isinstance(found, dict) else None
    first = found[0] if isinstance(found, list) and found else found
    version = first.get("version") if isinstance(first, dict) else None
    place = f"{file}: manifest.deps.EquivariantTensors"
    numbers = re.match(r"(\d{1,9})\.(\d{1,9})", version) if isinstance(version, str) else None
    if not isinstance(version, str) or numbers is None:
        raise PotentialError(
            f"{place}: expected its version, which decides signs and norms of the rows of B, found {version!r}; "
            + _OTHER_WAY
        )
    if (int(numbers[1]), int(numbers[2])) >= (0, 5):
        raise PotentialError(
            f"{place}: expected a version below 0.5, found {version}, whose rows of B have signs that come from a "
            f"linear solver and are not in the file; {_OTHER_WAY}"
        )
    return version


def _row_factors(spec: BasisSpec, file: str, version: str) -> np.ndarray:
    """Their rows of B over ours."""
    out = []
    for body in bodies(spec):
        factor = older_row_factor(body.groups) if body.n_rows == 1 else None
        if factor is None:
            text = "".join(f"({n} {l})" for n, l in body.factors)
            raise PotentialError(
                f"{file}: model_spec.order: expected products with one way of coupling, found {text} with several: "
                f"which combinations EquivariantTensors {version} made of them is not in the file; {_OTHER_WAY}"
            )
        out.append(factor)
    return np.array(out)


def _weights(content: dict[str, object], file: str, potential: Potential, factors: np.ndarray) -> list[np.ndarray]:
    """Weights per species [n_functions, 1] for our rows, from [B of species 0 | ... | pair of species 0 | ...]."""
    try:
        given = np.array(content.get("model_parameters"), dtype=np.float64)
    except (ValueError, TypeError):
        given = np.zeros((0, 0))
    n_species, n_functions = len(potential.species), len(potential.centres[0].functions)
    n_body = len(factors)
    if given.shape != (n_species * n_functions,):
        raise PotentialError(
            f"{file}: model_parameters: expected {n_species * n_functions} numbers for this basis (learnable radial "
            f"functions are not read), found {'shape ' + str(list(given.shape)) if given.ndim != 1 else len(given)}"
        )
    if not np.isfinite(given).all() or float(np.abs(given).max(initial=0.0)) > LARGEST:
        raise PotentialError(f"{file}: model_parameters: expected finite numbers up to {LARGEST:g}, found others")
    many = given[: n_species * n_body].reshape(n_species, n_body) * factors
    pair = given[n_species * n_body :].reshape(n_species, n_functions - n_body)
    return [np.concatenate([many[a], pair[a]])[:, None] for a in range(n_species)]
