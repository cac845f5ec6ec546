"""Stage 2, weights: zero, from a file, or seeded random numbers of physical size for benchmarks.

A weights file (.npz) holds `weights_0`, `weights_1`, ... per species, [n_functions, n_densities] (or [n_functions]
for one density), many-body rows first and then pair rows; or, for linear models, the one array `parameters`:
[B of species 0 | B of species 1 | ... | pair of species 0 | ...].
Active sets and committees may be in the same file, see `acegen.basis.kept`.

Random weights.  From a Philox stream of (seed, species), w[b, p] = scale * AMPLITUDE * g / (sqrt(n_order) *
order * SPREAD^(order-1)), g standard normal, n_order the number of rows of that correlation order.  The constants
are chosen by trial so that forces in a disordered crystal of metallic or covalent density are of the order of
1 eV/angstrom for scale 1; the numbers mean nothing else.
"""

from __future__ import annotations

import math
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from acegen.errors import SpecError
from acegen.potential import BasisFunction
from acegen.spec.model import BasisSpec

AMPLITUDE = 0.5  # eV
SPREAD = 1.5
LARGEST = 1e30  # eV; more than float32 holds, once multiplied by B


def load_arrays(path: Path, label: str) -> dict[str, np.ndarray]:
    """All arrays of an .npz file; `label` opens the message when it is not one."""
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: np.asarray(content[name]) for name in content}
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile):
        raise SpecError(f"{label}: expected a NumPy .npz file of numbers, got an unreadable one") from None


def pick(arrays: dict[str, np.ndarray], label: str, name: str) -> np.ndarray:
    """One of them as float64; absent or not finite is an error."""
    if name not in arrays:
        raise SpecError(f"{label}: expected an array {name!r}, got {', '.join(sorted(arrays)) or 'none'}")
    array = arrays[name]
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        found = "infinite or undefined ones" if array.dtype.kind in "fiu" else f"type {array.dtype}"
        raise SpecError(f"{label}: array {name!r}: expected finite real numbers, got {found}")
    return array.astype(np.float64)


def make_weights(spec: BasisSpec, functions: tuple[BasisFunction, ...]) -> tuple[np.ndarray, ...]:
    """Weights per species, float64 [n_functions, n_densities]; `functions` are the rows common to all centres."""
    n_densities = len(spec.embedding.scales)
    if spec.weights.kind == "random":
        return tuple(_random(spec, functions, centre, n_densities) for centre in range(spec.n_species))
    if spec.weights.source is not None:
        result = _from_file(spec, functions, n_densities)
        largest = max(float(np.abs(array).max(initial=0.0)) for array in result)
        if largest > LARGEST:
            label = f"{spec.source}: weights.file {spec.weights.source.file}"
            raise SpecError(f"{label}: expected weights up to {LARGEST:g} eV, got {largest:g}")
        return result
    return tuple(np.zeros((len(functions), n_densities)) for _ in range(spec.n_species))


def _random(spec: BasisSpec, functions: tuple[BasisFunction, ...], centre: int, n_densities: int) -> np.ndarray:
    stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([spec.weights.seed, centre])))
    sizes = Counter((function.pair, len(function.channels)) for function in functions)
    sigma = np.array(
        [
            1.0 / (math.sqrt(sizes[f.pair, len(f.channels)]) * len(f.channels) * SPREAD ** (len(f.channels) - 1))
            for f in functions
        ]
    )
    return spec.weights.scale * AMPLITUDE * sigma[:, None] * stream.standard_normal((len(functions), n_densities))


def _from_file(spec: BasisSpec, functions: tuple[BasisFunction, ...], n_densities: int) -> tuple[np.ndarray, ...]:
    source = spec.weights.source
    if source is None:
        raise SpecError(f"{spec.source}: weights.file: expected the name of an .npz file, but the key is missing")
    label = f"{spec.source}: weights.file {source.file}"
    shape = (len(functions), n_densities)
    arrays = load_arrays(source.path, label)
    if "parameters" in arrays:
        return _split_parameters(label, pick(arrays, label, "parameters"), spec, functions)
    result = []
    for centre in range(spec.n_species):
        array = pick(arrays, label, f"weights_{centre}")
        if array.ndim == 1 and n_densities == 1:
            array = array[:, None]
        if array.shape != shape:
            raise SpecError(f"{label}: weights_{centre}: expected shape {list(shape)}, got {list(array.shape)}")
        result.append(array)
    return tuple(result)


def _split_parameters(
    label: str, array: np.ndarray, spec: BasisSpec, functions: tuple[BasisFunction, ...]
) -> tuple[np.ndarray, ...]:
    if len(spec.embedding.scales) != 1:
        raise SpecError(f"{label}: parameters: expected arrays weights_0, ... for a model of several densities")
    n_pair = sum(function.pair for function in functions)
    n_body = len(functions) - n_pair
    expected = [spec.n_species * len(functions)]
    if list(array.shape) != expected:
        raise SpecError(f"{label}: parameters: expected shape {expected}, got {list(array.shape)}")
    body = array[: spec.n_species * n_body].reshape(spec.n_species, n_body)
    pair = array[spec.n_species * n_body :].reshape(spec.n_species, n_pair)
    return tuple(np.concatenate([body[a], pair[a]])[:, None] for a in range(spec.n_species))
