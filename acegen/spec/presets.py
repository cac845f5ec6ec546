"""The two stock flavours of linear ACE, and acegen's own defaults, as starting values of the reader."""

from __future__ import annotations

from dataclasses import dataclass

from acegen.spec.model import Envelope, Evaluation, Polynomials, Transform


@dataclass(frozen=True, slots=True)
class Preset:
    """Default values; `pair_count` says how many pair functions: "none", "per_neighbour" or "total" (= degree)."""

    transform: Transform
    envelope: Envelope
    polynomials: Polynomials
    evaluation: Evaluation
    angular: str
    pair_count: str
    pair_transform: Transform
    pair_envelope: Envelope
    pair_evaluation: Evaluation
    cutoff: float | None  # angstrom; None: the key is required
    cutoff_over_r0: float  # > 0: the cutoff is this multiple of the largest r0 of all pairs
    level_tolerance: float
    row_order: str


OWN = Preset(
    transform=Transform(2, 4),
    envelope=Envelope(),
    polynomials=Polynomials("legendre"),
    evaluation=Evaluation("exact"),
    angular="spherical",
    pair_count="none",
    pair_transform=Transform(1, 4),
    pair_envelope=Envelope("poly1sr", power=1),
    pair_evaluation=Evaluation("exact"),
    cutoff=None,
    cutoff_over_r0=0.0,
    level_tolerance=1e-9,
    row_order="by_order",
)

# ACEpotentials 0.8 to 0.10, ace1_model: the splines belong to the model, a fit made with them needs them.
ACE1 = Preset(
    transform=Transform(2, 4),
    envelope=Envelope(),
    polynomials=Polynomials("jacobi", 4.0, 4.0),
    evaluation=Evaluation("spline", nodes=100),
    angular="spherical",
    pair_count="per_neighbour",
    pair_transform=Transform(1, 3),
    pair_envelope=Envelope("ace1_poly1sr", power=2),
    pair_evaluation=Evaluation("spline", nodes=100),
    cutoff=None,
    cutoff_over_r0=2.5,
    level_tolerance=0.0,
    row_order="by_order",
)

# ace-jax 0.4, build_model.
ACE_JAX = Preset(
    transform=Transform(2, 2),
    envelope=Envelope(),
    polynomials=Polynomials("legendre"),
    evaluation=Evaluation("exact"),
    angular="solid",
    pair_count="total",
    pair_transform=Transform(1, 4),
    pair_envelope=Envelope("poly1sr", power=1),
    pair_evaluation=Evaluation("exact"),
    cutoff=5.5,
    cutoff_over_r0=0.0,
    level_tolerance=1e-9,
    row_order="lexicographic",
)

PRESETS: dict[str, Preset] = {"ace1": ACE1, "ace_jax": ACE_JAX}
