"""The compressed factor stands for all rows, and every solver gives what its formula says of the dense problem."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from acegen.errors import InputError
from acegen.fitting.factor import Factor
from acegen.fitting.settings import make_settings
from acegen.fitting.solvers import Solution, best_regularisation, members, negative_log_evidence, scaled, solve

N_ROWS, N_PARAMETERS = 90, 12


def problem(noise: float = 0.02, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows, target, prior, and the weights behind the target; columns of very different sizes."""
    stream = np.random.default_rng(seed)
    gamma = np.geomspace(1.0, 300.0, N_PARAMETERS)
    rows = stream.standard_normal((N_ROWS, N_PARAMETERS)) * np.geomspace(10.0, 0.1, N_PARAMETERS)
    truth = stream.standard_normal(N_PARAMETERS) / gamma
    return rows, rows @ truth + noise * stream.standard_normal(N_ROWS), gamma, truth


def factor_of(rows: np.ndarray, target: np.ndarray, step: int = 7) -> Factor:
    factor = Factor.empty(rows.shape[1])
    for first in range(0, len(rows), step):
        factor.add(rows[first : first + step], target[first : first + step])
    return factor


def solution(*, noise: float = 0.02, **choices: Any) -> Solution:
    rows, target, gamma, _ = problem(noise)
    return solve(factor_of(rows, target), gamma, make_settings(choices))


@pytest.mark.parametrize("step", [1, 5, 13, N_ROWS])
def test_factor_is_the_triangle_of_all_rows(step: int) -> None:
    """R^T R = A^T A, R^T q = A^T y, and the rest is the residual of dense least squares, in blocks of any size."""
    rows, target, _, _ = problem()
    factor = factor_of(rows, target, step)
    assert factor.n_rows == N_ROWS
    np.testing.assert_allclose(factor.upper.T @ factor.upper, rows.T @ rows, rtol=0, atol=1e-12 * N_ROWS * 100)
    np.testing.assert_allclose(factor.upper.T @ factor.projected, rows.T @ target, rtol=1e-10, atol=1e-10)
    dense, residual, *_ = np.linalg.lstsq(rows, target, rcond=None)
    np.testing.assert_allclose(np.linalg.solve(factor.upper, factor.projected), dense, rtol=1e-10)
    assert factor.rest == pytest.approx(float(residual[0]), rel=1e-10)


def test_two_factors_join_to_that_of_all_rows() -> None:
    rows, target, _, _ = problem()
    joined = factor_of(rows[:40], target[:40])
    joined.join(factor_of(rows[40:], target[40:]))
    whole = factor_of(rows, target)
    assert joined.n_rows == whole.n_rows
    np.testing.assert_allclose(np.abs(joined.triangle), np.abs(whole.triangle), rtol=1e-10, atol=1e-12)


def test_rows_that_are_not_finite_are_refused() -> None:
    factor = Factor.empty(2)
    with pytest.raises(InputError, match="expected finite rows"):
        factor.add(np.array([[1.0, np.nan]]), np.zeros(1))


@pytest.mark.parametrize("solver", ["bayesian", "ridge", "tsvd", "ard"])
def test_weights_are_recovered_from_rows_without_noise(solver: str) -> None:
    rows, target, gamma, truth = problem(noise=0.0)
    found = solve(factor_of(rows, target), gamma, make_settings({"solver": solver}))
    np.testing.assert_allclose(found.parameters, truth, rtol=1e-8, atol=1e-8 * np.abs(truth).max())


def test_ridge_solves_the_dense_normal_equations() -> None:
    """theta = G^-1 argmin |A G^-1 c - y|^2 + lambda |c|^2, G = diag(gamma)."""
    rows, target, gamma, _ = problem()
    lam = 0.37
    scaled_rows = rows / gamma
    dense = np.linalg.solve(scaled_rows.T @ scaled_rows + lam * np.eye(N_PARAMETERS), scaled_rows.T @ target) / gamma
    np.testing.assert_allclose(solution(solver="ridge", regularisation=lam).parameters, dense, rtol=1e-9)


def test_ridge_without_regularisation_is_least_squares() -> None:
    rows, target, _, _ = problem()
    dense = np.linalg.lstsq(rows, target, rcond=None)[0]
    found = solution(solver="ridge", regularisation=0.0)
    np.testing.assert_allclose(found.parameters, dense, rtol=1e-9)
    residual = target - rows @ dense
    assert found.noise == pytest.approx(np.sqrt(residual @ residual / (N_ROWS - N_PARAMETERS)), rel=1e-9)


def test_truncation_is_the_dense_pseudo_inverse() -> None:
    rows, target, gamma, _ = problem()
    dense = np.linalg.pinv(rows / gamma, rcond=1e-3) @ target / gamma
    found = solution(solver="tsvd", tolerance=1e-3)
    np.testing.assert_allclose(found.parameters, dense, rtol=1e-9, atol=1e-12)
    assert found.n_kept < N_PARAMETERS


def test_evidence_is_that_of_the_gaussian_process_of_all_rows() -> None:
    """y ~ N(0, s^2 (1 + X X^T / lambda)) with s^2 at its best: the compressed formula up to a constant."""
    rows, target, gamma, _ = problem()
    compressed = scaled(factor_of(rows, target), gamma)
    dense_rows = rows / gamma
    found, expected = [], []
    for log_lambda in (-9.0, -4.0, 0.0, 3.0):
        covariance = np.eye(N_ROWS) + dense_rows @ dense_rows.T / np.exp(log_lambda)
        variance = target @ np.linalg.solve(covariance, target) / N_ROWS
        expected.append(N_ROWS * np.log(variance) + np.linalg.slogdet(covariance)[1])
        found.append(negative_log_evidence(compressed, log_lambda) - N_ROWS * np.log(N_ROWS))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_bayesian_ridge_has_the_lambda_of_largest_evidence() -> None:
    rows, target, gamma, _ = problem()
    compressed = scaled(factor_of(rows, target), gamma)
    best = best_regularisation(compressed)
    around = [negative_log_evidence(compressed, np.log(best) + step) for step in np.linspace(-8.0, 8.0, 161)]
    assert negative_log_evidence(compressed, np.log(best)) <= min(around) + 1e-6
    assert solution().regularisation == best
    np.testing.assert_array_equal(solution().parameters, solution(solver="ridge", regularisation=best).parameters)


def test_posterior_covariance_is_that_of_the_dense_formula() -> None:
    rows, _, gamma, _ = problem()
    found = solution(solver="ridge", regularisation=0.2)
    x = rows / gamma
    dense = np.linalg.inv(x.T @ x + 0.2 * np.eye(N_PARAMETERS)) / gamma / gamma[:, None]
    np.testing.assert_allclose(found.spread @ found.spread.T, found.noise**2 * dense, rtol=1e-8)


def test_committee_scatters_as_the_posterior_says_and_repeats() -> None:
    found = solution()
    many = members(found, 20000, seed=3)
    deviation = np.sqrt(np.diag(found.spread @ found.spread.T))
    np.testing.assert_allclose(many.std(axis=0), deviation, rtol=0.03)
    assert (np.abs(many.mean(axis=0) - found.parameters) < 5.0 * deviation / np.sqrt(len(many))).all()
    np.testing.assert_array_equal(members(found, 4, seed=3), many[:4])
    assert not np.array_equal(members(found, 4, seed=4), many[:4])


def test_ard_drops_functions_without_use_and_keeps_the_others() -> None:
    """Half of the true weights are 0: gone but for the few that noise lifts above their standard deviation."""
    stream = np.random.default_rng(10)
    rows = stream.standard_normal((400, 40))
    truth = np.where(np.arange(40) % 2, 0.0, 1.0 + stream.random(40))
    target = rows @ truth + 0.05 * stream.standard_normal(400)
    found = solve(factor_of(rows, target), np.ones(40), make_settings({"solver": "ard"}))
    used = found.parameters != 0.0
    assert used[truth != 0.0].all() and found.n_kept == used.sum() <= 26
    np.testing.assert_allclose(found.parameters, truth, atol=0.02)
    assert found.noise == pytest.approx(0.05, rel=0.1)


def test_data_without_information_leave_the_prior() -> None:
    """No rows: weights 0, nothing decided."""
    found = solve(Factor.empty(3), np.ones(3), make_settings({}))
    np.testing.assert_array_equal(found.parameters, np.zeros(3))
    assert found.effective == 0.0


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"solver": "qr"}, "solver: found 'qr', expected one of bayesian"),
        ({"regularisation": 1.0}, "lambda: expected 0 or a number in 1e-30..1e30 with solver 'ridge'"),
        ({"solver": "ridge", "regularisation": -1.0}, "lambda: expected"),
        ({"tolerance": 1.0}, "tolerance: expected a number in 0..1"),
        ({"holdout": -0.1}, "holdout: expected"),
        ({"prior": 21.0}, "prior: expected"),
        ({"committee": 1.5}, "committee: expected a whole number"),
        ({"solvr": "ridge"}, "unknown argument 'solvr', did you mean 'solver'"),
        ({"keys": {"enrgy": "E"}}, "keys: expected some of energy"),
        ({"keys": "REF_energy"}, "keys: expected a mapping such as"),
        ({"keys": {"energy": 5}}, "keys: expected a mapping such as"),
        ({"e0": 5.0}, "e0: expected a word or energies by symbol, found 5.0"),
        ({"committee": 1}, "committee: expected 0, or two members or more, found 1"),
        ({"active_set": "no"}, "active_set: expected True or False, found 'no'"),
        ({"save_every": float("nan")}, "save_every: expected a number in 0..inf, found nan"),
        (
            {"solver": "ridge", "regularisation": "1"},
            "lambda: expected 0 or a number in 1e-30..1e30 with solver 'ridge', found '1'",
        ),
        ({"solver": "ridge", "regularisation": True}, "lambda: expected"),
    ],
)
def test_wrong_choices_are_told(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_settings(choices)
