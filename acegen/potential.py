"""Stage 2 hand-over: the one internal model of linear ACE and PACE, whatever file it came from.

Conventions (design section 1).  Complex amplitudes of centre i, channel c = (b, n, l) and m = -l..l:

    A_cm = sum_{j of species b, r < cutoff(a,b)}  R_c(r_ij) Y_lm(r_ij) [r_ij^l when angular is "solid"]
    R_c  = sum_k coefficients[k] g_k(r)              g_k: the radial primitives of the ordered bond (a,b)

with Y_lm the orthonormal complex harmonics WITH Condon-Shortley phase.  In terms of the real orthonormal
harmonics S (no phase, index l*l+l+m):  Y_l0 = S_l0,  Y_lm = (-1)^m (S_lm + i S_l-m)/sqrt2,
Y_l-m = (S_lm - i S_l-m)/sqrt2  (m > 0).  A basis function of centre species a is

    B_f = sum_q coefficients[q] Re prod_t A_{channels[t], ms[q,t]}          (sum_t ms[q,t] = 0)

and the densities, embedding, reference energy and core repulsion give the site energy

    rho_p = sum_f weights[f,p] B_f,     F = sum_p scale_p F_p(rho_p; exponent_p),     c_i = sum_j core(r_ij)
    E_i = F fsw + c_i + e0               switching "density": fsw = S(c_i; core_cutoff, core_width)
    E_i = F fsw + c_i (1 - fsw) + e0     switching "zbl": fsw from the nearest shifted neighbour
    E_i = F + c_i + e0                   switching "none"

A function of order 1 has one channel with l = 0 (PACE rank 1 and the pair basis: coefficients carry the
factor sqrt(4 pi) that cancels Y_00).  Lengths in angstrom, energies in eV.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class RadialFamily:
    """A set of radial primitives g_1..g_size on one bond; `kind` names its formula in maths.radial."""

    kind: str
    size: int
    options: tuple[tuple[str, object], ...] = ()  # change the formula, hence the generated code
    parameters: tuple[tuple[str, float | tuple[float, ...]], ...] = ()  # numbers of this bond only


@dataclass(frozen=True, slots=True)
class Core:
    """Core repulsion of one ordered bond: kind "exponential", "zbl" or "acejl" (maths.core)."""

    kind: str
    options: tuple[tuple[str, object], ...] = ()
    parameters: tuple[tuple[str, float | tuple[float, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Bond:
    """Everything radial of the ordered pair (centre, neighbour); strictly r < cutoff contributes."""

    cutoff: float  # angstrom
    families: tuple[RadialFamily, ...]  # primitives are numbered through all families in order
    core: Core | None = None
    switch_window: tuple[float, float] = (0.0, 0.0)  # (rcut_in, dcut_in) of switching "zbl"
    folded: int = 0  # the last `folded` primitives are sums of all order-1 functions, one per density (basis.fold)

    @property
    def n_primitives(self) -> int:
        return sum(family.size for family in self.families)


@dataclass(frozen=True, slots=True)
class Channel:
    """One radial channel (neighbour species, n, l) of a centre species.

    neighbour -1 means the channel sums over all neighbour species b, with coefficients of its own for each bond:
    `coefficients` is then the concatenation over b = 0, 1, ... of [n_primitives of the bond (centre, b)].
    """

    neighbour: int  # species index, or -1: all species
    n: int
    l: int
    coefficients: tuple[float, ...]  # [n_primitives of the bond], or of all bonds of the centre in turn


@dataclass(frozen=True, slots=True, eq=False)
class BasisFunction:
    """One row of B: channels (indices, any order, repeats allowed) and its m-tuples."""

    channels: tuple[int, ...]
    ms: np.ndarray  # int [n_terms, order], each row sums to 0
    coefficients: np.ndarray  # float [n_terms], multiply Re of the complex product
    pair: bool = False  # a pair-basis row (design section 1: pair rows come after the many-body rows)
    label: str = ""  # readable, for basis.txt: e.g. "(Si 1 0)(Si 2 0)"


@dataclass(frozen=True, slots=True)
class Embedding:
    """F = sum_p scale_p F(rho_p; exponent_p); kind "linear" means F(rho) = rho."""

    kind: str  # "linear", "FinnisSinclair", "FinnisSinclairShiftedScaled"
    scales: tuple[float, ...] = (1.0,)
    exponents: tuple[float, ...] = (1.0,)

    @property
    def n_densities(self) -> int:
        return len(self.scales)


@dataclass(frozen=True, slots=True, eq=False)
class Centre:
    """All that belongs to one centre species."""

    e0: float  # eV
    channels: tuple[Channel, ...]
    functions: tuple[BasisFunction, ...]  # many-body rows first, then pair rows
    weights: np.ndarray  # float64 [n_functions, n_densities]
    embedding: Embedding
    core_cutoff: float = 0.0  # rho_core_cutoff of switching "density"
    core_width: float = 0.0  # drho_core_cutoff


@dataclass(frozen=True, slots=True, eq=False)
class Potential:
    """A complete model: what readers produce and what the program stage lowers."""

    name: str  # a C identifier, from the spec or the file stem
    species: tuple[str, ...]
    angular: str  # "spherical" or "solid"
    bonds: tuple[tuple[Bond, ...], ...]  # [centre species][neighbour species]
    centres: tuple[Centre, ...]  # [species]
    switching: str = "none"  # "none", "density", "zbl"
    largest_cutoff: float = 0.0  # angstrom, maximum over bonds (zbl switching compares against it)
    source: str = ""  # file name (no folder) it was read from
    digest: str = ""  # sha256 of the canonical input
    linear: bool = False  # a linear spec: weights are replaceable, parameters as in design section 1
    tables: tuple[object, ...] = ()  # maths.tables.Table of families of kind "table", by parameter "key"
    replaceable: bool = False  # the spec asks for weights that can be replaced without recompiling
