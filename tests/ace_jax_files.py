"""Run by the peer's Python: model files of ace-jax and what ace-jax itself makes of them; imports nothing of acegen.

python ace_jax_files.py FOLDER NAME...      NAME.npz and NAME_values.npz for each case of CASES
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

STRUCTURES = 3  # the last one is a cluster
WITH_ROWS = ("Si_order4_glorot", "SiGe_order3", "SiGe_ace1")  # rows of the design matrix are slow: of the cluster only


def cases() -> dict[str, Callable[[], Any]]:
    """Makers of ace-jax bases: radial kinds, numbers of elements, orders."""
    from ace_jax.basis.model import build_embedding_model, build_model

    def splined(basis: Any, intervals: int) -> Any:
        from ace_jax.eval.splinify import to_spline

        return basis._replace(model=to_spline(basis.model, n_intervals=intervals)[0])

    glorot = {"radial_mode": "glorot_normal", "pair_mode": "glorot_normal"}
    rows = np.random.default_rng(3).normal(size=(3, 10))
    return {
        "Si_order2": lambda: build_model(["Si"], 2, 6),
        "Si_order4_glorot": lambda: build_model(["Si"], 4, 7, **glorot),
        "SiGe_order3": lambda: build_model(["Si", "Ge"], 3, 5),
        "SiGe_order4": lambda: build_model(["Ge", "Si"], 4, 5),
        "SiGe_order3_glorot": lambda: build_model(["Si", "Ge"], 3, 4, rin=0.4, rcut=5.1, seed=2, **glorot),
        "CrMnFe_order2": lambda: build_model(["Cr", "Mn", "Fe"], 2, 5, rcut=4.6),
        "CrMnFe_order3_glorot": lambda: build_model(["Cr", "Mn", "Fe"], 3, 3, seed=3, **glorot),
        "SiGe_bessel": lambda: build_model(["Si", "Ge"], 3, 4, rnl_basis="sbessel", **glorot),
        "Si_spline": lambda: splined(build_model(["Si"], 4, 6), 40),
        "SiGe_spline": lambda: splined(build_model(["Si", "Ge"], 3, 4, seed=4, **glorot), 30),
        "SiGe_ace1": lambda: build_embedding_model(["Si", "Ge"], 3, 5, embedding="identity"),
        "CrMnFe_ace1_mixed": lambda: build_embedding_model(["Cr", "Mn", "Fe"], 3, 4, rows=rows),
    }


def structure(symbols: int, number: int) -> dict[str, np.ndarray]:
    """Atoms at random, not too close, in a periodic cell (0, 1) or free (2)."""
    random = np.random.default_rng(10 + number)
    grid = np.stack(np.meshgrid(*[np.arange(2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    positions = 2.7 * grid + random.uniform(-0.4, 0.4, (8, 3))
    cell = 5.4 * np.eye(3) + random.uniform(-0.3, 0.3, (3, 3))
    species = np.arange(8) % symbols if number < 2 else random.integers(0, symbols, 8)
    return {"positions": positions, "cell": cell, "pbc": np.full(3, number < 2), "species": species}


def values(path: Path, n_species: int) -> dict[str, np.ndarray]:
    """Energy, forces, virial and basis of every structure, as the file is loaded by ace-jax."""
    import jax
    import jax.numpy as jnp
    from ace_jax.eval.io import load
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    model, _, _ = load(path)
    out: dict[str, np.ndarray] = {}
    for number in range(STRUCTURES):
        given = structure(n_species, number)
        atoms = Atoms(np.ones(8), given["positions"], cell=given["cell"], pbc=given["pbc"])
        i, j, vectors = neighbor_list("ijD", atoms, float(model.pair_envelope[..., 0].max()))
        kinds = jnp.asarray(given["species"])
        edges = (jnp.asarray(vectors), kinds[i], kinds[j])
        energy, forces, virial = model.energy_forces_virial(*edges, jnp.asarray(i), jnp.asarray(j), 8, kinds)
        many, pair = model.site_basis(*edges, jnp.asarray(i), 8)
        found = {"energy": energy, "forces": forces, "virial": virial, "basis": np.concatenate([many, pair], axis=1)}
        if number == STRUCTURES - 1 and path.stem in WITH_ROWS:
            _, jacobian = jax.jit(lambda *e: model.edge_jacobian(*e, 8))(*edges, jnp.asarray(i))
            found["rows"] = force_rows(
                np.asarray(jacobian), i, j, given["species"], model.WB.shape, model.Wpair.shape[0]
            )
        out |= {f"{name}_{number}": np.asarray(value) for name, value in (found | given).items()}
    return out


def force_rows(
    jacobian: np.ndarray, i: np.ndarray, j: np.ndarray, species: np.ndarray, shape: tuple[int, int], n_pair: int
) -> np.ndarray:
    """Rows [8, 3, n_parameters] of forces over weights, from dB(i)/dr_ij [n_edges, n_basis, 3]."""
    n_many, n_species = shape
    out = np.zeros((8, 3, n_species * (n_many + n_pair)))
    for edge, (a, b) in enumerate(zip(i, j, strict=True)):
        many = species[a] * n_many + np.arange(n_many)
        pair = n_species * n_many + species[a] * n_pair + np.arange(n_pair)
        columns = np.concatenate([many, pair])
        out[a][:, columns] += jacobian[edge].T
        out[b][:, columns] -= jacobian[edge].T
    return out


def main(folder: Path, names: list[str]) -> None:
    """Write the files of the named cases."""
    import dataclasses

    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    from ace_jax.basis.export import save_npz

    made = cases()
    for name in names:
        basis = made[name]()
        random = np.random.default_rng(len(name))
        weights = {
            key: jnp.asarray(0.1 * random.standard_normal(getattr(basis.model, key).shape))
            for key in ("WB", "Wpair", "E0")
        }
        basis = basis._replace(model=dataclasses.replace(basis.model, folded=False, **weights))
        path = folder / f"{name}.npz"
        save_npz(path, basis)
        np.savez(folder / f"{name}_values.npz", **values(path, len(basis.model.elements)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
