"""What each peer is asked to evaluate: the same potential, the same linear model, or a comparable basis."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acegen.bench.peers import NATIVE
from acegen.errors import SpecError
from acegen.runtime.graph import GraphBatch
from acegen.runtime.model import Model
from acegen.spec.model import BasisSpec, Envelope
from acegen.spec.read import read_spec

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Ready for `PeerProcess`; `same` says that energies and forces must agree, `note` what is compared."""

    fields: dict[str, Any]
    arrays: dict[str, np.ndarray]
    same: bool
    note: str


def make_request(peer: str, source: Path, model: Model, atoms: Atoms, graph: GraphBatch) -> Request | str:
    """The request for a peer, or one sentence why it cannot evaluate `source`."""
    structure = _arrays(atoms, graph)
    spec = None
    if source.suffix in (".yaml", ".yml"):
        try:
            spec = read_spec(source)
        except SpecError:  # a B-basis potential; its own errors were told when the kernel was made
            spec = None
    if peer.removesuffix(NATIVE) == "pyace":
        if spec is not None or source.is_dir():
            return f"{peer} evaluates PACE potentials, {source.name} is not one: left out"
        fields = {"potential": str(source.resolve())}
        note = "the same potential"
        if len(set(model.manifest.n_densities)) > 1:  # compared all the same: a later release may be right
            note += ", which pyace's recursive evaluator gets wrong (numbers of densities differ between species)"
        return Request(fields, structure, True, note)
    if spec is None:
        return f"ace-jax's C++ kernel evaluates its own linear ACE, {source.name} is no specification of one: left out"
    return _linear_request(spec, model, structure)


def _linear_request(spec: BasisSpec, model: Model, structure: dict[str, np.ndarray]) -> Request | str:
    """ace-jax's model of the same elements, order, degree and cutoff; with our weights where it is the very same."""
    cutoffs = {bond.cutoff for row in spec.bonds for bond in row}
    degrees = set(spec.degree)
    if len(cutoffs) != 1 or not degrees or len(spec.embedding.scales) != 1 or spec.embedding.kind != "linear":
        return f"ace-jax builds linear models of total degree and one cutoff, {spec.source} is none: left out"
    same = len(degrees) == 1 and _is_theirs(spec)
    degree = max(degrees)
    fields = {
        "elements": list(spec.elements),
        "order": spec.order,
        "degree": int(degree) if degree == int(degree) else degree,
        "l_weight": spec.l_weight,
        "cutoff": cutoffs.pop(),
        "r0": [[bond.transform.r0 for bond in row] for row in spec.bonds],
        "r_in": spec.bonds[0][0].transform.r_in,
        "same": same,
    }
    arrays = dict(structure)
    if same:
        assert spec.pair is not None
        n_pair = spec.pair.n_functions
        arrays["WB"] = np.stack([weights[:-n_pair, 0] for weights in model.weights], axis=1)
        arrays["Wpair"] = np.stack([weights[-n_pair:, 0] for weights in model.weights], axis=1)
        arrays["E0"] = np.array(spec.reference_energies)
    note = "the same model" if same else "a comparable basis, not the same model"
    return Request({"model": fields}, arrays, same, note)


def _is_theirs(spec: BasisSpec) -> bool:
    """True when every choice is the one of ace-jax's build_model."""
    bonds = [bond for row in spec.bonds for bond in row]
    degree = spec.degree[0]
    first = bonds[0].transform
    return (
        spec.row_order == "lexicographic"
        and spec.angular == "solid"
        and spec.radial.polynomials.kind == "legendre"
        and spec.radial.evaluation.kind == "exact"
        and spec.radial.weights.kind == "one-hot"
        and spec.radial.primitives is None
        and spec.pair is not None
        and spec.pair.primitives is None
        and spec.pair.n_functions == degree
        and spec.pair.polynomials.kind == "legendre"
        and spec.pair.evaluation.kind == "exact"
        and all((b.transform.p, b.transform.q, b.transform.r_in) == (2, 2, first.r_in) for b in bonds)
        and all((b.pair_transform.p, b.pair_transform.q) == (1, 4) for b in bonds)
        and all(b.pair_transform.r0 == b.transform.r0 for b in bonds)
        and all(b.envelope == Envelope() for b in bonds)
        and all(b.pair_envelope == Envelope("poly1sr", power=1) for b in bonds)
    )


def _arrays(atoms: Atoms, graph: GraphBatch) -> dict[str, np.ndarray]:
    arrays = {
        "numbers": np.asarray(atoms.numbers),
        "positions": np.asarray(atoms.positions),
        "cell": np.asarray(atoms.cell),
        "species": graph.species,
        "first_edge": graph.first_edge,
        "edge_to": graph.edge_to,
    }
    if graph.edge_shift is not None and graph.shifts is not None:
        arrays |= {"edge_shift": graph.edge_shift, "shifts": graph.shifts}
    else:
        arrays |= {"edge_shift": np.zeros(graph.n_edges, np.int32), "shifts": np.zeros((1, 3))}
    return arrays
