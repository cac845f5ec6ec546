"""Tables: the natural spline is ACEpotentials' spline, certified tables keep what they state."""

from __future__ import annotations

import numpy as np
import pytest

from acegen.errors import PotentialError
from acegen.maths.polynomials import recurrence
from acegen.maths.radial import radial_code
from acegen.maths.tables import natural_spline_table, polynomial_values
from acegen.maths.tabulated import certified_table, radial_values, tabulated_code
from acegen.potential import RadialFamily


def b_spline(values: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The evaluation formula of ace_model.md S5, written out."""
    n = len(values)
    system = np.diag(np.full(n + 2, 4.0)) + np.diag(np.ones(n + 1), 1) + np.diag(np.ones(n + 1), -1)
    system /= 6.0
    system[0], system[-1] = 0.0, 0.0
    system[0, :3] = system[-1, -3:] = (1.0, -2.0, 1.0)
    c = np.linalg.solve(system, np.concatenate([[0.0], values, [0.0]]))
    h = 2.0 / (n - 1)
    kappa = (x + 1.0) / h + 1.0
    i = np.clip(np.floor(kappa).astype(int), 1, n - 1)
    t = kappa - i
    u = 1.0 - t
    w = np.array([u**3, 4 - 6 * t**2 + 3 * t**3, 4 - 6 * u**2 + 3 * u**3, t**3]) / 6
    dw = np.array([-(u**2) / 2, (-12 * t + 9 * t**2) / 6, (12 * u - 9 * u**2) / 6, t**2 / 2]) / h
    rows = np.array([c[i - 1 + v] for v in range(4)])
    return (w * rows).sum(axis=0), (dw * rows).sum(axis=0)


def test_natural_spline_is_the_published_formula() -> None:
    values = polynomial_values(recurrence("jacobi", 8, 4.0, 4.0), 100)
    table = natural_spline_table(values)
    x = np.concatenate([np.linspace(-1, 1, 700), [-1.0, 1.0]])
    found, slopes = table.evaluate(x)
    for k in range(values.shape[1]):
        expected, expected_slopes = b_spline(values[:, k], x)
        np.testing.assert_allclose(found[:, k], expected, rtol=0, atol=3e-15 * np.abs(values[:, k]).max())
        np.testing.assert_allclose(slopes[:, k], expected_slopes, rtol=0, atol=2e-13 * np.abs(values[:, k]).max())


def test_natural_spline_passes_through_the_nodes_with_natural_ends() -> None:
    values = polynomial_values(recurrence("legendre", 5), 30)
    table = natural_spline_table(values)
    np.testing.assert_allclose(table.evaluate(np.linspace(-1, 1, 30))[0], values, atol=1e-14)
    np.testing.assert_allclose(table.coefficients[0, 2], 0, atol=1e-14)
    last = table.coefficients[-1]
    np.testing.assert_allclose(2 * last[2] + 6 * last[3], 0, atol=1e-13)


def test_published_recurrence_coefficients() -> None:
    legendre = np.array(recurrence("legendre", 4), dtype=float)
    np.testing.assert_allclose(
        legendre[:, 0], [0.7071067811865476, 1.224744871391589, 1.9364916731037085, 1.9720265943665387], rtol=1e-15
    )
    np.testing.assert_allclose(legendre[2:, 2], [-1.118033988749895, -1.0183501544346312], rtol=1e-15)
    jacobi = np.array(recurrence("jacobi", 4, 4.0, 4.0), dtype=float)
    np.testing.assert_allclose(
        jacobi[:, 0], [1.1092649593311783, 3.6790156631903526, 2.6739483914241884, 2.430862174021992], rtol=3e-15
    )
    np.testing.assert_allclose(jacobi[2:, 2], [-0.8062257748298535, -0.9090909090909106], rtol=3e-15)


@pytest.mark.parametrize(("alpha", "beta"), [(4.0, 4.0), (0.5, 2.0), (1.3, 0.7), (-0.5, -0.5)])
def test_jacobi_polynomials_are_orthonormal(alpha: float, beta: float) -> None:
    from scipy.special import roots_jacobi

    x, weight = roots_jacobi(20, alpha, beta)
    rows = [tuple(float(number) for number in row) for row in recurrence("jacobi", 9, alpha, beta)]
    values = [np.full_like(x, rows[0][0]), rows[1][0] * x + rows[1][1]]
    for a, b, c in rows[2:]:
        values.append((a * x + b) * values[-1] + c * values[-2])
    np.testing.assert_allclose(np.array(values) * weight @ np.array(values).T, np.eye(9), atol=1e-12)


@pytest.mark.parametrize(("degree", "tolerance"), [(3, 1e-6), (5, 1e-8), (6, 1e-9), (7, 1e-12)])
def test_certified_table_keeps_its_word(degree: int, tolerance: float) -> None:
    family = RadialFamily("sbessel", 8, (("inner", "switch"),), (("rcut", 5.5), ("r_in", 2.0), ("d_in", 0.8)))
    code = tabulated_code(family, tolerance, degree, start=0.9)
    assert code.table is not None and 0 < code.table.error <= tolerance
    r = np.sort(np.random.default_rng(3).uniform(0.9, 5.5, 5000))
    for found, exact in zip(radial_values(code, r), radial_values(radial_code(family), r), strict=True):
        # between the checked points the error may be a little larger
        assert np.max(np.abs(found - exact) / np.maximum(1, np.abs(exact))) < 1.2 * tolerance


def test_certified_table_is_smooth_across_bins() -> None:
    """Values and slopes of neighbouring bins meet to rounding, also at a kink-free breakpoint."""
    table = certified_table(lambda x: (np.sin(x)[:, None], np.cos(x)[:, None]), (0.0, 1.0, 3.0), 1, 1e-10)
    for start, inverse, bins, _ in table.segments:
        edges = start + np.arange(1, bins) / inverse
        for left, right in zip(table.evaluate(edges - 1e-12), table.evaluate(edges + 1e-12), strict=True):
            np.testing.assert_allclose(left, right, atol=1e-11)


def test_one_sided_values_at_a_jump() -> None:
    """A step exactly at a breakpoint is kept: nothing leaks into the bin below."""
    family = RadialFamily("sbessel", 3, (("inner", "step"),), (("rcut", 5.0), ("r_in", 1.5), ("d_in", 0.0)))
    code = tabulated_code(family, 1e-9, 7, start=1.0)
    values, slopes = radial_values(code, np.array([1.0, 1.2, np.nextafter(1.5, 0)]))
    assert (values == 0).all() and (slopes == 0).all()
    above = np.array([np.nextafter(1.5, 2)])
    np.testing.assert_allclose(radial_values(code, above)[0], radial_values(radial_code(family), above)[0], rtol=1e-9)


def test_distances_outside_keep_the_end_values() -> None:
    table = natural_spline_table(polynomial_values(recurrence("legendre", 3), 10))
    inside, outside = table.evaluate(np.array([-1.0, 1.0]))[0], table.evaluate(np.array([-7.0, 3.0]))[0]
    np.testing.assert_array_equal(inside, outside)


def test_a_tolerance_out_of_reach_is_refused() -> None:
    family = RadialFamily("chebpow", 3, (("power", 0),), (("lam", 1.5), ("rcut", 5.5)))
    with pytest.raises(PotentialError, match="raise the tolerance"):
        tabulated_code(family, 1e-12, 7, start=1.0)
