"""Solvers on the compressed factor: ridge, Bayesian ridge, truncated SVD and ARD cost the same for any amount of data.

All minimise, in c = gamma theta (gamma: `acegen.fitting.prior`, X = R diag(1/gamma)),

    |X c - q|^2 + rest + lambda |c|^2        X = U diag(s) V^T,  b = U^T q,  c = V diag(s / (s^2 + lambda)) b

which equals the same expression over all rows of the design matrix. With Gaussian noise of variance sigma^2 and the
prior c ~ N(0, sigma^2 / lambda) the evidence of n rows, maximised over sigma, depends on lambda alone (MacKay,
Neural Comput. 4, 415 (1992)):

    -2 log p(y) = n log S + sum log(1 + s^2 / lambda) + const,   S = rest + sum lambda b^2 / (s^2 + lambda),
    sigma^2 = S / n,   covariance of c = sigma^2 (X^T X + lambda)^-1
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar

from acegen.fitting.factor import Factor
from acegen.fitting.settings import Settings
from acegen.runtime.arrays import FloatArray

TOLERANCE = 1e-9  # smallest singular value kept, in largest ones
_LOWEST, _HIGHEST, _STEP = -20.0, 4.0, 0.25  # log10 of lambda over s_max^2, searched in these steps


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """Weights and how sure they are."""

    parameters: FloatArray  # [p] theta
    spread: FloatArray  # [p, k]: covariance of theta = spread spread^T
    noise: float  # sigma of a weighted row
    regularisation: float  # lambda; of ARD: the smallest one
    effective: float  # number of parameters the data decide: sum of s^2 / (s^2 + lambda)
    n_kept: int  # parameters, or singular directions, that are not cut off


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """The problem in c: X [p, p] with its singular value decomposition."""

    matrix: FloatArray
    target: FloatArray
    rest: float
    n_rows: int
    left: FloatArray  # b = U^T q
    values: FloatArray  # s, descending
    right: FloatArray  # V^T


def solve(factor: Factor, gamma: FloatArray, settings: Settings) -> Solution:
    """Weights of a compressed least-squares problem.

    Args:
        factor: all weighted rows, energies in eV.
        gamma: [p] smoothness prior, > 0.
        settings: its solver: "ridge" with the lambda given, else of largest evidence; "bayesian": of largest
            evidence; "tsvd": no lambda, singular values below `tolerance` times the largest are dropped;
            "ard": a lambda of its own for every function, those without use are dropped.
    """
    problem = scaled(factor, gamma)
    if settings.solver == "tsvd":
        found = truncated(problem, TOLERANCE if settings.tolerance is None else settings.tolerance)
    elif settings.solver == "ard":
        from acegen.fitting.ard import relevant

        found = relevant(problem)
    else:
        lam = settings.regularisation
        found = ridge(problem, best_regularisation(problem) if lam is None else lam)
    return replace(found, parameters=found.parameters / gamma, spread=found.spread / gamma[:, None])


def scaled(factor: Factor, gamma: FloatArray) -> Scaled:
    """The problem in c = gamma theta."""
    matrix = factor.upper / gamma
    u, s, vt = np.linalg.svd(matrix)
    q = factor.projected.copy()
    return Scaled(matrix, q, factor.rest, factor.n_rows, u.T @ q, s, vt)


def ridge(problem: Scaled, regularisation: float) -> Solution:
    """Ridge with this lambda; lambda 0 leaves out directions below rounding."""
    s, lam = problem.values, regularisation
    kept = s > (0.0 if lam > 0.0 else s.max(initial=0.0) * len(s) * np.finfo(float).eps)
    inverse = np.divide(1.0, s**2 + lam, out=np.zeros_like(s), where=kept | (lam > 0.0))
    shrink = s**2 * inverse
    coefficients = problem.right.T @ (s * inverse * problem.left)
    if lam > 0.0:
        variance = _penalised(problem, lam) / max(problem.n_rows, 1)
    else:
        variance = (problem.rest + float(problem.left[~kept] @ problem.left[~kept])) / max(
            problem.n_rows - int(kept.sum()), 1
        )
    sigma = math.sqrt(variance)
    spread = sigma * (problem.right.T * np.sqrt(inverse)) @ problem.right  # the symmetric root is unique
    return Solution(coefficients, spread, sigma, lam, float(shrink.sum()), int(kept.sum()))


def truncated(problem: Scaled, tolerance: float) -> Solution:
    """Least squares in the directions of the larger singular values."""
    s = problem.values
    kept = s > tolerance * s.max(initial=0.0)
    inverse = np.divide(1.0, s, out=np.zeros_like(s), where=kept)
    dropped = problem.left[~kept]
    n_kept = int(kept.sum())
    variance = (problem.rest + float(dropped @ dropped)) / max(problem.n_rows - n_kept, 1)
    sigma = math.sqrt(variance)
    spread = sigma * (problem.right.T * inverse) @ problem.right
    return Solution(problem.right.T @ (inverse * problem.left), spread, sigma, 0.0, float(n_kept), n_kept)


def _penalised(problem: Scaled, lam: float) -> float:
    """S = |y - A c|^2 + lambda |c|^2 at its minimum."""
    return problem.rest + float(np.sum(lam * problem.left**2 / (problem.values**2 + lam)))


def negative_log_evidence(problem: Scaled, log_lambda: float) -> float:
    """-2 log evidence, without its constant, at lambda = exp(log_lambda)."""
    lam = math.exp(log_lambda)
    penalised = max(_penalised(problem, lam), np.finfo(float).tiny)
    return problem.n_rows * math.log(penalised) + float(np.sum(np.log1p(problem.values**2 / lam)))


def best_regularisation(problem: Scaled) -> float:
    """lambda of largest evidence; a coarse search first, for the evidence may have several maxima."""
    largest = float(problem.values.max(initial=0.0))
    if largest == 0.0 or not problem.n_rows:
        return 1.0
    steps = np.arange(_LOWEST, _HIGHEST + _STEP / 2.0, _STEP) * math.log(10.0) + 2.0 * math.log(largest)
    costs = [negative_log_evidence(problem, float(step)) for step in steps]
    at = int(np.argmin(costs))
    if at in (0, len(steps) - 1):
        return math.exp(float(steps[at]))
    bracket = (float(steps[at - 1]), float(steps[at + 1]))
    best = minimize_scalar(lambda x: negative_log_evidence(problem, float(x)), bounds=bracket, method="bounded")
    return math.exp(float(best.x))


def members(solution: Solution, count: int, seed: int) -> FloatArray:
    """Committee [count, p]: samples of the posterior, the same for the same seed."""
    stream = np.random.Generator(np.random.Philox(seed))
    noise = stream.standard_normal((count, solution.spread.shape[1]))
    sampled: FloatArray = solution.parameters + noise @ solution.spread.T
    return sampled
