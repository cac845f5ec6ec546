"""Sums of radial functions as Chebyshev series: the sum of the recurrence in 60 digits, slopes, digits kept."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from exact_section import exact, exact_slopes

from acegen.maths.derivative import evaluate
from acegen.maths.polynomials import Coefficients, given, recurrence
from acegen.maths.radial import radial_code, radial_series
from acegen.maths.series import n_coefficients, series_matrix, series_section
from acegen.maths.tabulated import radial_values
from acegen.potential import RadialFamily

ROWS = {
    "legendre": recurrence("legendre", 15),
    "jacobi": recurrence("jacobi", 8, 1.0, 2.5),
    "chebyshev": recurrence("chebyshev", 7),
    "given": given((1.5, 1.2, 2.0, 0.0, 1.75), (0.0, -0.3, 0.5, 1.0, 0.0), (0.0, 0.0, -1.0, 0.25, -0.8)),
    "one": recurrence("legendre", 1),
    "two": recurrence("jacobi", 2, 0.5, 0.0),
}


def by_recurrence(rows: tuple[Coefficients, ...], weights: np.ndarray, x: float) -> mpmath.mpf:
    """sum_k weights_k P_k(x) from the three-term recurrence, in 50 digits."""
    found: list[mpmath.mpf] = []
    for k, row in enumerate(rows):
        a, b, c = (mpmath.mpf(str(value.evalf(50))) for value in row)
        value = a if k == 0 else (a * x + b) * (found[-1] if k > 1 else 1)
        found.append(value + c * found[-2] if k > 1 else value)
    return mpmath.fsum(mpmath.mpf(float(w)) * value for w, value in zip(weights, found, strict=True))


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("x", [-1.0, -0.37, 0.0, 0.81, 1.0])
def test_the_series_is_the_sum_of_the_recurrence(name: str, x: float) -> None:
    rows = ROWS[name]
    weights = np.random.default_rng(len(rows)).normal(size=len(rows))
    section, numbers = series_section(len(rows)), series_matrix(rows) @ weights
    assert len(numbers) == len(section.constants) == n_coefficients(len(rows))
    constants = {symbol.name: value for symbol, value in zip(section.constants, numbers, strict=True)}
    env, dx, denv = 0.8, -0.4, 0.3
    found = evaluate(section, {**constants, "x": np.array([x]), "env": env, "dx": dx, "denv": denv})
    with mpmath.workdps(50):
        step = mpmath.mpf(10) ** -20
        value = by_recurrence(rows, weights, x)
        slope = (by_recurrence(rows, weights, x + step) - by_recurrence(rows, weights, x - step)) / (2 * step)
        scale, steep = abs(numbers).max(), abs(numbers).max() * len(rows)
        assert float(found["phi"][0]) == pytest.approx(float(env * value), rel=1e-13, abs=1e-14 * scale)
        expected = float(denv * value + env * dx * slope)
        assert float(found["dphi"][0]) == pytest.approx(expected, rel=1e-13, abs=1e-14 * steep)


@pytest.mark.parametrize("envelope", ["poly2sx", "poly1sr", "ace1_poly1sr", "none"])
@pytest.mark.parametrize("inner", ["none", "switch"])
def test_seeds_and_series_are_the_sum_of_the_family(envelope: str, inner: str) -> None:
    """x, envelope and their slopes, put into the series, give the weighted sum of all functions and slopes."""
    options = (("p", 1), ("q", 4), ("polynomial", "legendre"), ("envelope", envelope), ("inner", inner))
    family = RadialFamily(
        "agnesi", 9, options, (("rin", 0.3), ("r0", 2.4), ("rcut", 5.5), ("r_in", 1.9), ("d_in", 0.7))
    )
    found = radial_series(family)
    assert found is not None
    code, matrix = found
    assert [c.symbol for c in code.constants] == [c.symbol for c in radial_code(family).constants]
    weights = np.random.default_rng(3).normal(size=9)
    r = np.array([0.2, 1.3, 1.7, 2.5, 4.1, 5.4])
    values, slopes = radial_values(radial_code(family), r)
    constants = {c.symbol.name: c.value for c in code.constants}
    section = series_section(9)
    numbers = {symbol.name: value for symbol, value in zip(section.constants, matrix @ weights, strict=True)}
    for n, at in enumerate(r):
        seeds = exact(code.section, {**constants, "r": at})
        moved = exact_slopes(code.section, {**constants, "r": at})
        names = [output.name for output in code.section.outputs]
        given_seeds = {"x": float(seeds[names[0]]), "env": float(seeds[names[1]])}
        given_slopes = {"dx": moved[names[0]], "denv": moved[names[1]]}
        out = evaluate(section, {**numbers, **given_seeds, **given_slopes})
        scale = np.abs(values[n]) @ np.abs(weights), np.abs(slopes[n]) @ np.abs(weights)
        assert float(out["phi"]) == pytest.approx(float(values[n] @ weights), rel=1e-12, abs=1e-13 * scale[0])
        assert float(out["dphi"]) == pytest.approx(float(slopes[n] @ weights), rel=1e-12, abs=1e-12 * scale[1])


def test_families_that_are_no_polynomials_of_one_x_have_no_series() -> None:
    spline = (("p", 2), ("q", 4), ("polynomial", "legendre"), ("envelope", "none"), ("spline_nodes", 30))
    lengths = (("rin", 0.0), ("r0", 2.4), ("rcut", 5.5))
    assert radial_series(RadialFamily("agnesi", 6, spline, lengths)) is None
    assert radial_series(RadialFamily("sbessel", 6, (), (("rcut", 5.5),))) is None
