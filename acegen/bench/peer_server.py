"""Peer evaluators behind a pipe: one JSON request a line on stdin, one JSON answer a line on stdout.

Run as a script by any Python that has the peer installed (`--peer-python`); it imports nothing of acegen. The caller
alternates its own timed calls with requests to this process, so both see the same machine.

    {"peer": "pyace", "potential": path, "arrays": path.npz, "results": path.npz}        load, evaluate once
    {"peer": "ace-jax", "model": {...}, "arrays": path.npz, "results": path.npz}
        with "rows": true the rows of the design matrix instead of energies
    {"calls": n}                                                                          time n evaluations
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this script: its file names must not hide installed modules

import numpy as np

Arrays = dict[str, np.ndarray]
Run = Callable[[], object]


class Neighbours(NamedTuple):
    """Neighbour matrix as ace-jax's kernel reads it (its names)."""

    neighbors: Any  # [K, n_atoms]
    num_neighbors: Any  # [n_atoms]


class Unable(Exception):
    """The peer is not installed or cannot evaluate this model; one sentence."""


def load_pyace(request: dict[str, Any], arrays: Arrays) -> tuple[Run, Callable[[], Arrays], dict[str, Any]]:
    """ML-PACE's recursive evaluator in python-ace: `compute` on an atomic environment built beforehand."""
    try:
        import pyace
        from ase import Atoms
        from pyace.atomicenvironment import aseatoms_to_atomicenvironment
        from pyace.basis import ACEBBasisSet, ACECTildeBasisSet
        from pyace.calculator import ACECalculator
        from pyace.evaluator import ACERecursiveEvaluator
    except ImportError as error:
        raise Unable(f"pyace is not installed there ({error}): pip install python-ace==0.4.0rc1") from error
    path = request["potential"]
    basis = ACEBBasisSet(path).to_ACECTildeBasisSet() if path.endswith(".yaml") else ACECTildeBasisSet(path)
    names = [str(name) for name in basis.elements_name]
    evaluator = ACERecursiveEvaluator(basis)
    evaluator.set_recursive(True)
    atoms = Atoms(arrays["numbers"], positions=arrays["positions"], cell=arrays["cell"], pbc=True)
    index = {np.bytes_(name): k for k, name in enumerate(names)}
    environment = aseatoms_to_atomicenvironment(atoms, cutoff=basis.cutoffmax, elements_mapper_dict=index)
    calculator = ACECalculator()
    calculator.set_evaluator(evaluator)

    def results() -> Arrays:
        xx, yy, zz, xy, xz, yz = np.array(calculator.virial)  # +dE/dstrain
        virial = -np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        return {
            "energy": np.array(float(calculator.energy)),
            "forces": np.array(calculator.forces, dtype=float).reshape(-1, 3),
            "virial": virial,
        }

    held = (basis, evaluator)  # the calculator keeps plain pointers to them

    def run() -> object:
        return held, calculator.compute(environment, compute_projections=False)

    about = {"what": "recursive evaluator, no neighbour list", "version": getattr(pyace, "__version__", "")}
    return run, results, about


def load_ace_jax(request: dict[str, Any], arrays: Arrays) -> tuple[Run, Callable[[], Arrays], dict[str, Any]]:
    """ace-jax's C++ kernel for its own linear ACE (radial table of 4000 intervals), called through XLA."""
    try:
        import ace_jax
        import jax
    except ImportError as error:
        raise Unable(f"ace-jax is not installed there ({error}): pip install ace-jax==0.4.1") from error
    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from ace_jax.eval import ffi

    wanted = request["model"]
    if request.get("rows"):
        return _ace_jax_rows(wanted, arrays, getattr(ace_jax, "__version__", ""))
    model, n_rows = _ace_jax_model(wanted, arrays)
    ffi.register(ffi.library())
    positions, species, owners, matrix, counts = _with_ghosts(arrays)
    graph = Neighbours(jnp.asarray(matrix), jnp.asarray(counts))
    elements = len(wanted["elements"])
    energy_fn, force_fn = ffi.lammps_fns(model, elements, list(range(elements)), wanted["cutoff"])
    kinds, place = jnp.asarray(species), jnp.asarray(positions)
    forces_of = jax.jit(lambda x: force_fn(x, kinds, graph))
    energies_of = jax.jit(lambda x: energy_fn(x, kinds, graph))

    def run() -> object:
        return forces_of(place).block_until_ready()

    def results() -> Arrays:
        n_atoms = len(arrays["positions"])
        forces = np.zeros((n_atoms, 3))
        np.add.at(forces, owners, np.asarray(forces_of(place)))
        return {"energy": np.asarray(energies_of(place))[:n_atoms].sum(), "forces": forces}

    about = {
        "what": "C++ kernel, energies and forces, forces of periodic images not folded back",
        "version": getattr(ace_jax, "__version__", ""),
        "rows": n_rows,
    }
    return run, results, about


def _ace_jax_rows(
    wanted: dict[str, Any], arrays: Arrays, version: str
) -> tuple[Run, Callable[[], Arrays], dict[str, Any]]:
    """Energy, force and virial rows of one structure from ace-jax's `linear_rows` under jit."""
    import types

    import jax
    import jax.numpy as jnp
    from ace_jax.fit.rows import linear_rows

    model = _ace_jax_built(wanted)
    first, to = arrays["first_edge"], arrays["edge_to"]
    n_atoms, counts = len(first) - 1, np.diff(first)
    width = int(counts.max(initial=0))
    centre = np.repeat(np.arange(n_atoms), counts)
    place = centre, np.arange(len(to)) - first[centre]
    vectors = np.zeros((n_atoms, width, 3))
    vectors[:, :, 0] = wanted["cutoff"]  # padding sits at the cutoff, as in its own data sets
    positions = arrays["positions"]
    vectors[place] = positions[to] - positions[centre] + arrays["shifts"][arrays["edge_shift"]]
    neighbours, mask = np.zeros((n_atoms, width), np.int32), np.zeros((n_atoms, width), bool)
    neighbours[place], mask[place] = to, True
    fields = {
        "nbr": jnp.asarray(neighbours),
        "nbr_mask": jnp.asarray(mask),
        "node_z": jnp.asarray(arrays["species"], jnp.int32),
        "node_cfg": jnp.zeros(n_atoms, jnp.int32),
        "node_mask": jnp.ones(n_atoms, bool),
        "y_E": jnp.zeros(1),
    }
    n_rows, n_pair, n_species = model.WB.shape[0], model.Wpair.shape[0], len(wanted["elements"])
    sizes = types.SimpleNamespace(n_B=n_rows, n_pair=n_pair, NZ=n_species, len_basis=(n_rows + n_pair) * n_species)
    rows_of = jax.jit(lambda rij: linear_rows(model, sizes, types.SimpleNamespace(rij=rij, **fields))[0])
    at = jnp.asarray(vectors)

    def run() -> object:
        return jax.block_until_ready(rows_of(at))

    def results() -> Arrays:
        rows = rows_of(at)
        return {"energy": np.asarray(rows.E), "forces": np.asarray(rows.F), "virial": np.asarray(rows.V)}

    return run, results, {"what": "rows of the design matrix, jit", "version": version, "rows": n_rows}


def _ace_jax_built(wanted: dict[str, Any]) -> Any:
    """ace-jax's model of this specification, its weights as they come."""
    from ace_jax.basis.model import build_model

    return build_model(
        wanted["elements"],
        wanted["order"],
        wanted["degree"],
        wL=wanted["l_weight"],
        rcut=wanted["cutoff"],
        r0=np.array(wanted["r0"]),
        rin=wanted["r_in"],
        with_gamma=False,
    ).model


def _ace_jax_model(wanted: dict[str, Any], arrays: Arrays) -> tuple[Any, int]:
    """The lean model with the weights in `arrays`, or with random ones where the bases differ; and its rows of B."""
    import dataclasses

    import jax.numpy as jnp
    from ace_jax.eval.model import fold_readout, lean

    built = _ace_jax_built(wanted)
    shapes = {"WB": built.WB.shape, "Wpair": built.Wpair.shape, "E0": built.E0.shape}
    random = np.random.default_rng(0)
    weights = {
        name: arrays[name] if wanted["same"] and name in arrays else 1e-3 * random.standard_normal(shape)
        for name, shape in shapes.items()
    }
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise Unable(
                f"ace-jax makes {name} {list(shape)} of this specification, acegen {list(weights[name].shape)}"
            )
    fields = {name: jnp.asarray(values) for name, values in weights.items()}
    model = dataclasses.replace(built, **fields, folded=False)
    return lean(fold_readout(model), radial_table=True), int(shapes["WB"][0])


def _with_ghosts(arrays: Arrays) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Positions with periodic images as atoms, their species and owners, neighbour matrix [K, n_atoms], counts."""
    n_atoms = len(arrays["positions"])
    first, to, rows = arrays["first_edge"], arrays["edge_to"].astype(np.int64), arrays["edge_shift"].astype(np.int64)
    shifts = arrays["shifts"]
    image = to * len(shifts) + rows
    inside = np.asarray(~shifts.any(axis=1))[rows]
    ghosts, number = np.unique(image[~inside], return_inverse=True)
    target = to.copy()
    target[~inside] = n_atoms + number
    owners = np.concatenate([np.arange(n_atoms), ghosts // len(shifts)])
    positions = arrays["positions"][owners]
    positions[n_atoms:] += shifts[ghosts % len(shifts)]
    counts = np.diff(first)
    matrix = np.full((int(counts.max(initial=0)), n_atoms), -1, np.int32)
    centre = np.repeat(np.arange(n_atoms), counts)
    matrix[np.arange(len(to)) - first[centre], centre] = target
    return positions, arrays["species"][owners].astype(np.int32), owners, matrix, counts.astype(np.int32)


PEERS = {"pyace": load_pyace, "ace-jax": load_ace_jax}


def serve() -> None:
    """Answer requests until stdin closes."""
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    # What the peers print must not mix with the answers; and Julia, inside ace-jax, makes stdin non-blocking.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    run: Run | None = None
    for line in requests:
        request = json.loads(line)
        try:
            if "peer" in request:
                with np.load(request["arrays"]) as content:
                    arrays = {name: content[name] for name in content}
                run, results, answer = PEERS[request["peer"]](request, arrays)
                run()
                np.savez(request["results"], allow_pickle=False, **results())
            else:
                answer = timed(run, int(request["calls"]))
        except Unable as error:
            answer = {"error": str(error)}
        except Exception as error:  # whatever the peer raises is reported, not lost with the process
            answer = {"error": f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"}
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(answer), file=answers, flush=True)


def timed(run: Run | None, calls: int) -> dict[str, float]:
    """Processor and wall seconds of `calls` evaluations."""
    if run is None:
        raise Unable("nothing is loaded")
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        run()
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


if __name__ == "__main__":
    serve()
