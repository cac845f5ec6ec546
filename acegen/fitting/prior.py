"""Algebraic smoothness prior: functions of high degree must earn their weight.

Per basis function b with factors (n, l), gamma_b = sum over factors of (l/WL)^p + (n/WN)^p; pair functions have
l = 0 and the same n. The fit is regularised in c = gamma theta instead of the weights theta (see `acegen.fitting.
solvers`). This is the prior of ACEpotentials (Witt et al., J. Chem. Phys. 159, 164101 (2023)) with its defaults
p = 4, WL = 2/3, WN = 1; n is species-coded, as in the specification.
"""

from __future__ import annotations

import numpy as np

from acegen.basis.product import bodies
from acegen.runtime.arrays import FloatArray
from acegen.spec.model import BasisSpec

WL, WN = 2.0 / 3.0, 1.0


def smoothness(spec: BasisSpec, power: float) -> tuple[FloatArray, FloatArray]:
    """gamma of the rows of B [n_body] and of the pair functions [n_pair], common to all species.

    Args:
        power: p in 0..20; 0 means no prior (all ones).
    """
    found = [sum(_factor(n, l, power) for n, l in body.factors) for body in bodies(spec) for _ in range(body.n_rows)]
    n_pair = spec.pair.n_functions if spec.pair is not None else 0
    pair = [_factor(n, 0, power) for n in range(1, n_pair + 1)]
    if power == 0.0:
        return np.ones(len(found)), np.ones(len(pair))
    return np.array(found, np.float64), np.array(pair, np.float64)


def _factor(n: int, l: int, power: float) -> float:
    return float((l / WL) ** power + (n / WN) ** power)


def parameter_prior(spec: BasisSpec, power: float) -> FloatArray:
    """gamma [n_parameters] in the order of the parameters: rows of B of each species, then pairs of each species."""
    body, pair = smoothness(spec, power)
    return np.concatenate([np.tile(body, spec.n_species), np.tile(pair, spec.n_species)])
