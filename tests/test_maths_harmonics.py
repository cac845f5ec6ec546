"""Real harmonics: SciPy's values, orthonormality, addition theorem, exact recurrence, exact slopes."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import sympy
from exact_section import exact
from scipy.special import sph_harm_y

from acegen.maths.derivative import evaluate
from acegen.maths.harmonics import harmonics_section, real_harmonics, solid_section

L_MAX = 12


def directions(n: int) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(n, 3))


def test_values_against_scipy() -> None:
    vectors = directions(40)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    theta, phi = np.arccos(unit[:, 2]), np.arctan2(unit[:, 1], unit[:, 0])
    found = real_harmonics(L_MAX, vectors)
    for l in range(L_MAX + 1):
        for m in range(l + 1):
            complex_value = sph_harm_y(l, m, theta, phi) * (-1) ** m * (np.sqrt(2) if m else 1)
            np.testing.assert_allclose(found[:, l * l + l + m], complex_value.real, atol=3e-14)
            if m:
                np.testing.assert_allclose(found[:, l * l + l - m], complex_value.imag, atol=3e-14)


def test_published_values() -> None:
    found = real_harmonics(3, np.array([[0.3, -0.5, 0.7]]))[0]
    length = np.sqrt(0.83)
    first = [-0.2681554657406394, 0.3754176520368951, 0.1608932794443836]
    np.testing.assert_allclose(found[1:4], first, rtol=1e-14)
    solid = [-0.0059004358992664, -0.3035142014772582, -0.3702070975662173]
    np.testing.assert_allclose(found[9:12] * length**3, solid, rtol=3e-13)


def test_orthonormal_on_the_sphere() -> None:
    z, weight = np.polynomial.legendre.leggauss(L_MAX + 1)
    phi = 2 * np.pi * np.arange(2 * L_MAX + 2) / (2 * L_MAX + 2)
    rho = np.sqrt(1 - z**2)[:, None]
    grid = np.stack([rho * np.cos(phi), rho * np.sin(phi), np.broadcast_to(z[:, None], (len(z), len(phi)))], axis=-1)
    values = real_harmonics(L_MAX, grid.reshape(-1, 3))
    weights = np.repeat(weight, len(phi)) * 2 * np.pi / len(phi)
    np.testing.assert_allclose(values.T * weights @ values, np.eye(values.shape[1]), atol=1e-13)


def test_addition_theorem() -> None:
    one, two = directions(20), directions(21)[1:]
    cosine = np.sum(one * two, axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
    products = real_harmonics(L_MAX, one) * real_harmonics(L_MAX, two)
    for l in range(L_MAX + 1):
        legendre = np.polynomial.legendre.Legendre.basis(l)(cosine) * (2 * l + 1) / (4 * np.pi)
        np.testing.assert_allclose(products[:, l * l : (l + 1) ** 2].sum(axis=1), legendre, atol=5e-14)


@pytest.mark.parametrize("at", [-0.83, 0.0, 0.31, 0.999])
def test_polynomials_and_slopes_are_exact_derivatives_of_legendre_polynomials(at: float) -> None:
    l_max = 7
    found = exact(harmonics_section(l_max), {"x": 0.1, "y": 0.2, "z": at})
    z = sympy.Symbol("z")
    with mpmath.workdps(50):
        for l in range(l_max + 1):
            for m in range(l + 1):
                ratio = sympy.factorial(l - m) / sympy.factorial(l + m)
                norm = sympy.sqrt((2 if m else 1) * sympy.Rational(2 * l + 1, 4) / sympy.pi * ratio)
                polynomial = norm * sympy.diff(sympy.legendre(l, z), z, m)
                for name, value in (("q", polynomial), ("dq", sympy.diff(polynomial, z))):
                    expected = mpmath.mpf(str(sympy.N(value.subs(z, sympy.Rational(at)), 50)))
                    assert abs(found[f"{name}_{l}_{m}"] - expected) < mpmath.mpf(10) ** -40


def test_circular_factors() -> None:
    found = exact(harmonics_section(6), {"x": 0.3, "y": -0.4, "z": 0.5})
    with mpmath.workdps(50):
        for m in range(1, 7):
            power = mpmath.mpc(0.3, -0.4) ** m
            assert abs(found[f"c_{m}"] - power.real) < mpmath.mpf(10) ** -40
            assert abs(found[f"s_{m}"] - power.imag) < mpmath.mpf(10) ** -40


def test_order_of_outputs() -> None:
    names = [output.name for output in harmonics_section(2).outputs]
    pairs = ["0_0", "1_0", "1_1", "2_0", "2_1", "2_2"]
    assert names == [f"q_{k}" for k in pairs] + [f"dq_{k}" for k in pairs] + ["c_1", "c_2", "s_1", "s_2"]


def test_negative_degree_is_refused() -> None:
    with pytest.raises(ValueError, match="l_max is -1"):
        harmonics_section(-1)


@pytest.mark.parametrize("place", [(0.3, -1.2, 0.7), (2.1, 0.4, -1.6), (0.0, 0.0, 1.5)])
def test_solid_harmonics_are_those_of_the_sphere_times_powers_of_r(place: tuple[float, float, float]) -> None:
    x, y, z = place
    r2 = x * x + y * y + z * z
    found = evaluate(solid_section(6), {"x": x, "y": y, "z": z, "r2": r2})
    expected = real_harmonics(6, np.array([place]))[0]
    for l in range(7):
        for m in range(l + 1):
            for name, column in (("c", l * l + l + m), ("s", l * l + l - m)):
                if m or name == "c":
                    factor = found[f"{name}_{m}"] if m else 1.0
                    value = float(found[f"p_{l}_{m}"] * factor)
                    assert value == pytest.approx(
                        r2 ** (l / 2) * expected[column], rel=1e-13, abs=1e-14 * r2 ** (l / 2)
                    )


def test_slopes_of_solid_harmonics_are_gradients_in_space() -> None:
    """dp/dz = pz, dp/dx = x pr, dp/dy = y pr with r2 moving along, in 60 digits."""
    section = solid_section(5)
    place = {"x": mpmath.mpf("0.3"), "y": mpmath.mpf("-1.2"), "z": mpmath.mpf("0.7")}

    def at(axis: str, step: mpmath.mpf) -> dict[str, mpmath.mpf]:
        moved = {**place, axis: place[axis] + step}
        return exact(section, {**moved, "r2": sum(value**2 for value in moved.values())})

    with mpmath.workdps(60):
        found, step = at("x", mpmath.mpf(0)), mpmath.mpf(10) ** -20
        for axis, kind in (("x", "pr"), ("y", "pr"), ("z", "pz")):
            ahead, behind = at(axis, step), at(axis, -step)
            for l in range(6):
                for m in range(l + 1):
                    slope = (ahead[f"p_{l}_{m}"] - behind[f"p_{l}_{m}"]) / (2 * step)
                    value = found.get(f"{kind}_{l}_{m}", mpmath.mpf(0)) * (place[axis] if kind == "pr" else 1)
                    assert abs(slope - value) < mpmath.mpf(10) ** -30


def test_negative_degree_of_solid_harmonics_is_refused() -> None:
    with pytest.raises(ValueError, match="l_max is -2"):
        solid_section(-2)
