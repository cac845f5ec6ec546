"""The Morse pair potential of pair_kernel.py as CUDA, with its launch record: tests the device runtime alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pair_kernel import DEPTH, E0, N_COEFFICIENTS, write_bundle

from acegen.manifest import Manifest
from acegen.record import Buffer, Launch, Record
from acegen.runtime import GraphBatch
from acegen.runtime.cuda.host import HostBackend
from acegen.runtime.cuda.model import CudaModel
from acegen.runtime.model import Model

SOURCE = """
#ifndef REAL
#define REAL double
#endif
typedef REAL real;

__device__ static const double DEPTH[4] = {DEPTHS};
__device__ static const double E0[2] = {ENERGIES};

/* edge vectors and w(r), -dw/dr of each edge: a block of 32 threads works on one centre */
extern "C" __global__ void pool(long long n_atoms, const long long *first_edge, const int *edge_to,
                                const int *edge_shift, const double *shifts, const double *positions,
                                const double *edge_vectors, real *wells, real *slopes)
{
    const long long i = blockIdx.x;
    if (i >= n_atoms) return;
    for (long long e = first_edge[i] + threadIdx.x; e < first_edge[i + 1]; e += blockDim.x) {
        double d2 = 0;
        for (int a = 0; a < 3; a++) {
            const double r = edge_vectors ? edge_vectors[3 * e + a]
                : positions[3LL * edge_to[e] + a] - positions[3 * i + a]
                    + (edge_shift ? shifts[3LL * edge_shift[e] + a] : 0.0);
            d2 += r * r;
        }
        const real d = (real)sqrt(d2), rc = 4;
        const real x = (real)exp((double)((real)1.2 * ((real)2.5 - d)));
        const real f = x * x - 2 * x, df = (real)-1.2 * (2 * x * x - 2 * x), s = 1 - d / rc;
        wells[e] = d < rc ? f * s * s : (real)0;
        slopes[e] = d < rc ? df * s * s - f * 2 * s / rc : (real)0;
    }
}

/* site energies and basis of one species: a thread is an atom of a tile */
extern "C" __global__ void product(long long first_tile, const int *tile_atoms, const int *species,
                                   const long long *first_edge, const int *edge_to, const double *coefficients,
                                   const real *wells, double *energies, double *basis)
{
    const int i = tile_atoms[32 * (first_tile + blockIdx.x) + threadIdx.x];
    if (i < 0) return;
    const double *depth = coefficients ? coefficients : DEPTH;
    double energy = E0[species[i]], rows[2] = {0, 0};
    for (long long e = first_edge[i]; e < first_edge[i + 1]; e++) {
        energy += depth[2 * species[i] + species[edge_to[e]]] * (double)wells[e];
        rows[species[edge_to[e]]] += (double)wells[e];
    }
    energies[i] = energy;
    for (int k = 0; basis && k < 2; k++) basis[2LL * i + k] = rows[k];
}

extern "C" __global__ void gradient(long long n_atoms, const int *species, const long long *first_edge,
                                    const int *edge_to, const int *edge_shift, const double *shifts,
                                    const double *positions, const double *edge_vectors, const double *coefficients,
                                    const real *slopes, double *edge_gradients, double *virials)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n_atoms) return;
    double w[9] = {0, 0, 0, 0, 0, 0, 0, 0, 0};
    for (long long e = first_edge[i]; e < first_edge[i + 1]; e++) {
        double r[3], d2 = 0;
        for (int a = 0; a < 3; a++) {
            r[a] = edge_vectors ? edge_vectors[3 * e + a]
                : positions[3LL * edge_to[e] + a] - positions[3 * i + a]
                    + (edge_shift ? shifts[3LL * edge_shift[e] + a] : 0.0);
            d2 += r[a] * r[a];
        }
        const double c = (coefficients ? coefficients : DEPTH)[2 * species[i] + species[edge_to[e]]];
        for (int a = 0; a < 3; a++) {
            const double g = c * (double)slopes[e] * r[a] / sqrt(d2);
            edge_gradients[3 * e + a] = g;
            for (int b = 0; b < 3; b++) w[3 * a + b] -= g * r[b];
        }
    }
    for (int k = 0; virials && k < 9; k++) virials[9 * i + k] = w[k];
}

extern "C" __global__ void gather(long long n_atoms, const long long *first_edge, const long long *reverse,
                                  const double *edge_gradients, double *forces)
{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n_atoms || !forces) return;
    for (int a = 0; a < 3; a++) {
        double f = 0;
        for (long long e = first_edge[i]; e < first_edge[i + 1]; e++)
            f += edge_gradients[3 * e + a] - edge_gradients[3 * reverse[e] + a];
        forces[3 * i + a] = f;
    }
}

extern "C" __global__ void sums(long long n_systems, const long long *first_atom, const double *energies,
                                const double *virials, double *energy, double *virial)
{
    const long long s = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (s >= n_systems) return;
    double total = 0, w[9] = {0, 0, 0, 0, 0, 0, 0, 0, 0};
    for (long long i = first_atom[s]; i < first_atom[s + 1]; i++) {
        total += energies[i];
        for (int k = 0; virial && k < 9; k++) w[k] += virials[9 * i + k];
    }
    if (energy) energy[s] = total;
    for (int k = 0; virial && k < 9; k++) virial[9 * s + k] = w[k];
}
""".replace("DEPTHS", ", ".join(map(str, DEPTH.ravel()))).replace("ENERGIES", ", ".join(map(str, E0)))

_GEOMETRY = ("edge_shift", "shifts", "positions", "edge_vectors")


def record() -> Record:
    """Launch list of the kernels above."""
    pool = ("n_atoms", "first_edge", "edge_to", *_GEOMETRY, "wells", "slopes")
    gradient = ("n_atoms", "species", "first_edge", "edge_to", *_GEOMETRY, "coefficients", "slopes")
    launches = [Launch("pool", "n_atoms", 1, 32, 0, pool)]
    for c in range(2):
        centre = ("tile_atoms", "species", "first_edge", "edge_to", "coefficients", "wells", "energies", "basis")
        launches.append(Launch("product", f"n_tiles_{c}", 1, 32, 0, (f"first_tile_{c}", *centre)))
    launches += [
        Launch("gradient", "n_atoms", 64, 64, 0, (*gradient, "edge_gradients", "virials"), "gradients"),
        Launch(
            "gather",
            "n_atoms",
            64,
            64,
            0,
            ("n_atoms", "first_edge", "reverse", "edge_gradients", "forces"),
            "gradients",
        ),
        Launch("sums", "n_systems", 64, 64, 0, ("n_systems", "first_atom", "energies", "virials", "energy", "virial")),
    ]
    return Record(
        source="morse.cu",
        real="double",
        n_species=2,
        n_basis=2,
        n_coefficients=N_COEFFICIENTS,
        buffers=(
            Buffer("wells", "real", ("n_edges",)),
            Buffer("slopes", "real", ("n_edges",)),
            Buffer("energies", "double", ("n_atoms",)),
            Buffer("virials", "double", ("n_atoms", 3, 3), "gradients"),
            Buffer("edge_gradients", "double", ("n_edges", 3), "gradients"),
        ),
        launches=tuple(launches),
    )


def write_cuda_bundle(folder: Path, source: str = SOURCE, **changes: object) -> Path:
    """The bundle of pair_kernel.py with the CUDA kernels of `source`; `changes` are fields of the manifest."""
    write_bundle(folder)
    (folder / "morse.cu").write_text(source)
    manifest = Manifest.from_json((folder / "manifest.json").read_text())
    files = (*manifest.files, ("morse.cu", hashlib.sha256(source.encode()).hexdigest()))
    complete = replace(manifest, **{"files": files, "cuda": record().to_json(), **changes})  # type: ignore[arg-type]
    (folder / "manifest.json").write_text(complete.to_json())
    return folder


ALL = ("energy", "energies", "forces", "virial", "virials", "basis", "edge_gradients")


def device_model(on_cpu: Model, backend: Any = None, precision: str = "float64") -> CudaModel:
    """The same potential through its CUDA kernels."""
    backend = HostBackend() if backend is None else backend
    return CudaModel(on_cpu.manifest, record(), SOURCE, backend, precision, on_cpu.weights, on_cpu._fold)


def same(found: Any, wanted: Any, names: tuple[str, ...] = ALL, tolerance: float = 1e-13) -> None:
    for name in names:
        one, other = getattr(found, name), getattr(wanted, name)
        assert one.shape == other.shape and one.dtype == np.float64
        one = one.get() if hasattr(one, "get") else np.asarray(one)
        scale = max(1.0, float(np.abs(other).max(initial=0.0)))
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale, err_msg=name)


def arrays_of(graph: GraphBatch, order: Any = None) -> dict[str, Any]:
    """Arguments of `CudaModel.graph`, the edges in another order if wanted."""
    order = np.arange(graph.n_edges) if order is None else order
    return {
        "species": graph.species,
        "positions": graph.positions,
        "edge_from": np.repeat(np.arange(graph.n_atoms), np.diff(graph.first_edge))[order],
        "edge_to": graph.edge_to[order],
        "shifts": graph.shifts[graph.edge_shift][order],
        "first_atom": graph.first_atom,
    }
