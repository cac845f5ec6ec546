"""Hand-over of a generated CUDA source: its kernels in launch order, their arguments and work arrays.

Every launch states all it needs, so that Python, the host shim and a C++ program can run the same list.
Names in `Launch.arguments`, in the order of the kernel's parameters:

    graph     species first_edge edge_to edge_shift shifts positions edge_vectors reverse first_atom tile_atoms
              (null: edge_shift and shifts without periodic images; positions or edge_vectors, never both)
    outputs   (energies and edge_gradients are listed as buffers too: kernels hand them on, wanted or not)
              energy[S] energies[N] forces[N,3] virial[S,3,3] virials[N,3,3] edge_gradients[E,3] basis[N,n_basis]
              (null when not wanted)
    numbers   n_atoms n_edges n_systems n_tiles n_tiles_<c> first_tile_<c>, passed as int64
    weights   coefficients (double; null: the built-in ones)
    others    work arrays, listed as buffers

The record of the forward mode (manifest key "cuda_design") has rows [.., n_parameters] for energy, forces and virial
(6 rows xx yy zz yz xz xy), and basis_gradients[E,3,n_columns], which is zero before; n_columns functions from
first_function on are done at a time, n_system_columns = n_systems ceil(n_species n_columns / 32).  Its launches and
buffers are needed for "basis", "gradients", "forces" (rows of forces or the virial), "systems" and "virial".

A launch runs ceil(count / per_block) blocks of `block` threads; none when the count is 0.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

FORMAT = 1
TILE = 32  # atoms of one tile: all of one species, -1 where there is none
GRAPH = (
    "species",
    "first_edge",
    "edge_to",
    "edge_shift",
    "shifts",
    "positions",
    "edge_vectors",
    "reverse",
    "first_atom",
    "tile_atoms",
)
OUTPUTS = ("energy", "energies", "forces", "virial", "virials", "edge_gradients", "basis")


@dataclass(frozen=True, slots=True)
class Buffer:
    """A work array that the caller allocates; sizes are numbers or names like "n_atoms", "n_edges", "n_tiles"."""

    name: str
    ctype: str  # "real", "double", "int32_t", "int64_t"
    shape: tuple[str | int, ...]
    needed_for: str = "energy"  # "energy", or "gradients": only when a derivative is asked for


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel launch; `needed_for` as in Buffer, or "basis"."""

    kernel: str
    count: str
    per_block: int
    block: int  # threads of a block
    shared: int  # bytes of dynamic shared memory, for real = double
    arguments: tuple[str, ...]
    needed_for: str = "energy"


@dataclass(frozen=True, slots=True)
class Record:
    """Everything a caller needs to know of one generated .cu file."""

    source: str  # file name in the bundle
    real: str  # "double" or "float": arithmetic unless compiled with -DREAL=...
    n_species: int
    n_basis: int
    n_coefficients: int
    buffers: tuple[Buffer, ...]
    launches: tuple[Launch, ...]
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        raw: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return raw

    @staticmethod
    def from_json(raw: dict[str, Any]) -> Record:
        """Inverse of `to_json`.

        Raises:
            ValueError: written by another version.
        """
        if raw.get("format") != FORMAT:
            raise ValueError(f"CUDA record: format {raw.get('format')!r} found, expected {FORMAT}")
        known = {**raw}
        known["buffers"] = tuple(Buffer(**{**b, "shape": tuple(b["shape"])}) for b in raw["buffers"])
        known["launches"] = tuple(Launch(**{**q, "arguments": tuple(q["arguments"])}) for q in raw["launches"])
        return Record(**known)


def blocks(launch: Launch, sizes: dict[str, int]) -> int:
    """Number of blocks of a launch."""
    return -(-sizes[launch.count] // launch.per_block)


def shape_of(buffer: Buffer, sizes: dict[str, int]) -> tuple[int, ...]:
    """Shape of a work array for these sizes."""
    return tuple(sizes[n] if isinstance(n, str) else n for n in buffer.shape)
