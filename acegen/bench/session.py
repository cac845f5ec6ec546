"""One run of the bench: kernels, structures, peers, alternating samples; the result is a plain JSON record."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acegen.bench.bandwidth import read_bandwidth
from acegen.bench.census import edges_inside
from acegen.bench.cold import Made, make_kernel
from acegen.bench.contenders import Contender, KernelContender
from acegen.bench.end_to_end import end_to_end
from acegen.bench.machine import describe_machine
from acegen.bench.measure import Timing, alternate
from acegen.bench.peak import Peak
from acegen.bench.peer_requests import make_request
from acegen.bench.peers import NATIVE, PeerProcess
from acegen.bench.roofs import measure_floors
from acegen.bench.structures import RATTLE, build_structure, choose_crystal
from acegen.runtime.graph import GraphBatch
from acegen.runtime.loaded import LoadedModel
from acegen.runtime.model import Model

FORMAT = 1
SKIN = 0.5  # angstrom, of the neighbour list
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to measure."""

    source: Path
    sizes: tuple[int, ...] = (2048,)
    precisions: tuple[str, ...] = ("float64",)
    threads: tuple[int, ...] = (1,)
    against: tuple[str, ...] = ()
    peer_python: str = "python3"
    native_python: str = "python3"  # has peers built for this processor
    repeats: int = 7
    form: str = "auto"
    products: str = "auto"
    cached: bool = False
    lattice: str | None = None
    lattice_constant: float | None = None
    rattle: float = RATTLE
    floors: bool = False
    around: bool = False  # threads, batches, few atoms, ASE steps


def measure(wanted: Wanted, progress: Callable[[str], None] = lambda text: None) -> Record:
    """Measure everything `wanted` names.

    Args:
        wanted: input, sizes, precisions, threads, peers.
        progress: called with the name of each step as it begins.

    Returns:
        a JSON record: machine, peak, potential, crystal, kernels, runs (one per evaluator and size), agreement, notes.

    Raises:
        AcegenError: bad input, no compiler, a peer that is not installed.
    """
    machine = describe_machine()
    peak = Peak()
    with tempfile.TemporaryDirectory(prefix="acegen-bench-") as scratch:
        made: list[Made] = []
        for precision in wanted.precisions:
            progress(f"generate and compile, {precision}")
            options = (wanted.form, wanted.products, max(wanted.threads), wanted.cached)
            made.append(make_kernel(wanted.source, Path(scratch), precision, *options))
        model = made[0].model
        crystal = choose_crystal(model.species, wanted.lattice, wanted.lattice_constant)
        record: Record = {
            "format": FORMAT,
            "machine": machine,
            "peak": {},
            "potential": potential_record(model, wanted.source),
            "crystal": {**asdict(crystal), "rattle": wanted.rattle, "skin": SKIN},
            "kernels": [{**_kernel(one), "form": wanted.form, "products": wanted.products} for one in made],
            "runs": [],
            "agreement": [],
            "notes": [],
        }
        models = [one.model for one in made]
        for size in wanted.sizes:
            atoms = build_structure(model.species, crystal, size, rattle=wanted.rattle)
            graph = GraphBatch.from_atoms(atoms, model, skin=SKIN)
            _measure_size(wanted, models, atoms, graph, peak, record, progress)
        if wanted.floors:
            _measure_floors(wanted, models, graph, peak, record, progress)
        if wanted.around:
            several = Model(model.manifest, model.kernel, model.precision, max(2, *wanted.threads))
            model.threads = 1
            record["end_to_end"] = end_to_end(model, several, crystal, wanted.repeats, progress)
    record["peak"] = {**{name: round(rate, 2) for name, rate in peak.best.items()}, "vector_bytes": peak.vector_bytes}
    for run in record["runs"]:
        if run["evaluator"] == "acegen" and run["threads"] == 1:
            run["peak_fraction"] = round(run["gflops"] / peak.best[run["precision"]], 4)
    return record


def _measure_size(
    wanted: Wanted,
    models: Sequence[Model],
    atoms: Any,
    graph: GraphBatch,
    peak: Peak,
    record: Record,
    progress: Callable[[str], None],
) -> None:
    """All contenders on one structure: check that they agree, time them in turn, append to the record."""
    ours = [(model, threads) for model in models for threads in wanted.threads]
    contenders: list[Contender] = [KernelContender(model, graph, threads) for model, threads in ours]
    reference = models[0].evaluate(graph)
    counts = mean_neighbours(models[0], graph)
    for model in models[1:]:
        results = {"energy": model.evaluate(graph).energy[0], "forces": model.evaluate(graph).forces}
        record["agreement"].append(_agreement(model.precision, "the same model", True, results, reference, graph))
    with ExitStack() as stack:
        names = []
        for name in wanted.against:
            request = make_request(name, wanted.source, models[0], atoms, graph)
            if isinstance(request, str):
                if request not in record["notes"]:
                    record["notes"].append(request)
                continue
            progress(f"load {name}")
            python = wanted.native_python if name.endswith(NATIVE) else wanted.peer_python
            peer = stack.enter_context(PeerProcess(name, python, request.fields, request.arrays))
            line = _agreement(name, request.note, request.same, peer.results, reference, graph)
            record["agreement"].append({**line, **{key: peer.about.get(key) for key in ("what", "version", "rows")}})
            contenders.append(peer)
            names.append(name)

        def between(done: int) -> None:
            peak.sample()
            progress(f"{graph.n_atoms} atoms, round {min(done + 1, wanted.repeats)} of {wanted.repeats}")

        between(0)
        clocks = ["cpu" if threads == 1 else "wall" for _, threads in ours] + ["cpu"] * len(names)
        timings = alternate(contenders, clocks, wanted.repeats, between)
    for (model, threads), timing in zip(ours, timings, strict=False):
        run = _run("acegen", model.precision, threads, timing, graph, counts)
        useful = useful_operations(model, counts["neighbours"]) * graph.n_atoms
        run["gflops"] = round(2e-9 * useful / timing.median, 3)
        record["runs"].append(run)
    for name, timing in zip(names, timings[len(ours) :], strict=True):
        run = _run(name, "float64", 1, timing, graph, counts)
        if ours[0][1] == 1 and ours[0][0].precision == "float64":
            run["ratio"] = round(timing.median / timings[0].median, 3)
        record["runs"].append(run)


def _measure_floors(
    wanted: Wanted,
    models: Sequence[Model],
    graph: GraphBatch,
    peak: Peak,
    record: Record,
    progress: Callable[[str], None],
) -> None:
    """Floors and stages of every kernel on the last structure."""
    if wanted.source.is_dir():
        record["notes"].append("floors are counted in the plan of an input, found a bundle folder: left out")
        return
    progress("bandwidth")
    bandwidth = read_bandwidth()
    record["bandwidth"] = {level: round(rate, 1) for level, rate in bandwidth.items()}
    record["floors"] = []
    for model in models:
        progress(f"stages, {model.precision}")
        options = (wanted.source, wanted.form, wanted.products, model, graph, peak, bandwidth, 2 * wanted.repeats)
        record["floors"].append(measure_floors(*options, lambda done: peak.sample()))


def _run(
    name: str, precision: str, threads: int, timing: Timing, graph: GraphBatch, counts: dict[str, float]
) -> dict[str, Any]:
    to_us = 1e6 / max(1, graph.n_atoms)
    return {
        "evaluator": name,
        "precision": precision,
        "threads": threads,
        "n_atoms": graph.n_atoms,
        **counts,
        "clock": timing.clock,
        "us_per_atom": round(timing.median * to_us, 4),
        "us_per_atom_min": round(timing.fastest * to_us, 4),
        "samples": [round(seconds * to_us, 4) for seconds in timing.times()],
        "calls_per_sample": timing.calls,
        "atom_steps_per_s": round(graph.n_atoms / timing.median),
    }


def _agreement(
    name: str, note: str, same: bool, results: dict[str, Any], reference: Any, graph: GraphBatch
) -> dict[str, Any]:
    """Differences from the first kernel: energy in eV per atom, forces relative to the largest component."""
    line: dict[str, Any] = {"evaluator": name, "n_atoms": graph.n_atoms, "compared": note}
    if same:
        largest = float(np.abs(reference.forces).max()) or 1.0
        line["energy"] = float(results["energy"] - reference.energy[0]) / graph.n_atoms
        line["forces"] = float(np.abs(results["forces"] - reference.forces).max()) / largest
    return line


def potential_record(model: LoadedModel, source: Path) -> dict[str, Any]:
    """What a record says of the potential."""
    manifest = model.manifest
    return {
        "name": source.stem,
        "source": manifest.source,
        "digest": manifest.digest,
        "templates": manifest.templates,  # which generator wrote the kernel
        "species": list(manifest.species),
        "cutoff": manifest.cutoff,
        "correlation_order": manifest.correlation_order,
        "functions": max(body + pair for body, pair in manifest.n_basis_per_species),
        "operations": dict(manifest.operations),
    }


def _kernel(made: Made) -> dict[str, Any]:
    return {
        "precision": made.model.precision,
        "generate_seconds": None if made.generate is None else round(made.generate, 2),
        "compile_seconds": None if made.compile is None else round(made.compile, 2),
        "source_bytes": made.source_bytes,
    }


def mean_neighbours(model: LoadedModel, graph: GraphBatch) -> dict[str, float]:
    """Mean neighbours inside the cutoff and in the list, per atom."""
    inside = int(np.count_nonzero(edges_inside(graph, model.cutoffs)))
    atoms = max(1, graph.n_atoms)
    return {"neighbours": round(inside / atoms, 2), "listed": round(graph.n_edges / atoms, 2)}


def useful_operations(model: LoadedModel, neighbours: float) -> float:
    """Useful multiply-adds per atom: those per edge times the neighbours inside the cutoff, and the others."""
    counted = dict(model.manifest.operations)
    return counted.pop("edge", 0) * neighbours + sum(counted.values())
