"""Floor 0: the argument table of the generated C interface and the manifest of a bundle.

One table writes the C prototype, the cffi declaration, the marshalling checks, the manifest and the docs.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a C function: a scalar (shape is ()) or a C-contiguous array."""

    name: str
    ctype: str  # "int32_t", "int64_t", "double", "void"
    shape: tuple[str, ...]
    intent: str  # "in", "out", "work"
    meaning: str
    unit: str = ""
    optional: bool = False  # NULL allowed

    @property
    def declaration(self) -> str:
        """C declaration of the parameter."""
        if not self.shape:
            return f"{self.ctype} {self.name}"
        const = "const " if self.intent == "in" else ""
        return f"{const}{self.ctype} *{self.name}"


_A = Argument
EVALUATE: tuple[Argument, ...] = (
    _A("n_systems", "int64_t", (), "in", "number of structures in the batch"),
    _A("n_atoms", "int64_t", (), "in", "atoms of all structures together"),
    _A("first_atom", "int64_t", ("n_systems+1",), "in", "structure s owns atoms first_atom[s]..first_atom[s+1]-1"),
    _A("species", "int32_t", ("n_atoms",), "in", "species index of each atom"),
    _A("first_edge", "int64_t", ("n_atoms+1",), "in", "atom i owns edges first_edge[i]..first_edge[i+1]-1"),
    _A("edge_to", "int32_t", ("n_edges",), "in", "neighbour atom j of each edge (index in the batch)"),
    _A("edge_shift", "int32_t", ("n_edges",), "in", "row of shifts of each edge; NULL: no periodic images", "", True),
    _A("shifts", "double", ("n_shifts", "3"), "in", "lattice translations; may be NULL with edge_shift", "A", True),
    _A("positions", "double", ("n_atoms", "3"), "in", "positions; NULL when edge_vectors are given", "A", True),
    _A("edge_vectors", "double", ("n_edges", "3"), "in", "r_j + shift - r_i; NULL: from positions", "A", True),
    _A("coefficients", "double", ("n_coefficients",), "in", "kernel coefficients; NULL: the built-in ones", "eV", True),
    _A("energy", "double", ("n_systems",), "out", "energy of each structure", "eV", True),
    _A("energies", "double", ("n_atoms",), "out", "site energies", "eV", True),
    _A("forces", "double", ("n_atoms", "3"), "out", "forces", "eV/A", True),
    _A("virial", "double", ("n_systems", "3", "3"), "out", "virial W = -sum g_ij (x) r_ij", "eV", True),
    _A("virials", "double", ("n_atoms", "3", "3"), "out", "virial of each centre", "eV", True),
    _A("edge_gradients", "double", ("n_edges", "3"), "out", "g_ij = dE_i/dr_ij, 0 beyond the cutoff", "eV/A", True),
    _A("basis", "double", ("n_atoms", "n_basis"), "out", "basis B of each atom, rows of its own species", "", True),
    _A("n_threads", "int32_t", (), "in", "threads; 1 when built without OpenMP"),
    _A("workspace", "void", ("workspace_bytes",), "work", "scratch memory of <name>_workspace() bytes"),
    _A("workspace_bytes", "int64_t", (), "in", "size of workspace"),
)
# int <name>_evaluate(EVALUATE): 0 good; 1 workspace too small; 2 species out of range.

SITE: tuple[Argument, ...] = (
    _A("species", "int32_t", (), "in", "species index of the centre"),
    _A("n_neighbours", "int64_t", (), "in", "number of neighbours, those beyond the cutoff are ignored"),
    _A("neighbour_species", "int32_t", ("n_neighbours",), "in", "species index of each neighbour"),
    _A("vectors", "double", ("n_neighbours", "3"), "in", "r_j - r_i of each neighbour", "A"),
    _A("coefficients", "double", ("n_coefficients",), "in", "kernel coefficients; NULL: the built-in ones", "eV", True),
    _A("energy", "double", ("1",), "out", "site energy", "eV"),
    _A("gradient", "double", ("n_neighbours", "3"), "out", "dE_i/dr_ij", "eV/A", True),
    _A(
        "workspace",
        "void",
        ("workspace_bytes",),
        "work",
        "scratch memory of <name>_workspace(1, n_neighbours, 1) bytes",
    ),
    _A("workspace_bytes", "int64_t", (), "in", "size of workspace"),
)

WORKSPACE: tuple[Argument, ...] = (
    _A("n_atoms", "int64_t", (), "in", "atoms of the largest batch"),
    _A("max_neighbours", "int64_t", (), "in", "largest number of edges of one atom"),
    _A("n_threads", "int32_t", (), "in", "threads"),
)
# int64_t <name>_workspace(WORKSPACE): bytes that evaluate needs.

_GRAPH = EVALUATE[:10]  # from n_systems to edge_vectors
_WORK = EVALUATE[-2:]
_THREADS = EVALUATE[-3]

COMMITTEE: tuple[Argument, ...] = (
    *_GRAPH,
    _A("n_members", "int32_t", (), "in", "sets of coefficients: the mean, and the members of a committee"),
    _A("coefficients", "double", ("n_members", "n_coefficients"), "in", "kernel coefficients of each member", "eV"),
    _A("energy", "double", ("n_members", "n_systems"), "out", "energy of each structure", "eV", True),
    _A("forces", "double", ("n_members", "n_atoms", "3"), "out", "forces", "eV/A", True),
    _A("virial", "double", ("n_members", "n_systems", "3", "3"), "out", "virial as in evaluate", "eV", True),
    _THREADS,
    _A("workspace", "void", ("workspace_bytes",), "work", "scratch memory of <name>_committee_workspace() bytes"),
    _WORK[1],
)
# int <name>_committee(COMMITTEE), in kernels of linear models only: as <name>_evaluate; 3 n_members < 1.

COMMITTEE_WORKSPACE: tuple[Argument, ...] = (
    *WORKSPACE[:2],
    _A("n_members", "int32_t", (), "in", "sets of coefficients"),
    WORKSPACE[2],
)
# int64_t <name>_committee_workspace(COMMITTEE_WORKSPACE): bytes that committee needs.

_DESIGN_WORK = (
    _A("workspace", "void", ("workspace_bytes",), "work", "scratch memory of <name>_design_workspace() bytes"),
    _WORK[1],
)

DESIGN: tuple[Argument, ...] = (
    *_GRAPH,
    _A("energy", "double", ("n_systems", "n_parameters"), "out", "rows d energy/d weights", "", True),
    _A("forces", "double", ("n_atoms", "3", "n_parameters"), "out", "rows d forces/d weights", "1/A", True),
    _A("virial", "double", ("n_systems", "6", "n_parameters"), "out", "rows of xx yy zz yz xz xy", "", True),
    _THREADS,
    *_DESIGN_WORK,
)
# int <name>_design(DESIGN): 0 good; 1 workspace too small; 2 species out of range.

GRADIENTS: tuple[Argument, ...] = (
    *_GRAPH,
    _A("basis", "double", ("n_atoms", "n_basis"), "out", "basis B of each atom, rows of its own species", "", True),
    _A(
        "basis_gradients",
        "double",
        ("n_edges", "3", "n_basis"),
        "out",
        "dB_b(i)/dr_ij; must be zero on entry: only what neighbours contribute is written",
        "1/A",
    ),
    _THREADS,
    *_DESIGN_WORK,
)
# int <name>_gradients(GRADIENTS), as above.

DESIGN_WORKSPACE: tuple[Argument, ...] = WORKSPACE
# int64_t <name>_design_workspace(DESIGN_WORKSPACE): bytes that design and gradients need.


def prototype(returns: str, name: str, arguments: tuple[Argument, ...]) -> str:
    """C prototype, one argument a line."""
    body = ",\n    ".join(argument.declaration for argument in arguments)
    return f"{returns} {name}(\n    {body})"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the runtime needs to know of a bundle; everything else is in the C code."""

    name: str
    species: tuple[str, ...]
    cutoff: float  # angstrom, the largest
    cutoffs: tuple[tuple[float, ...], ...]  # [centre][neighbour]
    precision: str  # "float64" or "float32": default arithmetic of the kernel
    n_basis: int  # columns of the basis output (largest over species)
    n_basis_per_species: tuple[tuple[int, int], ...]  # (many-body rows, pair rows) of each species
    n_densities: tuple[int, ...]  # of each species
    n_coefficients: int  # length of the kernel coefficient array
    linear: bool  # energy is linear in the weights
    replaceable: bool  # weights can be replaced without recompiling (fold map in weights.npz)
    source: str
    digest: str  # sha256 of the canonical input
    templates: str  # sha256 of the templates
    correlation_order: int
    operations: tuple[tuple[str, int], ...]  # counted multiply-adds per atom or per edge, by stage
    sources: tuple[str, ...]  # C files to compile
    files: tuple[tuple[str, str], ...] = field(default=())  # (path, sha256) of every file but the manifest
    format: int = 1
    cuda: dict[str, Any] | None = None  # acegen.record.Record of the CUDA source, where there is one
    design: str | None = None  # C file of the forward-mode kernel, where there is one
    cuda_design: dict[str, Any] | None = None  # Record of the forward mode in CUDA, where there is one
    cancels: bool = False  # made for float64; in float32 terms of order 1 cancel, for which a kernel made so has tables

    def to_json(self) -> str:
        """Canonical text, stable for the same content, with its own checksum among the keys."""
        raw = asdict(self)
        for name in ("cuda", "design", "cuda_design"):
            if raw[name] is None:
                del raw[name]
        if not self.cancels:
            del raw["cancels"]
        return json.dumps({**raw, "checksum": _checksum(raw)}, indent=1, sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str) -> Manifest:
        """Inverse of `to_json`.

        Raises:
            ValueError, TypeError: no manifest, or one that was edited.
        """
        raw = json.loads(text)
        if not isinstance(raw, dict):
            raise TypeError(f"expected an object, found {type(raw).__name__}")
        if raw.pop("checksum", None) != _checksum(raw):
            raise ValueError("its checksum is missing or wrong: it was edited, or written by another version")

        def freeze(value: Any) -> Any:
            return tuple(freeze(item) for item in value) if isinstance(value, list) else value

        return Manifest(**{key: freeze(value) for key, value in raw.items()})


def _checksum(raw: dict[str, Any]) -> str:
    """sha256 of the content of a manifest; tuples and lists count as the same."""
    return hashlib.sha256(json.dumps(raw, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
