"""Forward mode timed: rows of the design matrix and basis gradients, against their floors and ace-jax's rows.

Floors: the bytes of the output at the bandwidth of memory, and the multiply-adds sum_v J D of the plan (three for every
neighbour and every slot of a function) at the measured peak.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acegen.bench.bandwidth import Reader
from acegen.bench.contenders import Contender, Seconds
from acegen.bench.machine import describe_machine
from acegen.bench.measure import Timing, alternate
from acegen.bench.peak import Peak
from acegen.bench.peer_requests import make_request
from acegen.bench.peers import PeerProcess
from acegen.bench.structures import build_structure, choose_crystal
from acegen.inputs import SUFFIXES
from acegen.loader import load
from acegen.runtime.design import ROWS, Design
from acegen.runtime.graph import GraphBatch
from acegen.runtime.model import Model

if TYPE_CHECKING:
    from acegen.plan.design_types import DesignPlan

SIZES = (4, 64, 256)
LARGEST_PEER = 64  # atoms: ace-jax keeps every gradient of the batch in memory
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to measure."""

    source: Path
    sizes: tuple[int, ...] = SIZES
    peer_python: str | None = None  # a Python with ace-jax; None: no comparison
    repeats: int = 7
    lattice: str | None = None
    lattice_constant: float | None = None
    rattle: float = 0.05


class RowsContender:
    """`model.design` into memory that is used again."""

    def __init__(self, model: Model, graph: GraphBatch) -> None:
        self._model, self._graph = model, graph
        self.rows = model.design(graph)

    @property
    def label(self) -> str:
        """What is timed."""
        return "rows"

    def sample(self, calls: int) -> Seconds:
        """Mean time of one of `calls` evaluations."""
        return _timed(lambda: self._model.design(self._graph, ROWS, self.rows), calls)


class GradientsContender:
    """The basis and its gradients into memory that is used again."""

    def __init__(self, model: Model, graph: GraphBatch) -> None:
        self._model, self._graph = model, graph
        self._basis = np.zeros((graph.n_atoms, model.n_basis))
        self._gradients = np.zeros((graph.n_edges, 3, model.n_basis))

    @property
    def label(self) -> str:
        """What is timed."""
        return "gradients"

    def sample(self, calls: int) -> Seconds:
        """Mean time of one of `calls` evaluations."""
        return _timed(lambda: self._model.write_gradients(self._graph, self._basis, self._gradients), calls)


def _timed(call: Callable[[], object], calls: int) -> Seconds:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        call()
    return Seconds((time.process_time() - cpu) / calls, (time.perf_counter() - wall) / calls)


def multiply_adds(design: DesignPlan, graph: GraphBatch) -> int:
    """Products J D of all functions, neighbours and directions, as the kernel makes them."""
    per_bond = np.array([[pattern.n_terms for pattern in centre.patterns] for centre in design.centres])
    centre = np.repeat(graph.species, np.diff(graph.first_edge))
    return int(3 * per_bond[centre, graph.species[graph.edge_to]].sum())


def _design_plan(source: Path) -> DesignPlan | None:
    """Plan of an input; a bundle has none."""
    if source.suffix not in SUFFIXES:
        return None
    from acegen.compiler import compile_plan, plan_design  # the compiler's tower: only where work is counted

    read, plan = compile_plan(source)
    return plan_design(read.potential, plan)


def measure_design(wanted: Wanted, progress: Callable[[str], None] = lambda text: None) -> Record:
    """Measure the forward mode of one potential with one thread.

    Raises:
        AcegenError: bad input, a potential without forward mode, no compiler, a peer that is not installed.
    """
    progress("compile")
    model = load(wanted.source, precision="float64", threads=1)
    model.design_kernel  # noqa: B018  (built at first use)
    record: Record = {
        "kind": "design",
        "machine": describe_machine(),
        "potential": {"name": model.name, "source": wanted.source.name, "parameters": model.n_parameters},
        "runs": [],
        "notes": [],
    }
    plan = _design_plan(wanted.source)
    crystal = choose_crystal(model.species, wanted.lattice, wanted.lattice_constant)
    peak = Peak()
    for size in wanted.sizes:
        atoms = build_structure(model.species, crystal, size, rattle=wanted.rattle)
        graph = GraphBatch.from_atoms(atoms, model)
        with ExitStack() as stack:
            ours = RowsContender(model, graph)
            memory = stack.enter_context(Reader("memory"))  # in turn with what is compared to it
            contenders: list[Contender] = [ours, GradientsContender(model, graph), memory]
            compared = _peer(wanted, model, atoms, graph, ours.rows, record, stack, progress)
            contenders += [compared] if compared is not None else []
            progress(f"{graph.n_atoms} atoms")
            peak.sample()
            timings = alternate(contenders, ["cpu"] * len(contenders), wanted.repeats)
            peak.sample()
        work = None if plan is None else multiply_adds(plan, graph)
        record["runs"].append(_run(model, graph, timings, work, memory.n_bytes))
        if compared is not None and compared.results:
            record["runs"][-1]["ace_jax_difference"] = _difference(compared, ours.rows)
    record["peak"] = round(peak.best["float64"], 2)
    for run in record["runs"]:
        _fractions(run, record["peak"])
    return record


def _peer(
    wanted: Wanted,
    model: Model,
    atoms: Any,
    graph: GraphBatch,
    rows: Design,
    record: Record,
    stack: ExitStack,
    progress: Callable[[str], None],
) -> PeerProcess | None:
    """ace-jax on the same structure, its rows compared where it has the very same model."""
    if wanted.peer_python is None or graph.n_atoms > LARGEST_PEER:
        return None
    request = make_request("ace-jax", wanted.source, model, atoms, graph)
    if isinstance(request, str):
        if request not in record["notes"]:
            record["notes"].append(request)
        return None
    progress("load ace-jax")
    fields = {**request.fields, "rows": True}
    peer = stack.enter_context(PeerProcess("ace-jax", wanted.peer_python, fields, request.arrays))
    note = f"{graph.n_atoms} atoms: ace-jax has {request.note}"
    if request.same:
        note += f", largest difference of its rows {_difference(peer, rows):.1e}"
    else:
        peer.results.clear()  # nothing to compare
    record["notes"].append(note)
    return peer


def _difference(peer: PeerProcess, rows: Design) -> float:
    """Largest difference of the peer's rows, relative to the largest number of each kind."""
    pairs = [(peer.results[name], getattr(rows, name)) for name in ROWS]
    return max(float(np.abs(theirs - mine).max() / np.abs(mine).max()) for theirs, mine in pairs)


def _run(model: Model, graph: GraphBatch, timings: list[Timing], work: int | None, read_bytes: int) -> Record:
    """One line of the table; microseconds an atom, medians, and read bandwidth of memory in the same minutes."""
    rows, gradients, sweep, *theirs = (timing.median for timing in timings)
    per_atom = 1e6 / graph.n_atoms
    return {
        "atoms": graph.n_atoms,
        "neighbours": round(graph.n_edges / graph.n_atoms, 1),
        "rows_us": rows * per_atom,
        "rows_bytes": 8 * model.n_parameters * (3 * graph.n_atoms + 7 * graph.n_systems),
        "gradients_us": gradients * per_atom,
        "gradients_bytes": 8 * model.n_basis * (3 * graph.n_edges + graph.n_atoms),
        "multiply_adds": work,
        "memory_gb": round(1e-9 * read_bytes / sweep, 1),
        "ace_jax_us": theirs[0] * per_atom if theirs else None,
        "ratio": theirs[0] / rows if theirs else None,
    }


def _fractions(run: Record, peak: float) -> None:
    """GB/s, and shares of the least time that bytes and multiply-adds allow."""
    for what in ("rows", "gradients"):
        seconds = run[f"{what}_us"] * run["atoms"] * 1e-6
        rate = run[f"{what}_bytes"] / seconds / 1e9
        run[f"{what}_gb"] = round(rate, 3)
        run[f"{what}_bandwidth_fraction"] = round(rate / run["memory_gb"], 4)
        if run["multiply_adds"] is not None:
            run[f"{what}_peak_fraction"] = round(2e-9 * run["multiply_adds"] / seconds / peak, 4)
