"""Generated CUDA on graphs of the tests: through the host shim, or on a card through the runtime."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ase
import numpy as np
from structures import lattice

from acegen import GraphBatch
from acegen.compiler import compile_plan, plan_design
from acegen.emit.cuda import render_cuda
from acegen.emit.cuda_design import render_cuda_design
from acegen.record import Record
from acegen.runtime.cuda.pairing import centres_of, reverse_edges, tiles_by_species
from acegen.runtime.model import Model
from acegen.testing.host import HostModule, run_record

Outputs = dict[str, np.ndarray]
LIGHT = ("-O0",)  # the kernels run for milliseconds, g++ -O1 needs three times as long as -O0
PROPERTIES = ("energy", "energies", "forces", "virial", "virials", "edge_gradients", "basis")


@dataclass(frozen=True, eq=False)
class CudaSource:
    """Text and launch record of a compiled input."""

    text: str
    record: Record
    species: tuple[str, ...]
    cutoff: float

    @staticmethod
    def of(path: Path, precision: str | None = None) -> CudaSource:
        """What the compiler writes for `path`."""
        source, plan = compile_plan(path, precision)
        file, record = render_cuda(plan)
        cutoff = max(bond.cutoff for row in source.potential.bonds for bond in row)
        return CudaSource(file.text, record, plan.species, cutoff)

    @staticmethod
    def of_design(path: Path) -> CudaSource:
        """The forward mode that the compiler writes for `path`, a linear model."""
        source, plan = compile_plan(path)
        design = plan_design(source.potential, plan, cards=True)
        assert design is not None
        file, record = render_cuda_design(design)
        return CudaSource(file.text, record, plan.species, plan.largest_cutoff)

    def save(self, folder: Path, graph: GraphBatch) -> None:
        """Everything that cuda_sanitized.py needs."""
        arrays, sizes = graph_arrays(graph, self.record.n_species)
        outputs = empty_outputs(self.record, sizes, PROPERTIES)
        (folder / "outputs.json").write_text(json.dumps({name: array.shape for name, array in outputs.items()}))
        kept = {name: array for name, array in arrays.items() if array is not None}
        np.savez(folder / "graph.npz", **kept)
        (folder / "sizes.json").write_text(json.dumps(sizes))
        (folder / "record.json").write_text(json.dumps(self.record.to_json()))
        (folder / "kernels.cu").write_text(self.text)


def graph_arrays(graph: GraphBatch, n_species: int) -> tuple[dict[str, np.ndarray | None], dict[str, int]]:
    """Arrays and numbers of the launches, as the runtime makes them."""
    centres = centres_of(np, graph.first_edge, graph.n_edges)
    vectors = graph.edge_vectors
    if graph.shifts is not None and graph.edge_shift is not None:
        vectors = graph.shifts[graph.edge_shift]
    tile_atoms, tiles = tiles_by_species(np, graph.species, n_species)
    names = ("species", "first_edge", "edge_to", "edge_shift", "shifts", "positions", "edge_vectors", "first_atom")
    arrays = {
        **{name: getattr(graph, name) for name in names},
        "reverse": reverse_edges(np, centres, graph.edge_to, vectors, graph.n_atoms),
        "tile_atoms": tile_atoms,
    }
    sizes = {"n_atoms": graph.n_atoms, "n_edges": graph.n_edges, "n_systems": graph.n_systems, "n_tiles": sum(tiles)}
    for c, count in enumerate(tiles):
        sizes |= {f"n_tiles_{c}": count, f"first_tile_{c}": sum(tiles[:c])}
    return arrays, sizes


def empty_outputs(record: Record, sizes: dict[str, int], properties: Sequence[str]) -> Outputs:
    """Outputs that hold NaN; the basis zero, for the columns of other species are not written."""
    n_atoms, n_systems, n_edges = (sizes[name] for name in ("n_atoms", "n_systems", "n_edges"))
    shapes = {
        "energy": (n_systems,),
        "energies": (n_atoms,),
        "forces": (n_atoms, 3),
        "virial": (n_systems, 3, 3),
        "virials": (n_atoms, 3, 3),
        "edge_gradients": (n_edges, 3),
        "basis": (n_atoms, record.n_basis),
    }
    return {name: np.full(shapes[name], 0.0 if name == "basis" else np.nan) for name in properties}


def run_on_host(
    source: CudaSource,
    module: HostModule,
    graph: GraphBatch,
    order: str = "forward",
    properties: Sequence[str] = PROPERTIES,
    real: str | None = None,
    coefficients: np.ndarray | None = None,
) -> Outputs:
    """Outputs of the kernels on the processor."""
    arrays, sizes = graph_arrays(graph, source.record.n_species)
    outputs = empty_outputs(source.record, sizes, properties)
    run_record(source.record, module, {**arrays, **outputs, "coefficients": coefficients}, sizes, order, real)
    return outputs


def expected(model: Model, graph: GraphBatch, properties: Sequence[str] = PROPERTIES) -> Outputs:
    """The same of the C backend."""
    found = model.evaluate(graph, properties)
    return {name: np.array(getattr(found, name)) for name in properties}


def deviations(found: Outputs, wanted: Outputs, cancelling: bool = False) -> dict[str, float]:
    """Largest error of each output relative to its largest entry; NaN where something was not written.

    Args:
        cancelling: forces balance by symmetry, their errors are relative to the largest edge gradient.
    """
    errors = {}
    for name in found:
        scale = wanted["edge_gradients" if cancelling and name == "forces" else name]
        errors[name] = float(
            np.max(np.abs(found[name] - wanted[name]), initial=0.0) / (np.abs(scale).max(initial=0) or 1)
        )
    return errors


def small_batch(model: Model, repeats: tuple[int, int, int] = (2, 2, 2), seed: int = 3) -> GraphBatch:
    """A periodic crystal, an atom alone and a cluster."""
    lone = ase.Atoms(model.species[:1], [(0, 0, 0)])
    crystal = lattice(model, repeats, seed)
    cluster = lattice(model, (1, 2, 3), seed + 1, pbc=False, species=model.species[::-1])
    return GraphBatch.from_atoms([crystal, lone, cluster], model)
