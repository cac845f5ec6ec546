"""Automatic relevance determination: every function its own prior, functions the data do not ask for vanish.

Evidence maximisation by MacKay's fixed point on the compressed problem (notation of `acegen.fitting.solvers`), with
lambda_j = sigma^2 alpha_j and covariance sigma^2 S of c:

    g_j = 1 - lambda_j S_jj        how far the data decide c_j (1: they alone, 0: the prior alone)
    lambda_j = sigma^2 g_j / c_j^2,    sigma^2 = |y - A c|^2 / (n - sum g)
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import solve_triangular

from acegen.fitting.solvers import Scaled, Solution, best_regularisation, ridge
from acegen.runtime.arrays import FloatArray

_MOST_ROUNDS = 300
_SETTLED = 1e-4  # relative change of all lambdas, in their logarithms
_UNUSED = 1e-3  # functions the data decide to less than this are dropped


def relevant(problem: Scaled) -> Solution:
    """Mean and covariance of c after the functions without use are gone (their c is exactly 0)."""
    start = ridge(problem, best_regularisation(problem))
    size = len(problem.values)
    kept = np.arange(size)
    lambdas = np.full(size, start.regularisation)
    n_rows = max(problem.n_rows, 1)
    variance = max(start.noise**2, np.finfo(float).tiny)
    for _ in range(_MOST_ROUNDS):
        mean, root = _posterior(problem, kept, lambdas)
        decided = np.clip(1.0 - lambdas * np.sum(root**2, axis=1), 0.0, 1.0)
        residual = problem.target - problem.matrix[:, kept] @ mean
        variance = (float(residual @ residual) + problem.rest) / max(n_rows - float(decided.sum()), 1.0)
        useful = decided > _UNUSED
        if not useful.any():
            break
        proposed = variance * decided[useful] / np.maximum(mean[useful] ** 2, np.finfo(float).tiny)
        proposed = np.maximum(proposed, np.finfo(float).tiny)
        change = np.abs(np.log(proposed / lambdas[useful])).max()
        settled = useful.all() and change < _SETTLED
        kept, lambdas = kept[useful], proposed
        if settled:
            break
    return _solution(problem, kept, lambdas, variance)


def _posterior(problem: Scaled, kept: np.ndarray, lambdas: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean [k] and a root [k, k] of S = (X^T X + diag(lambda))^-1 = root root^T, from a QR of the stacked rows."""
    rows = np.vstack([problem.matrix[:, kept], np.diag(np.sqrt(lambdas))])
    target = np.concatenate([problem.target, np.zeros(len(kept))])
    q, r = np.linalg.qr(rows)
    root = solve_triangular(r, np.eye(len(kept)))
    return root @ (q.T @ target), root


def _solution(problem: Scaled, kept: np.ndarray, lambdas: FloatArray, variance: float) -> Solution:
    mean, root = _posterior(problem, kept, lambdas)
    u, s, _ = np.linalg.svd(root)
    symmetric = (u * s) @ u.T  # the symmetric root is unique
    size, sigma = len(problem.values), math.sqrt(variance)
    coefficients, spread = np.zeros(size), np.zeros((size, len(kept)))
    coefficients[kept] = mean
    spread[kept] = sigma * symmetric
    decided = np.clip(1.0 - lambdas * np.sum(root**2, axis=1), 0.0, 1.0)
    lowest = float(lambdas.min()) if len(lambdas) else 0.0
    return Solution(coefficients, spread, sigma, lowest, float(decided.sum()), len(kept))
