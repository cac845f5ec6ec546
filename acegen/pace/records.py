"""What the PACE readers agree on before a Potential is built: one record per bond, embedding and function."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class JuliaPolynomials:
    """The ACE.jl radial polynomials of one bond or of the pair potential (pace_format 4.6)."""

    p: int
    pl: int
    pr: int
    r0: float
    xl: float
    xr: float
    rcut: float  # angstrom
    a: tuple[float, ...]
    b: tuple[float, ...]
    c: tuple[float, ...]

    @property
    def size(self) -> int:
        return len(self.a)


@dataclass(frozen=True, slots=True)
class JuliaPair:
    """Pair potential and repulsion of one ordered bond (pace_format 4.6): [eV] before the factor 1/2."""

    polynomials: JuliaPolynomials
    coefficients: tuple[float, ...]
    repulsion: tuple[float, float, float, float] | None  # ri [angstrom], e0, A, B


@dataclass(frozen=True, slots=True, eq=False)
class BondRecord:
    """One ordered bond as the file states it (pace_format 3)."""

    basis: str  # radbasename
    n_max: int
    l_max: int
    n_base: int
    coefficients: np.ndarray  # c_nlk [n_max, l_max+1, n_base]
    lam: float = 0.0
    prehc: float = 0.0
    lambdahc: float = 0.0
    rcut: float = 0.0
    dcut: float = 0.0
    r_in: float = 0.0
    d_in: float = 0.0
    inner: str = "density"
    julia: JuliaPolynomials | None = None
    pair: JuliaPair | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingRecord:
    """One element's densities and embedding (pace_format 9)."""

    kind: str
    scales: tuple[float, ...]
    exponents: tuple[float, ...]
    core_cutoff: float
    core_width: float


@dataclass(frozen=True, slots=True, eq=False)
class FunctionRecord:
    """One row of B: rho_p += weights[p] * sum_q coefficients[q] Re prod_t A_{mus[t] ns[t] ls[t] ms[q,t]}."""

    mus: tuple[int, ...]
    ns: tuple[int, ...]  # 1-based, as in the files
    ls: tuple[int, ...]
    ms: np.ndarray  # int [n_terms, rank]
    coefficients: np.ndarray  # float [n_terms]
    weights: tuple[float, ...]  # [n_densities]
    note: str = ""  # goes to the end of the label


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """A whole file; bonds hold every ordered pair, functions one tuple per element."""

    file: str
    elements: tuple[str, ...]
    e0: tuple[float, ...]
    embeddings: tuple[EmbeddingRecord, ...]
    bonds: dict[tuple[int, int], BondRecord]
    functions: tuple[tuple[FunctionRecord, ...], ...]
