"""A Morse pair potential with the C interface of a generated kernel, and its NumPy twin: tests the runtime alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk

from acegen.manifest import EVALUATE, SITE, WORKSPACE, Manifest, prototype

NAME = "morse"
SPECIES = ("Cu", "Au")
CUTOFF = 4.0
E0 = (0.25, -0.5)
DEPTH = np.array([[0.3, 0.5], [0.4, 0.7]])  # [centre, neighbour] eV: kernel coefficients
N_COEFFICIENTS = 4

SITE_CODE = """
#ifndef ACEGEN_REAL
#define ACEGEN_REAL double
#endif
typedef ACEGEN_REAL real;

static const double DEPTH[4] = {0.3, 0.5, 0.4, 0.7};
static const double E0[2] = {0.25, -0.5};

/* w(r) = f(r) (1 - r/rc)^2 with f = x^2 - 2 x, x = exp(1.2 (2.5 - r)); returns w, *dw its derivative */
static real morse(real r, real *dw)
{
    const real rc = 4;
    const real x = (real)exp((double)((real)1.2 * ((real)2.5 - r)));
    const real f = x * x - 2 * x, df = (real)-1.2 * (2 * x * x - 2 * x);
    const real s = 1 - r / rc;
    *dw = df * s * s - f * 2 * s / rc;
    return f * s * s;
}
"""

EVALUATE_CODE = """
{
    (void)n_threads;
    if (workspace_bytes < 8 * n_atoms || (workspace_bytes > 0 && !workspace) || (uintptr_t)workspace % 64) return 1;
    for (int64_t i = 0; i < n_atoms; i++) if (species[i] < 0 || species[i] > 1) return 2;
    double *site = workspace;
    const double *depth = coefficients ? coefficients : DEPTH;
    for (int64_t i = 0; forces && i < 3 * n_atoms; i++) forces[i] = 0;
    for (int64_t s = 0; s < n_systems; s++) {
        double total = 0, w_sum[9] = {0};
        for (int64_t i = first_atom[s]; i < first_atom[s + 1]; i++) {
            double w_site[9] = {0};
            site[i] = E0[species[i]];
            if (basis) { basis[2 * i] = 0; basis[2 * i + 1] = 0; }
            for (int64_t e = first_edge[i]; e < first_edge[i + 1]; e++) {
                const int64_t j = edge_to[e];
                double r[3], d2 = 0;
                for (int a = 0; a < 3; a++) {
                    r[a] = edge_vectors ? edge_vectors[3 * e + a] : positions[3 * j + a] - positions[3 * i + a]
                         + (edge_shift ? shifts[3 * edge_shift[e] + a] : 0);
                    d2 += r[a] * r[a];
                }
                const double d = sqrt(d2);
                real dw = 0, w = 0;
                if (d < 4.0) w = morse((real)d, &dw);
                const double c = depth[2 * species[i] + species[j]];
                site[i] += c * w;
                if (basis) basis[2 * i + species[j]] += w;
                for (int a = 0; a < 3; a++) {
                    const double g = c * dw * r[a] / d;
                    if (edge_gradients) edge_gradients[3 * e + a] = g;
                    if (forces) { forces[3 * i + a] += g; forces[3 * j + a] -= g; }
                    for (int b = 0; b < 3; b++) w_site[3 * a + b] -= g * r[b];
                }
            }
            total += site[i];
            if (energies) energies[i] = site[i];
            for (int k = 0; k < 9; k++) { w_sum[k] += w_site[k]; if (virials) virials[9 * i + k] = w_site[k]; }
        }
        if (energy) energy[s] = total;
        for (int k = 0; virial && k < 9; k++) virial[9 * s + k] = w_sum[k];
    }
    return 0;
}
"""

REST_CODE = """
{
    (void)max_neighbours; (void)n_threads;
    return 8 * n_atoms;
}
"""

SITE_BODY = """
{
    if (workspace_bytes < 8 || !workspace) return 1;
    if (species < 0 || species > 1) return 2;
    *energy = E0[species];
    for (int64_t e = 0; e < n_neighbours; e++) {
        const double *r = vectors + 3 * e, d = sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
        real dw = 0, w = 0;
        if (d < 4.0) w = morse((real)d, &dw);
        const double c = (coefficients ? coefficients : DEPTH)[2 * species + neighbour_species[e]];
        *energy += c * w;
        for (int a = 0; gradient && a < 3; a++) gradient[3 * e + a] = c * dw * r[a] / d;
    }
    return 0;
}
"""


def header_text() -> str:
    """C header of the kernel."""
    functions = (("int", "evaluate", EVALUATE), ("int64_t", "workspace", WORKSPACE), ("int", "site", SITE))
    return "#include <stdint.h>\n" + "".join(f"{prototype(r, f'{NAME}_{n}', t)};\n" for r, n, t in functions)


def source_text() -> str:
    """C source of the kernel."""
    return (
        f'#include "{NAME}.h"\n#include <math.h>\n{SITE_CODE}\n'
        f"{prototype('int', NAME + '_evaluate', EVALUATE)}{EVALUATE_CODE}\n"
        f"{prototype('int64_t', NAME + '_workspace', WORKSPACE)}{REST_CODE}\n"
        f"{prototype('int', NAME + '_site', SITE)}{SITE_BODY}"
    )


def manifest() -> Manifest:
    """Manifest of the kernel, without file checksums."""
    return Manifest(
        name=NAME,
        species=SPECIES,
        cutoff=CUTOFF,
        cutoffs=((CUTOFF, CUTOFF), (CUTOFF, CUTOFF)),
        precision="float64",
        n_basis=2,
        n_basis_per_species=((0, 2), (0, 2)),
        n_densities=(1, 1),
        n_coefficients=N_COEFFICIENTS,
        linear=True,
        replaceable=True,
        source="hand-made",
        digest="0" * 64,
        templates="0" * 64,
        correlation_order=1,
        operations=(),
        sources=(f"{NAME}.c",),
    )


def write_bundle(folder: Path, **changes: object) -> Path:
    """Write the bundle; `changes` are fields of the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.h").write_text(header_text())
    (folder / f"{NAME}.c").write_text(source_text())
    # coefficients = [w0, w1, w2/2 + w2/2, w3]: a row of two terms and three of one
    np.savez(
        folder / "weights.npz",
        weights_0=DEPTH[0][:, None],
        weights_1=DEPTH[1][:, None],
        fold_indptr=np.array([0, 1, 2, 4, 5]),
        fold_indices=np.array([0, 1, 2, 2, 3]),
        fold_values=np.array([1.0, 1.0, 0.5, 0.5, 1.0]),
    )
    names = [f"{NAME}.c", f"{NAME}.h", "weights.npz"]
    files = tuple((name, hashlib.sha256((folder / name).read_bytes()).hexdigest()) for name in names)
    complete = replace(manifest(), **{"files": files, **changes})  # type: ignore[arg-type]
    (folder / "manifest.json").write_text(complete.to_json())
    return folder


def reference(species, positions, cell, pbc):
    """Energies, forces and virials by a sum over all images of all pairs (NumPy, no neighbour list)."""
    n = len(species)
    energies, forces, virials = np.array([E0[s] for s in species], float), np.zeros((n, 3)), np.zeros((n, 3, 3))
    for i, j, multiple in brute_force_edges(positions, cell, pbc, CUTOFF):
        r = positions[j] + np.asarray(multiple) @ cell - positions[i]
        d = np.linalg.norm(r)
        x, s = np.exp(1.2 * (2.5 - d)), 1 - d / CUTOFF
        f, df = x * x - 2 * x, -1.2 * (2 * x * x - 2 * x)
        depth = DEPTH[species[i], species[j]]
        g = depth * (df * s * s - f * 2 * s / CUTOFF) * r / d
        energies[i] += depth * f * s * s
        forces[i] += g
        forces[j] -= g
        virials[i] -= np.outer(g, r)
    return energies, forces, virials


def brute_force_edges(positions, cell, pbc, cutoff):
    """Sorted list of (i, j, multiples) closer than `cutoff`, from a box of images around each pair's nearest one."""
    cell, pbc = np.asarray(cell, float), np.asarray(pbc, bool)
    inverse = np.linalg.pinv(cell * pbc[:, None])
    reach = [int(np.ceil(cutoff * np.linalg.norm(inverse[:, k]))) + 1 if pbc[k] else 0 for k in range(3)]
    grids = np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij")
    around = np.stack([g.ravel() for g in grids], axis=1)
    edges = []
    for i in range(len(positions)):
        for j in range(len(positions)):
            apart = positions[j] - positions[i]
            nearest = np.where(pbc, -np.rint(apart @ inverse), 0).astype(int)
            multiples = around + nearest
            far = np.linalg.norm(apart + multiples @ cell, axis=1)
            for multiple in multiples[far < cutoff]:
                if i != j or multiple.any():
                    edges.append((i, j, tuple(int(k) for k in multiple)))
    return sorted(edges)


def structures() -> list[Atoms]:
    """Periodic, mixed, open, lone and empty structures of both species."""
    alloy = bulk("Cu", cubic=True) * (2, 1, 1)
    alloy.numbers[[1, 4]] = 79
    alloy.rattle(0.15, seed=1)
    skewed = Atoms("CuAu", [[0, 0, 0], [1.5, 1.4, 1.2]], cell=[[3, 0, 0], [1, 3.2, 0], [0.5, -0.7, 2.9]], pbc=True)
    slab = Atoms("AuCu", [[0, 0, 0], [1.5, 1.4, 2.0]], cell=[3, 3.1, 0], pbc=[True, True, False])
    cluster = Atoms("CuAuCu", [[0, 0, 0], [2.4, 0.3, 0], [0.2, 2.6, 0.9]])
    return [alloy, Atoms(), skewed, slab, Atoms("Au"), cluster]
