"""How the kernel sorts candidates and which atoms share its lanes have no influence on what it finds."""

from __future__ import annotations

from pathlib import Path

import ase
import numpy as np
import pytest
from kernels import Kernels
from structures import worst
from zoo import zoo_file

from acegen import GraphBatch
from acegen.runtime.model import Model


@pytest.fixture(scope="module")
def model(shared: Path, kernels: Kernels) -> Model:
    """Five species."""
    return kernels(zoo_file(shared, "Cantor5-medium-s1"))


def test_candidates_beyond_the_cutoff(model: Model) -> None:
    """Any number of listed neighbours beyond the cutoff, here more than the packed counts hold, changes no bit."""
    rng = np.random.default_rng(0)
    n_near, n_far, n_species = 30, 1200, len(model.species)
    directions = rng.normal(size=(n_near + n_far, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    lengths = model.cutoff * np.where(np.arange(n_near + n_far) < n_near, 0.5, 1.1) + rng.random(n_near + n_far)
    order = rng.permutation(n_near + n_far)  # near ones among far ones
    near = order < n_near
    found = []
    for taken in (order[near], order):
        graph = GraphBatch.from_arrays(
            species=np.array([0, *range(n_species)], np.int32),
            edge_from=np.zeros(len(taken), np.int32),
            edge_to=(1 + taken % n_species).astype(np.int32),
            edge_vectors=(directions * lengths[:, None])[taken],
        )
        found.append(model.evaluate(graph, ("energies", "edge_gradients")))
    few, many = found
    assert few.energies[0] == many.energies[0]
    assert np.array_equal(few.edge_gradients, many.edge_gradients[near])
    assert not many.edge_gradients[~near].any()


def test_atoms_of_unlike_surroundings(model: Model) -> None:
    """A droplet with vapour, more atoms of a species than share a window: their order does not matter."""
    rng = np.random.default_rng(2)
    sites = 2.5 * np.stack(np.meshgrid(*[np.arange(10.0)] * 3), axis=-1).reshape(-1, 3)
    sites = sites[rng.random(1000) < np.linspace(1.0, 0.05, 1000)]  # dense on one side
    sites += rng.normal(size=sites.shape) * 0.05
    atoms = ase.Atoms([model.species[k] for k in rng.integers(0, 2, len(sites))], positions=sites)
    order = rng.permutation(len(atoms))
    found, expected = (model.evaluate(each, ("energies", "forces")) for each in (atoms[order], atoms))
    assert worst(found.energies, expected.energies[order]) <= 1e-13
    assert worst(found.forces, expected.forces[order]) <= 1e-12
