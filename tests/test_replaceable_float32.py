"""Single precision of models whose weights may change: as accurate as with fixed weights, near those compiled in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from structures import cluster, lattice

import acegen
from acegen.inputs import read_input
from acegen.runtime.model import Model

_SPEC = """name: {name}
elements: [Si]
order: 2
degree: 7
cutoff: 5.0
pair: {{degree: 8}}
weights: {{{weights}}}
weights_replaceable: true
"""
NAMES = ("energy", "forces", "virial")


def _cancelling(folder: Path) -> None:
    """Weights of order 1 whose terms of thousands of eV all but cancel, as a fit of many radial functions gives."""
    path = folder / "zero.yaml"
    path.write_text(_SPEC.format(name="zero", weights="kind: random, seed: 3"))
    model = acegen.load(path)
    rows = model.evaluate([cluster(model, seed) for seed in range(8)], "basis").basis
    flat = {f"weights_{a}": np.array(weights) for a, weights in enumerate(model.weights)}
    functions = read_input(path).potential.centres[0].functions
    first = np.array([len(function.channels) == 1 for function in functions])
    least = np.linalg.svd(rows[:, : len(first)][:, first], full_matrices=False)[2][-1]
    for weights in flat.values():
        weights[first, 0] += 1e4 * least
    np.savez(folder / "cancelling.npz", allow_pickle=False, **flat)


def _errors(model: Model, exact: Model) -> tuple[float, float, float]:
    """Largest errors of energies per atom (eV), forces (eV/A) and virials (eV)."""
    atoms = [lattice(exact, (2, 2, 2)), cluster(exact)]
    sizes = np.array([len(one) for one in atoms])
    found, right = model.evaluate(atoms, NAMES), exact.evaluate(atoms, NAMES)
    return (
        float(np.abs((found.energy - right.energy) / sizes).max()),
        float(np.abs(found.forces - right.forces).max()),
        float(np.abs(found.virial - right.virial).max()),
    )


def test_single_precision_of_replaceable_weights(tmp_path: Path) -> None:
    """Errors as with fixed weights; other weights are right too, and the old ones put back give the same bits."""
    _cancelling(tmp_path)
    path = tmp_path / "made.yaml"
    path.write_text(_SPEC.format(name="made", weights="kind: file, file: cancelling.npz"))
    exact, model = acegen.load(path), acegen.load(path, precision="float32")
    energy, force, virial = _errors(model, exact)
    assert energy < 1e-5 and force < 1e-4 and virial < 1e-3
    old, before = model.weights, model.evaluate(cluster(model), "forces").forces
    exact.weights = model.weights = [1.01 * w for w in old]
    assert _errors(model, exact)[0] < 1e-3  # a hundredth of the large terms is summed one by one
    model.weights = old
    np.testing.assert_array_equal(model.evaluate(cluster(model), "forces").forces, before)


def test_bundles_for_double_precision_say_what_single_loses(tmp_path: Path) -> None:
    """One sentence where terms cancel that a bundle made for float32 has in tables."""
    _cancelling(tmp_path)
    path = tmp_path / "made.yaml"
    path.write_text(_SPEC.format(name="made", weights="kind: file, file: cancelling.npz"))
    bundle = acegen.compile(path, tmp_path / "double.acegen")
    exact, direct = bundle.load(), acegen.load(path, precision="float32")
    with pytest.warns(UserWarning, match=r"double\.acegen: compiled for float64, its energies in float32 lose a digit"):
        model = bundle.load(precision="float32")
    assert _errors(model, exact)[0] > 10.0 * _errors(direct, exact)[0]


def test_bundles_without_cancelling_terms_are_silent(specs: Path, tmp_path: Path) -> None:
    """And their manifests do not mention it."""
    bundle = acegen.compile(specs / "si_pair.yaml", tmp_path / "si_pair.acegen")
    bundle.load(precision="float32")
    assert "cancels" not in (bundle.path / "manifest.json").read_text()
