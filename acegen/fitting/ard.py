"""Automatic relevance determination: every function its own prior, functions the data do not ask for vanish.

Evidence maximisation on the compressed problem (notation of `acegen.fitting.solvers`), with lambda_j = sigma^2 alpha_j
and covariance sigma^2 S of c, S = (X^T X + diag(lambda))^-1:

    g_j = 1 - lambda_j S_jj        how far the data decide c_j (1: they alone, 0: the prior alone)
    lambda_j = sigma^2 g_j / c_j^2,    sigma^2 = |y - A c|^2 / (n - sum g)            (MacKay's fixed point)

Without its own prior c_j would be c_j / g_j with variance sigma^2 S_jj / g_j.  Where its square is not above that
variance, the evidence grows all the way to lambda_j = infinity and the function is dropped (Faul and Tipping, 2001);
few at a time, for of two alike functions one is to stay.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import solve_triangular

from acegen.fitting.solvers import Scaled, Solution, best_regularisation, ridge
from acegen.runtime.arrays import FloatArray

_MOST_ROUNDS = 500
_SETTLED = 1e-3  # change of all lambdas, in their logarithms
_DROPPED = 0.05  # of the functions left, at most, in one round
_TINY = float(np.finfo(float).tiny)


def relevant(problem: Scaled) -> Solution:
    """Mean and covariance of c after the functions without use are gone (their c is exactly 0)."""
    start = ridge(problem, best_regularisation(problem))
    size = len(problem.values)
    kept = np.arange(size)
    lambdas = np.full(size, start.regularisation)
    variance = start.noise**2
    for _ in range(_MOST_ROUNDS):
        mean, root = _posterior(problem, kept, lambdas)
        diagonal = np.sum(root**2, axis=1)
        decided = np.clip(1.0 - lambdas * diagonal, _TINY, 1.0)
        residual = problem.target - problem.matrix[:, kept] @ mean
        variance = (float(residual @ residual) + problem.rest) / max(problem.n_rows - float(decided.sum()), 1.0)
        evidence = mean**2 / np.maximum(decided * variance * diagonal, _TINY)
        stays = _without_least(evidence)
        proposed = np.maximum(variance * decided / np.maximum(mean**2, _TINY), _TINY)[stays]
        change = np.abs(np.log(proposed / lambdas[stays])).max(initial=0.0)
        settled = stays.all() and change < _SETTLED
        kept, lambdas = kept[stays], proposed
        if settled or not len(kept):
            break
    return _solution(problem, kept, lambdas, variance)


def _without_least(evidence: FloatArray) -> np.ndarray:
    """Which functions stay: all but the few that the evidence speaks against most."""
    stays = np.ones(len(evidence), bool)
    most = max(1, int(_DROPPED * len(evidence)))
    for j in np.argsort(evidence, kind="stable")[:most]:
        stays[j] = evidence[j] > 1.0
    return stays


def _posterior(problem: Scaled, kept: np.ndarray, lambdas: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean [k] and a root [k, k] of S = root root^T, from a QR of the stacked rows."""
    rows = np.vstack([problem.matrix[:, kept], np.diag(np.sqrt(lambdas))])
    target = np.concatenate([problem.target, np.zeros(len(kept))])
    q, r = np.linalg.qr(rows)
    root = solve_triangular(r, np.eye(len(kept))) if len(kept) else np.zeros((0, 0))
    return root @ (q.T @ target), root


def _solution(problem: Scaled, kept: np.ndarray, lambdas: FloatArray, variance: float) -> Solution:
    mean, root = _posterior(problem, kept, lambdas)
    u, s, _ = np.linalg.svd(root)
    size, sigma = len(problem.values), math.sqrt(variance)
    coefficients, spread = np.zeros(size), np.zeros((size, len(kept)))
    coefficients[kept] = mean
    spread[kept] = sigma * (u * s) @ u.T  # the symmetric root is unique
    decided = np.clip(1.0 - lambdas * np.sum(root**2, axis=1), 0.0, 1.0)
    lowest = float(lambdas.min()) if len(lambdas) else 0.0
    return Solution(coefficients, spread, sigma, lowest, float(decided.sum()), len(kept))
