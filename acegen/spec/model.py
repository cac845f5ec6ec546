"""Stage 1 hand-over: a BasisSpec says which linear ACE model is meant, with every default resolved."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Transform:
    """Normalised Agnesi transform r -> x in [-1, 1]; lengths in angstrom."""

    p: int
    q: int
    r_in: float = 0.0
    r0: float | None = None  # None: the mean bond length of the pair; always a number inside a BondSpec


@dataclass(frozen=True, slots=True)
class Envelope:
    """kind "poly2sx" (p1, p2, x1, x2), "poly1sr" and "ace1_poly1sr" (power), or "none"."""

    kind: str = "poly2sx"
    p1: int = 2
    p2: int = 2
    x1: float = -1.0
    x2: float = 1.0
    power: int = 1


@dataclass(frozen=True, slots=True)
class Polynomials:
    """Orthonormal polynomials in x: "legendre", "jacobi" (alpha, beta) or "chebyshev" (first kind, T_k)."""

    kind: str = "legendre"
    alpha: float = 0.0
    beta: float = 0.0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How radial functions are computed: "exact", "spline" (that model of `nodes` nodes) or "tabulated"."""

    kind: str = "exact"
    nodes: int = 0
    tolerance: float = 0.0  # "tabulated": largest error of value and slope the compiler may make


@dataclass(frozen=True, slots=True)
class Primitives:
    """A radial basis of PACE in place of transform, polynomials and envelope: "ChebExpCos", "ChebPow" or "SBessel"."""

    kind: str
    steepness: float = 0.0  # lambda
    taper: float = 0.0  # angstrom, width of the extra taper of ChebExpCos below the cutoff


@dataclass(frozen=True, slots=True)
class ArrayFile:
    """An .npz file named in the spec: the name as written, where it was found, sha256 of its bytes."""

    file: str
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class RadialWeights:
    """R_nl from polynomials: "one-hot", "glorot" (seed) or "file" (array W [NZ, NZ, n_nl, n_polynomials])."""

    kind: str = "one-hot"
    seed: int = 0
    source: ArrayFile | None = None
    array: str = "W"


@dataclass(frozen=True, slots=True)
class RadialSpec:
    """Many-body radial basis, common to all bonds; n_polynomials 0 means one-hot: as many as are used."""

    polynomials: Polynomials
    evaluation: Evaluation
    weights: RadialWeights
    n_polynomials: int
    primitives: Primitives | None = None


@dataclass(frozen=True, slots=True)
class PairSpec:
    """Pair basis of n_functions per centre, species-coded: function n has neighbour (n-1) % n_species."""

    n_functions: int
    polynomials: Polynomials
    evaluation: Evaluation
    primitives: Primitives | None = None


@dataclass(frozen=True, slots=True)
class BondSpec:
    """Radial settings of one ordered pair (centre, neighbour); cutoff in angstrom."""

    cutoff: float
    transform: Transform
    envelope: Envelope
    pair_transform: Transform
    pair_envelope: Envelope


@dataclass(frozen=True, slots=True)
class EmbeddingSpec:
    """F = sum_p scales[p] F(rho_p; exponents[p])."""

    kind: str = "linear"
    scales: tuple[float, ...] = (1.0,)
    exponents: tuple[float, ...] = (1.0,)


@dataclass(frozen=True, slots=True)
class WeightSpec:
    """kind "zero", "random" (seed, scale: documented in `acegen.basis.weights`) or "file" (source)."""

    kind: str = "zero"
    seed: int = 0
    scale: float = 1.0
    source: ArrayFile | None = None


@dataclass(frozen=True, slots=True)
class BasisSpec:
    """A complete basis specification; lengths in angstrom, energies in eV.

    Either degree (one value per order) or n_max and l_max (one value per order each) selects the functions; the
    tuples not used are empty.
    """

    name: str
    elements: tuple[str, ...]
    order: int
    degree: tuple[float, ...]
    l_weight: float
    level_tolerance: float
    n_max: tuple[int, ...]
    l_max: tuple[int, ...]
    row_order: str  # "by_order" or "lexicographic"
    angular: str  # "spherical" or "solid"
    radial: RadialSpec
    pair: PairSpec | None
    bonds: tuple[tuple[BondSpec, ...], ...]  # [centre species][neighbour species]
    reference_energies: tuple[float, ...]  # [species], eV
    embedding: EmbeddingSpec
    weights: WeightSpec
    weights_replaceable: bool
    max_functions: int  # largest number of functions per species that is enumerated
    precision: str  # default arithmetic of the compiled model: "float64" or "float32"
    source: str  # file name the spec was read from, without folder

    @property
    def n_species(self) -> int:
        return len(self.elements)

    @property
    def digest(self) -> str:
        """sha256 of the canonical form: the mathematics and the numbers, not file names nor precision."""
        content = asdict(self)
        for key in ("source", "precision", "max_functions"):
            del content[key]
        for owner in (content["radial"], content["pair"] or {}):
            if owner.get("primitives", 0) is None:
                del owner["primitives"]
        for owner in (content["radial"]["weights"], content["weights"]):
            if owner["source"] is not None:
                owner["source"] = owner["source"]["sha256"]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
