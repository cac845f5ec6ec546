"""Switching polynomial and core repulsion: PACE's quintic, the step of zero width, slopes in 60 digits."""

from __future__ import annotations

import numpy as np
import pytest
from exact_section import by_name, exact_slopes

from acegen.errors import PotentialError
from acegen.maths.core import core_code
from acegen.maths.derivative import evaluate
from acegen.maths.embedding import embedding_code
from acegen.maths.switching import switching_section
from acegen.maths.tabulated import radial_values
from acegen.potential import Core

EXPONENTIAL = Core("exponential", (("switched", False),), (("q", 120.0), ("h", 1.7), ("rcut", 5.5)))
SWITCHED = Core(
    "exponential", (("switched", True),), (("q", 120.0), ("h", 1.7), ("rcut", 5.5), ("r_in", 2.4), ("d_in", 0.9))
)
ZBL = Core("zbl", (), (("prehc", 1.0), ("za", 22.0), ("zb", 28.0), ("rcut", 5.5), ("dcut", 1.2)))
JL = Core(
    "acejl",
    (("p", 2), ("pl", 0), ("pr", 2), ("size", 3), ("repulsive", True)),
    (
        *(("r0", 2.5), ("xl", 0.3), ("xr", 3.1), ("A", (1.0, 2.0, 1.5)), ("B", (0.1, 0.2, 0.3))),
        *(("C", (0.0, 0.0, -0.4)), ("coef", (0.3, 0.7, -0.2)), ("ri", 1.5), ("e0", 0.3), ("rep_A", 3.0)),
        ("rep_B", 4.0),
    ),
)


def quintic(x: np.ndarray, x0: float, w: float) -> tuple[np.ndarray, np.ndarray]:
    """pace_format.md section 6, as written there."""
    s = 1 - 2 * (1 + (x - x0) / w)
    value = 0.5 + 15 / 4 * (s / 4 - s**3 / 6 + s**5 / 20)
    slope = -15 / (2 * w) * (1 / 4 - s**2 / 2 + s**4 / 4)
    low, high = x <= x0 - w, x >= x0
    return np.where(low, 1, np.where(high, 0, value)), np.where(low | high, 0, slope)


def test_switching_polynomial() -> None:
    x = np.linspace(1.0, 4.0, 301)
    found = evaluate(switching_section(), {"x": x, "x0": 3.0, "w": 1.3})
    value, slope = quintic(x, 3.0, 1.3)
    np.testing.assert_allclose(found["P"], value, atol=1e-15)
    np.testing.assert_allclose(found["dP"], slope, atol=5e-15)


def test_zero_width_is_a_step() -> None:
    x = np.array([2.0, np.nextafter(3.0, 0), 3.0, np.nextafter(3.0, 4), 5.0])
    found = evaluate(switching_section(), {"x": x, "x0": 3.0, "w": 0.0})
    np.testing.assert_array_equal(found["P"], [1, 1, 1, 0, 0])
    np.testing.assert_array_equal(found["dP"], 0)


@pytest.mark.parametrize("core", [EXPONENTIAL, SWITCHED, ZBL, JL], ids=lambda core: core.kind)
def test_core_slopes_match_60_digits(core: Core) -> None:
    code = core_code(core)
    r = np.array([0.4, 0.9, 1.45, 1.7, 2.2, 3.1, 4.6, 5.3])
    _, slopes = radial_values(code, r)
    expected = [exact_slopes(code.section, {**by_name(code.constants), "r": at})["core"] for at in r]
    np.testing.assert_allclose(slopes[:, 0], expected, rtol=1e-11, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("core", [EXPONENTIAL, SWITCHED, ZBL, JL], ids=lambda core: core.kind)
def test_core_is_finite_everywhere(core: Core) -> None:
    values, slopes = radial_values(core_code(core), np.concatenate([[1e-3], np.linspace(0.01, 5.5, 500)]))
    assert np.isfinite(values).all() and np.isfinite(slopes).all()


def test_core_is_exactly_zero_where_it_has_ended() -> None:
    values, slopes = radial_values(core_code(EXPONENTIAL), np.array([5.43]))  # h r^2 > 50
    assert values == 0 and slopes == 0
    values, slopes = radial_values(core_code(SWITCHED), np.array([2.4, 3.0, 5.0]))
    assert (values == 0).all() and (slopes == 0).all()
    values, slopes = radial_values(core_code(ZBL), np.array([5.5]))
    assert values == 0 and slopes == 0


def test_zbl_vanishes_smoothly_at_the_cutoff() -> None:
    """Value, slope and curvature of phi/r + S are zero there: the sum falls with the third power."""
    r = 5.5 - np.array([0.02, 0.01])
    wide = Core("zbl", (), (("prehc", 1.0), ("za", 22.0), ("zb", 28.0), ("rcut", 5.5), ("dcut", 1.2)))
    values, _ = radial_values(core_code(wide), r)
    assert abs(values[0, 0] / values[1, 0]) > 30  # 2^6 from the two cubes, less what rounding leaves


def test_sharp_zbl_cutoff() -> None:
    sharp = Core("zbl", (), (("prehc", 1.0), ("za", 22.0), ("zb", 28.0), ("rcut", 3.0), ("dcut", 0.0)))
    values, slopes = radial_values(core_code(sharp), np.array([1.0, 2.999, 3.0, 3.1]))
    assert np.isfinite(values).all() and np.isfinite(slopes).all() and values[1, 0] > 0 and values[3, 0] == 0


def test_unknown_names_are_explained() -> None:
    with pytest.raises(PotentialError, match="core repulsion 'zbI' is unknown, expected one of exponential, zbl"):
        core_code(Core("zbI"))
    with pytest.raises(PotentialError, match="core repulsion 'zbl': parameter 'za' is missing"):
        core_code(Core("zbl"))
    with pytest.raises(PotentialError, match="embedding 'Linear' is unknown"):
        embedding_code("Linear")
    with pytest.raises(PotentialError, match=r"exponent is -1\.0"):
        embedding_code("FinnisSinclair", -1.0)


@pytest.mark.parametrize("kind", ["FinnisSinclair", "FinnisSinclairShiftedScaled"])
@pytest.mark.parametrize("exponent", [0.5, 0.8, 2.0])
@pytest.mark.parametrize("rho", [-3.2, -0.4, 0.05, 0.7, 11.0])
def test_embedding_slope_matches_60_digits(kind: str, exponent: float, rho: float) -> None:
    code = embedding_code(kind, exponent)
    values = {**by_name(code.constants), "rho": rho}
    found = evaluate(code.section, values)
    assert found["dF"] == pytest.approx(exact_slopes(code.section, values, "rho")["F"], rel=1e-13)
