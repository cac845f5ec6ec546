"""One run of the bench on a device: ceilings, kernels, system sizes, a batch, the CPU beside it; a JSON record."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acegen.bench.cold import make_bundle, private_cache
from acegen.bench.contenders import KernelContender
from acegen.bench.cuda_card import describe_card
from acegen.bench.cuda_clock import TimedBackend
from acegen.bench.cuda_roofs import Roofs, make_delay, measure_roofs
from acegen.bench.cuda_sizes import PROPERTIES, SKIN, measure_frames, places_of
from acegen.bench.machine import describe_machine
from acegen.bench.measure import alternate
from acegen.bench.session import FORMAT, mean_neighbours, potential_record, useful_operations
from acegen.bench.structures import RATTLE, Crystal, build_structure, choose_crystal
from acegen.errors import InputError
from acegen.runtime.cuda.load import cuda_model
from acegen.runtime.cuda.model import CudaModel
from acegen.runtime.cuda.neighbours import MovingGraph, NeighbourList, NeighbourSearch
from acegen.runtime.graph import GraphBatch
from acegen.runtime.load import load_bundle, read_manifest
from acegen.runtime.model import Model

SIZES = (512, 2048, 8192, 65_536, 262_144)
KIND = "cuda"
_DELAY = 0.04  # of the length of a sample: 2 ms, in which the host launches everything
_SHARE = 0.8  # of the free memory that a size may be thought to need
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to measure on a device."""

    source: Path
    device: str = "cuda"
    sizes: tuple[int, ...] = SIZES
    precisions: tuple[str, ...] = ("float64",)
    threads: tuple[int, ...] = (1,)  # of the CPU kernel beside it
    repeats: int = 7
    form: str = "auto"
    products: str = "auto"
    cached: bool = False
    lattice: str | None = None
    lattice_constant: float | None = None
    rattle: float = RATTLE
    floors: bool = False
    batch: int = 1000  # structures of 8 atoms; 0: no batch
    cpu_atoms: int = 2048
    compared: int = 512  # atoms on which device and CPU must agree
    seconds: float = 0.05  # of a sample

    @property
    def steps(self) -> int:
        """How often `progress` is called."""
        return 3 + len(self.precisions) * (2 + len(self.sizes) + bool(self.batch) + self.floors)


@dataclass(frozen=True, slots=True, eq=False)
class _Bench:
    """What the steps of one run share."""

    wanted: Wanted
    backend: TimedBackend
    roofs: Roofs
    record: Record
    progress: Callable[[str], None]
    scratch: Path
    folders: dict[str, Path]  # bundles by precision
    crystal: Crystal
    on_cpu: Model  # the C kernel of the first precision
    counts: dict[str, float]  # neighbours inside the cutoff and in the list, per atom
    delay: Callable[[], None]  # see kernel_seconds


def measure_on_device(wanted: Wanted, progress: Callable[[str], None] = lambda text: None) -> Record:
    """Measure everything `wanted` names.

    Returns:
        a JSON record: machine, card, roofs, potential, crystal, kernels, runs (one per precision and size), batches,
        cpu, agreement, notes.

    Raises:
        AcegenError: bad input, no device, no compiler.
    """
    backend = TimedBackend(wanted.device)  # what is missing is said before anything is compiled
    progress("ceilings")
    roofs = measure_roofs(backend, int(describe_card(backend)["multiprocessors"]), 0.4 * wanted.seconds)
    record: Record = {
        "format": FORMAT,
        "kind": KIND,
        "machine": describe_machine(),
        "card": describe_card(backend),  # again: it is warm now, and its clocks are those of work
        "roofs": {name: float(f"{rate:.5g}") for name, rate in asdict(roofs).items()},
        **{name: [] for name in ("kernels", "runs", "batches", "cpu", "agreement", "notes")},
    }
    with tempfile.TemporaryDirectory(prefix="acegen-bench-") as folder:
        bench = _prepared(wanted, backend, roofs, record, progress, Path(folder))
        _measure_cpu(bench)
        for precision in wanted.precisions:
            _measure_precision(bench, precision)
            if wanted.floors:
                _measure_floors(bench, precision)
    return record


def _prepared(
    wanted: Wanted,
    backend: TimedBackend,
    roofs: Roofs,
    record: Record,
    progress: Callable[[str], None],
    scratch: Path,
) -> _Bench:
    """Bundles of all precisions, the crystal, and the CPU kernel."""
    folders = {}
    for precision in wanted.precisions:
        progress(f"generate, {precision}")
        folder, seconds = make_bundle(wanted.source, scratch, precision, wanted.form, wanted.products, ("c", "cuda"))
        folders[precision] = folder
        made = {"precision": precision, "form": wanted.form, "products": wanted.products}
        record["kernels"].append({**made, "generate_seconds": None if seconds is None else round(seconds, 2)})
    progress("CPU kernel")
    on_cpu = load_bundle(folders[wanted.precisions[0]], "cpu", wanted.precisions[0], max(wanted.threads))
    crystal = choose_crystal(on_cpu.species, wanted.lattice, wanted.lattice_constant)
    record["potential"] = potential_record(on_cpu, wanted.source)
    record["crystal"] = {**asdict(crystal), "rattle": wanted.rattle, "skin": SKIN}
    atoms = build_structure(on_cpu.species, crystal, wanted.cpu_atoms, rattle=wanted.rattle)
    counts = mean_neighbours(on_cpu, GraphBatch.from_atoms(atoms, on_cpu, skin=SKIN))
    delay = make_delay(backend, _DELAY * wanted.seconds)
    return _Bench(wanted, backend, roofs, record, progress, scratch, folders, crystal, on_cpu, counts, delay)


def _measure_precision(bench: _Bench, precision: str) -> None:
    """Compile, compare with the CPU, then every size and the batch."""
    wanted, record, progress = bench.wanted, bench.record, bench.progress
    progress(f"compile, {precision}")
    model = _compiled(bench, precision)
    search = NeighbourSearch(bench.backend)
    _compare(bench, model, search)
    for size in wanted.sizes:
        progress(f"{precision}, {size:,} atoms")
        model.program.forget()  # work arrays of the last size
        needed = model.memory_bytes(size, round(size * bench.counts["listed"]), PROPERTIES)
        free = bench.backend.free_bytes()
        if needed > _SHARE * free:
            sizes = f"{needed / 1e9:.3g} GB thought to be needed, {free / 1e9:.3g} GB free"
            record["notes"].append(f"{size:,} atoms, {precision}: {sizes}: left out")
            continue
        frames = [build_structure(model.species, bench.crystal, size, rattle=wanted.rattle)]
        _append(bench, "runs", model, search, frames)
    if wanted.batch:
        progress(f"{precision}, batch")
        several = range(wanted.batch)
        frames = [build_structure(model.species, bench.crystal, 8, seed=k, rattle=wanted.rattle) for k in several]
        _append(bench, "batches", model, search, frames)


def _compiled(bench: _Bench, precision: str) -> CudaModel:
    """The model, compiled cold unless the cache is wanted."""
    folder = bench.folders[precision]
    manifest, seconds = read_manifest(folder), None
    if bench.wanted.cached:
        model = cuda_model(folder, manifest, bench.backend, precision)
    else:
        with private_cache(bench.scratch / f"cache-{precision}"):
            start = time.perf_counter()
            model = cuda_model(folder, manifest, bench.backend, precision)
            seconds = time.perf_counter() - start
    (kernel,) = (one for one in bench.record["kernels"] if one["precision"] == precision)
    kernel["compile_seconds"] = None if seconds is None else round(seconds, 2)
    kernel["source_bytes"] = (folder / model.program.record.source).stat().st_size
    return model


def _append(bench: _Bench, where: str, model: CudaModel, search: NeighbourSearch, frames: list[Any]) -> None:
    """Measure a batch and append it to the record; what goes wrong becomes a note, for other sizes may do."""
    wanted = bench.wanted
    too_much: tuple[type[BaseException], ...] = (InputError, *bench.backend.out_of_memory)
    try:
        run = measure_frames(bench.backend, model, search, frames, wanted.repeats, bench.delay, wanted.seconds)
    except too_much as error:
        n_atoms = sum(len(atoms) for atoms in frames)
        bench.record["notes"].append(f"{n_atoms:,} atoms, {model.precision}: {error}: left out")
        bench.backend.release()
        return
    operations = useful_operations(model, bench.counts["neighbours"])
    gflops = 2e-3 * operations / max(run["kernels_us_per_atom"], 1e-9)
    head = {"evaluator": "acegen", "device": model.device, "precision": model.precision, "threads": 1}
    reached = {"gflops": round(gflops, 1), "peak_fraction": round(gflops / getattr(bench.roofs, model.precision), 4)}
    neighbours = {"neighbours": bench.counts["neighbours"]} if where == "runs" else {}
    bench.record[where].append({**head, **neighbours, **run, **reached})


def _measure_cpu(bench: _Bench) -> None:
    """The C kernel of the same bundle on this machine."""
    wanted, model = bench.wanted, bench.on_cpu
    bench.progress("CPU kernel, timing")
    atoms = build_structure(model.species, bench.crystal, wanted.cpu_atoms, rattle=wanted.rattle)
    graph = GraphBatch.from_atoms(atoms, model, skin=SKIN)
    contenders = [KernelContender(model, graph, threads) for threads in wanted.threads]
    timings = alternate(contenders, ["wall"] * len(contenders), wanted.repeats)
    for threads, timing in zip(wanted.threads, timings, strict=True):
        us = round(1e6 * timing.median / graph.n_atoms, 4)
        told = {"precision": model.precision, "threads": threads, "n_atoms": graph.n_atoms, "us_per_atom": us}
        bench.record["cpu"].append(told)


def _measure_floors(bench: _Bench, precision: str) -> None:
    """Counted work of every stage beside its time on the largest structure."""
    from acegen.bench.cuda_floors import Ceilings, counted, reached

    wanted, record = bench.wanted, bench.record
    bench.progress(f"floors, {precision}")
    runs = [run for run in record["runs"] if run["precision"] == precision]
    if wanted.source.is_dir() or not runs:
        what = "work is counted in the plan of an input, found a bundle folder" if runs else "no size was measured"
        record["notes"].append(f"floors, {precision}: {what}: left out")
        return
    most = max(runs, key=lambda run: int(run["n_atoms"]))
    options = (wanted.form, wanted.products, wanted.lattice, wanted.lattice_constant, wanted.rattle)
    costs, *_ = counted(wanted.source, precision, *options)
    lines = reached(costs, most["kernels"], Ceilings(**asdict(bench.roofs)), precision)
    floors = {"precision": precision, "n_atoms": most["n_atoms"], "kernels": lines}
    record.setdefault("floors", []).append(floors)


def _compare(bench: _Bench, model: CudaModel, search: NeighbourSearch) -> None:
    """Energies (eV per atom) and forces (of the largest) of the device against the CPU, lists made on the device."""
    atoms = build_structure(model.species, bench.crystal, bench.wanted.compared, rattle=bench.wanted.rattle)
    with bench.backend.active():
        places, kinds = places_of(bench.backend, model.species, [atoms])
        moving = MovingGraph(NeighbourList(search, model.cutoff, SKIN), kinds, len(model.species), model.species)
        found = model.evaluate(moving.at(places), PROPERTIES)
    energy, forces = (bench.backend.to_host(array) for array in (found.energy, found.forces))
    expected = bench.on_cpu.evaluate(atoms, PROPERTIES)
    largest = float(np.abs(expected.forces).max()) or 1.0
    bench.record["agreement"].append(
        {
            "evaluator": f"acegen {model.precision} on {model.device}",
            "compared": f"the CPU kernel in {bench.on_cpu.precision}",
            "n_atoms": len(atoms),
            "energy": float(energy[0] - expected.energy[0]) / len(atoms),
            "forces": float(np.abs(forces - expected.forces).max()) / largest,
        }
    )
