"""Embedding functions F(rho) of PACE and their derivatives (pace_format 9)."""

from __future__ import annotations

import numpy as np

from acegen.embeddings import KINDS, embedding_function
from acegen.errors import PotentialError
from acegen.potential import Embedding

Array = np.ndarray


def embed(embedding: Embedding, rho: Array) -> tuple[Array, Array]:
    """F [n] in eV and dF/drho_p [n, n_densities] from rho [n, n_densities]."""
    if embedding.kind not in KINDS:
        raise PotentialError(f"embedding {embedding.kind!r} is unknown to the interpreter")
    total, slopes = np.zeros(len(rho)), np.empty_like(rho)
    for p, (scale, exponent) in enumerate(zip(embedding.scales, embedding.exponents, strict=True)):
        value, slope = embedding_function(embedding.kind, rho[:, p], exponent)
        total += scale * value
        slopes[:, p] = scale * slope
    return total, slopes
