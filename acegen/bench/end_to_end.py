"""What is around the kernel: threads, batches of small structures, few atoms, and an ASE step with its forces."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from acegen.bench.structures import Crystal, build_structure
from acegen.runtime.evaluation import DEFAULT_PROPERTIES
from acegen.runtime.graph import GraphBatch
from acegen.runtime.kernel import Scratch
from acegen.runtime.model import Model

SKIN = 0.5  # angstrom
MOVE = 0.01  # angstrom, how far every atom moves between two ASE steps
_FEW_CALLS = 20_000
Record = dict[str, Any]
Clock = Callable[[], float]


def end_to_end(
    one: Model,
    several: Model,
    crystal: Crystal,
    repeats: int = 7,
    progress: Callable[[str], None] = lambda text: None,
    n_atoms: int = 2048,
    n_structures: int = 1000,
) -> Record:
    """All four measurements; seconds are medians.

    Args:
        one: the model with one thread.
        several: the same with the number of threads to compare; they should have cores of their own.
        crystal: what the structures are made of.
        repeats: samples of every contender, in turn.
        progress: called with the name of each step as it begins.
        n_atoms: of the structure for threads and ASE.
        n_structures: of 8 atoms in the batch.
    """
    progress("threads")
    record: Record = {"threads": threads(one, several, crystal, repeats, n_atoms)}
    progress("batch of small structures")
    record["batch"] = batch(one, crystal, repeats, n_structures)
    progress("few atoms")
    record["few"] = [few(one, crystal, n, repeats) for n in (4, 8, 16)]
    progress("ASE step")
    record["ase"] = ase_step(one, crystal, max(20, repeats), n_atoms)
    return record


def threads(one: Model, several: Model, crystal: Crystal, repeats: int, n_atoms: int = 2048) -> Record:
    """Wall seconds of `Model.evaluate` with one thread and with several."""
    graph = GraphBatch.from_atoms(build_structure(one.species, crystal, n_atoms), one, SKIN)
    single, many = _in_turn(
        [lambda: one.evaluate(graph), lambda: several.evaluate(graph)], max(repeats, 15), time.perf_counter
    )
    return {
        "atoms": graph.n_atoms,
        "threads": several.threads,
        "seconds_one": single,
        "seconds_several": many,
        "speedup": single / many,
    }


def batch(model: Model, crystal: Crystal, repeats: int, n_structures: int = 1000, n_atoms: int = 8) -> Record:
    """Seconds per atom of many small structures and of one large one of the same crystal and number of atoms."""
    small = [build_structure(model.species, crystal, n_atoms, seed=seed) for seed in range(n_structures)]
    large = build_structure(model.species, crystal, n_atoms * n_structures)
    graphs = [GraphBatch.from_atoms(atoms, model, SKIN) for atoms in (small, large)]
    builds = _in_turn([partial(GraphBatch.from_atoms, atoms, model, SKIN) for atoms in (small, large)], 3)
    times = _in_turn([partial(model.evaluate, graph) for graph in graphs], repeats)
    per_atom = [seconds / graph.n_atoms for seconds, graph in zip(times, graphs, strict=True)]
    return {
        "structures": n_structures,
        "atoms_each": len(small[0]),
        "atoms_large": len(large),
        "seconds_per_atom_batch": per_atom[0],
        "seconds_per_atom_large": per_atom[1],
        "ratio": per_atom[0] / per_atom[1],
        "build_seconds_batch": builds[0],
        "build_seconds_large": builds[1],
    }


def few(model: Model, crystal: Crystal, n_atoms: int, repeats: int) -> Record:
    """Seconds of one call on a few atoms: the kernel alone, `Model.evaluate`, and with new positions each time."""
    atoms = build_structure(model.species, crystal, n_atoms)
    graph = GraphBatch.from_atoms(atoms, model, SKIN)
    positions = atoms.positions.copy()
    times = _in_turn(
        [
            KernelCall(model, graph),
            lambda: model.evaluate(graph),
            lambda: model.evaluate(graph.with_positions(positions)),
        ],
        repeats,
        sample=0.02,
    )
    return {
        "atoms": graph.n_atoms,
        "seconds_kernel": times[0],
        "seconds_evaluate": times[1],
        "seconds_moved": times[2],
    }


def ase_step(model: Model, crystal: Crystal, steps: int, n_atoms: int = 2048) -> Record:
    """Seconds of `get_forces` after a small move, against the kernel alone at the same positions; and of a new list."""
    atoms: Any = build_structure(model.species, crystal, n_atoms)
    atoms.calc = model.calculator(SKIN)
    atoms.get_forces()
    start, stream = atoms.positions.copy(), np.random.default_rng(2)
    bare, forces, rest = [], [], []
    for _ in range(steps):
        moved = start + MOVE / np.sqrt(3.0) * stream.standard_normal(start.shape)
        graph = GraphBatch.from_atoms(atoms, model, SKIN).with_positions(moved)
        bare.append(_seconds(KernelCall(model, graph)))
        atoms.positions = moved
        forces.append(_seconds(atoms.get_forces))
        rest.append(_seconds(lambda: (atoms.get_stress(), atoms.get_potential_energy())))
    rebuild = _in_turn([lambda: GraphBatch.from_atoms(atoms, model, SKIN)], 5)
    kernel, step = statistics.median(bare), statistics.median(forces)
    return {
        "atoms": len(atoms),
        "seconds_kernel": kernel,
        "seconds_forces": step,
        "ratio": step / kernel,
        "seconds_stress_and_energy": statistics.median(rest),
        "seconds_list": rebuild[0],
        "lists": atoms.calc.n_lists,
    }


class KernelCall:
    """The C call alone for energy, forces and virial, everything around it made beforehand."""

    def __init__(self, model: Model, graph: GraphBatch) -> None:
        self._kernel, self._scratch, self._graph = model.kernel, Scratch(), graph
        self._scratch.reserve(self._kernel.workspace_bytes(graph.n_atoms, graph.max_neighbours, 1))
        coefficients = self._kernel.coefficients_pointer(model.coefficients)
        self.results, self._arguments = self._kernel.arguments(
            graph, DEFAULT_PROPERTIES, coefficients, 1, self._scratch
        )

    def __call__(self) -> None:
        self._kernel.call(self._arguments)


def text_of(record: Record) -> str:
    """The four measurements in words."""
    threads, batch, ase = record["threads"], record["batch"], record["ase"]
    lines = [
        f"threads     {threads['atoms']} atoms: 1 thread {1e3 * threads['seconds_one']:.2f} ms, "
        f"{threads['threads']} threads {1e3 * threads['seconds_several']:.2f} ms, {threads['speedup']:.2f}x",
        f"batch       {batch['structures']} x {batch['atoms_each']} atoms: "
        f"{1e6 * batch['seconds_per_atom_batch']:.2f} us/atom, {batch['ratio']:.2f} times that of "
        f"{batch['atoms_large']} atoms; lists {1e3 * batch['build_seconds_batch']:.1f} ms "
        f"({1e3 * batch['build_seconds_large']:.1f} ms)",
    ]
    for small in record["few"]:
        kernel = 1e6 * small["seconds_kernel"]
        more, moved = (1e6 * small[key] - kernel for key in ("seconds_evaluate", "seconds_moved"))
        lines.append(
            f"few atoms   {small['atoms']}: kernel {kernel:.1f} us, evaluate +{more:.1f} us, moved +{moved:.1f} us"
        )
    lines.append(
        f"ASE         {ase['atoms']} atoms: kernel {1e3 * ase['seconds_kernel']:.2f} ms, get_forces "
        f"{1e3 * ase['seconds_forces']:.2f} ms ({ase['ratio']:.2f}), then stress and energy "
        f"{1e6 * ase['seconds_stress_and_energy']:.0f} us; new list {1e3 * ase['seconds_list']:.2f} ms"
    )
    return "\n".join(lines)


def _seconds(work: Callable[[], object], clock: Clock = time.thread_time, calls: int = 1) -> float:
    """Seconds of one of `calls` calls."""
    start = clock()
    for _ in range(calls):
        work()
    return (clock() - start) / calls


def _in_turn(
    works: Sequence[Callable[[], object]], repeats: int, clock: Clock = time.thread_time, sample: float = 0.0
) -> list[float]:
    """Median seconds of each work, sampled one after the other; a sample lasts about `sample` seconds."""
    calls = []
    for work in works:
        work()
        calls.append(max(1, min(_FEW_CALLS, round(sample / max(_seconds(work), 1e-7)))))
    samples = [[_seconds(work, clock, n) for work, n in zip(works, calls, strict=True)] for _ in range(repeats)]
    return [statistics.median(column) for column in zip(*samples, strict=True)]
