"""Radial primitives: published values, an independent NumPy program, slopes in 60 digits, finite everywhere."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import sympy
from exact_section import by_name, exact, exact_slopes

from acegen.errors import PotentialError
from acegen.maths.derivative import evaluate
from acegen.maths.radial import radial_breakpoints, radial_code, radial_derivative
from acegen.maths.tabulated import radial_values
from acegen.potential import RadialFamily

INNER = (("inner", "switch"),)
AGNESI = (("p", 2), ("q", 4), ("polynomial", "jacobi"), ("alpha", 4.0), ("beta", 4.0), ("envelope", "poly2sx"))
PAIR = (("p", 1), ("q", 4), ("polynomial", "legendre"))
LENGTHS = (("rin", 0.0), ("r0", 2.4), ("rcut", 5.5))
LATE = (("rin", 0.4), ("r0", 2.4), ("rcut", 5.5))
JL = (("r0", 2.5), ("xl", 0.29), ("xr", 3.1), ("A", (1.0, 2.0, 1.7)), ("B", (0.1, 0.2, -0.3)), ("C", (0.0, 0.1, -0.6)))
FAMILIES = {
    "chebexpcos": RadialFamily("chebexpcos", 9, (("taper", False),), (("lam", 5.25), ("rcut", 5.5), ("dcut", 0.0))),
    "chebexpcos taper": RadialFamily("chebexpcos", 9, (("taper", True),), (("lam", 3.3), ("rcut", 5.5), ("dcut", 0.7))),
    "chebexpcos switched": RadialFamily(
        "chebexpcos", 5, (("taper", False), *INNER), (("lam", 3.3), ("rcut", 5.5), ("r_in", 2.1), ("d_in", 0.6))
    ),
    "chebpow 2": RadialFamily("chebpow", 8, (("power", 2),), (("lam", 2.0), ("rcut", 5.5))),
    "chebpow 2.5": RadialFamily("chebpow", 8, (("power", 0),), (("lam", 2.5), ("rcut", 5.5))),
    "cheblinear": RadialFamily("cheblinear", 8, (), (("rcut", 5.5),)),
    "sbessel": RadialFamily("sbessel", 15, (), (("rcut", 5.5),)),
    "sbessel switched": RadialFamily("sbessel", 6, INNER, (("rcut", 5.5), ("r_in", 2.1), ("d_in", 0.6))),
    "sbessel step": RadialFamily("sbessel", 6, (("inner", "step"),), (("rcut", 5.5), ("r_in", 1.5), ("d_in", 0.3))),
    "zero": RadialFamily("zero", 3),
    "acejl": RadialFamily("acejl", 3, (("p", 2), ("pl", 2), ("pr", 2)), (*JL, ("rcut", 5.5))),
    "acejl inverse": RadialFamily("acejl", 3, (("p", -1), ("pl", 0), ("pr", 2)), JL),
    "agnesi 2,4 jacobi": RadialFamily("agnesi", 9, AGNESI, LENGTHS),
    "agnesi 2,2 legendre": RadialFamily(
        "agnesi", 9, (("p", 2), ("q", 2), ("polynomial", "legendre"), ("envelope", "poly2sx")), LATE
    ),
    "agnesi one-sided": RadialFamily("agnesi", 4, (*PAIR, ("envelope", "poly1sr"), ("power", 1)), LATE),
    "agnesi ace1": RadialFamily("agnesi", 4, (*PAIR, ("envelope", "ace1_poly1sr"), ("power", 2)), LENGTHS),
    "agnesi x window": RadialFamily(
        "agnesi",
        4,
        (("p", 1), ("q", 3), ("polynomial", "chebyshev"), ("envelope", "poly2sx"), ("p1", 0), ("p2", 2)),
        (*LATE, ("x1", -0.8), ("x2", 0.9)),
    ),
    "agnesi spline": RadialFamily("agnesi", 6, (*AGNESI, ("spline_nodes", 100)), LENGTHS),
    "agnesi pair spline": RadialFamily(
        "agnesi", 3, (*PAIR, ("envelope", "ace1_poly1sr"), ("power", 2), ("spline_nodes", 30)), LENGTHS
    ),
}
PACE = ["chebexpcos", "chebexpcos taper", "chebexpcos switched", "chebpow 2", "chebpow 2.5", "cheblinear", "sbessel"]
PACE += ["sbessel switched", "sbessel step"]
NAMES = {"chebexpcos": "ChebExpCos", "chebpow": "ChebPow", "cheblinear": "ChebLinear", "sbessel": "SBessel"}


@pytest.fixture(scope="module")
def prototype(shared: Path) -> ModuleType:
    """The NumPy evaluator of PACE that was checked against pyace."""
    place = shared / "prototypes" / "ace_reference" / "pace_ref.py"
    spec = importlib.util.spec_from_file_location("pace_ref", place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", PACE)
def test_pace_primitives_match_the_numpy_program(name: str, prototype: ModuleType) -> None:
    family = FAMILIES[name]
    given = dict(family.parameters)
    bond = prototype.Bond(
        radbase=NAMES[family.kind],
        radpar=np.array([given.get("lam", 1.0)]),
        **{key: given[key] for key in ("rcut", "dcut", "r_in", "d_in") if key in given},
    )
    r = np.linspace(0.4, 5.5, 301)[:-1]
    mode = {"switch": "distance", "step": "density", "none": "density"}[str(dict(family.options).get("inner", "none"))]
    expected, expected_slopes = prototype.gk(bond, r, family.size, mode)
    values, slopes = radial_values(radial_code(family), r)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
    np.testing.assert_allclose(slopes, expected_slopes, rtol=0, atol=1e-13 * np.abs(expected_slopes).max())


@pytest.mark.parametrize("name", ["acejl", "acejl inverse"])
def test_acejl_matches_the_numpy_program(name: str, prototype: ModuleType) -> None:
    family = FAMILIES[name]
    r = np.linspace(0.4, 5.5, 301)
    given = {**dict(family.options), **dict(family.parameters), "maxn": family.size}
    expected, expected_slopes = prototype._jl_P(given, r)
    values, slopes = radial_values(radial_code(family), r)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-13 * np.abs(expected).max())
    np.testing.assert_allclose(slopes, expected_slopes, rtol=0, atol=1e-13 * np.abs(expected_slopes).max())


@pytest.mark.parametrize("name", [name for name in FAMILIES if "spline" not in name])
def test_values_and_slopes_match_60_digits(name: str) -> None:
    """The double arithmetic keeps 1e-13 of the largest value, slopes are those of the values."""
    code = radial_code(FAMILIES[name])
    derived = radial_derivative(code)
    constants = by_name(code.constants)
    r = np.array([0.7, 1.31, 1.77, 2.4, 3.3, 4.9, 5.2, 5.47])
    found = evaluate(derived, {**constants, "r": r})
    values = [exact(code.section, {**constants, "r": at}) for at in r]
    slopes = [exact_slopes(code.section, {**constants, "r": at}) for at in r]
    for output in code.section.outputs:
        for name, rows, tolerance in ((output.name, values, 2e-14), (f"d{output.name}", slopes, 1e-13)):
            expected = np.array([float(row[output.name]) for row in rows])
            size = max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(found[name], expected, rtol=0, atol=tolerance * size)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.filterwarnings("error")
def test_finite_from_tiny_distances_to_the_cutoff(name: str) -> None:
    r = np.concatenate([[1e-3, 0.01], np.linspace(0.05, 5.5, 1200)])
    values, slopes = radial_values(radial_code(FAMILIES[name]), r)
    assert np.isfinite(values).all() and np.isfinite(slopes).all()


def test_fractional_power_below_one_is_finite_at_the_cutoff() -> None:
    family = RadialFamily("chebpow", 4, (("power", 0),), (("lam", 0.5), ("rcut", 5.5)))
    values, slopes = radial_values(radial_code(family), np.array([5.5]))
    assert np.isfinite(values).all() and np.isfinite(slopes).all()


@pytest.mark.parametrize(
    ("p", "q", "rin", "rcut", "values", "slope"),
    [
        (2, 2, 0.0, 5.5, (-0.758270820089002, -0.2143801652892563, 0.5108073744437380), 0.4910123966942148),
        (2, 4, 0.0, 5.5, (-0.904098404126413, -0.2807380309480986, 0.5822638153762010), 0.6493337220607444),
        (1, 4, 0.0, 5.5, (-0.9184196104376693, -0.3440936679188585, 0.4872350078026184), 0.6012474710743804),
        (1, 3, 0.0, 5.5, (-0.8434396861173726, -0.2954785875281744, 0.4616626814768163), 0.5137135299273728),
        (2, 2, 0.4, 5.1, (-0.8437233183008522, -0.2283838841104571, 0.6025873176167431), 0.5787120869171571),
    ],
)
def test_published_agnesi_transform(
    p: int, q: int, rin: float, rcut: float, values: tuple[float, ...], slope: float
) -> None:
    """x is read off through T_1(x) = x without envelope."""
    options = (("p", p), ("q", q), ("polynomial", "chebyshev"), ("envelope", "none"))
    family = RadialFamily("agnesi", 2, options, (("rin", rin), ("r0", 2.4), ("rcut", rcut)))
    found, slopes = radial_values(radial_code(family), np.array([1.2, 2.4, 4.0]))
    np.testing.assert_allclose(found[:, 1], values, rtol=1e-14)
    assert slopes[1, 1] == pytest.approx(slope, rel=1e-14)


def test_transform_is_clamped_up_to_rin() -> None:
    options = (("p", 2), ("q", 2), ("polynomial", "chebyshev"), ("envelope", "none"))
    family = RadialFamily("agnesi", 2, options, (("rin", 1.0), ("r0", 2.4), ("rcut", 5.5)))
    found, slopes = radial_values(radial_code(family), np.array([0.1, 0.6, 1.0]))
    assert (found[:, 1] == -1).all() and (slopes[:, 1] == 0).all()


@pytest.mark.parametrize(
    ("envelope", "power", "value", "slope"),
    [
        ("poly1sr", 1, 1.1136363636363635, -1.1931818181818181),
        ("ace1_poly1sr", 2, 1.0072426746806913, -1.3707588279489105),
    ],
)
def test_published_pair_envelopes(envelope: str, power: int, value: float, slope: float) -> None:
    options = (("p", 1), ("q", 4), ("polynomial", "chebyshev"), ("envelope", envelope), ("power", power))
    found, slopes = radial_values(radial_code(RadialFamily("agnesi", 1, options, LENGTHS)), np.array([2.0]))
    assert found[0, 0] == pytest.approx(value, rel=1e-14)
    assert slopes[0, 0] == pytest.approx(slope, rel=1e-14)


def test_two_sided_envelope_is_zero_outside_its_window() -> None:
    values, slopes = radial_values(radial_code(FAMILIES["agnesi x window"]), np.array([0.3, 0.5, 1.0, 5.3, 5.5]))
    assert (values[[0, 1, 3, 4]] == 0).all() and (slopes[[0, 1, 3, 4]] == 0).all()


def test_sbessel_primitives_vanish_with_their_slope_at_the_cutoff() -> None:
    values, slopes = radial_values(radial_code(FAMILIES["sbessel"]), np.array([5.5]))
    np.testing.assert_allclose(values, 0, atol=1e-13)
    np.testing.assert_allclose(slopes, 0, atol=1e-12)


def test_sbessel_primitives_are_orthonormal() -> None:
    x, weight = np.polynomial.legendre.leggauss(60)
    r = 2.75 * (x + 1)
    values, _ = radial_values(radial_code(FAMILIES["sbessel"]), r)
    gram = values.T * (weight * 2.75 * r**2) @ values
    np.testing.assert_allclose(gram, np.eye(15), atol=1e-13)


def test_bonds_of_one_kind_share_their_section() -> None:
    one = radial_code(RadialFamily("sbessel", 6, (), (("rcut", 5.5),)))
    two = radial_code(RadialFamily("sbessel", 6, (), (("rcut", 4.2),)))
    assert one.section == two.section and one.constants != two.constants
    for family in FAMILIES.values():
        code = radial_code(family)
        assert tuple(constant.symbol for constant in code.constants) == code.section.constants


def test_few_functions_are_evaluated() -> None:
    """One sin, one cos, one division for 15 Bessel primitives with slopes; sin and cos once per cosine window."""
    for name, expected in (("sbessel", (1, 1, 0)), ("chebexpcos taper", (2, 2, 1)), ("agnesi 2,4 jacobi", (0, 0, 0))):
        body = radial_derivative(radial_code(FAMILIES[name])).body
        counts = [sum(len(line.value.atoms(f)) for line in body) for f in (sympy.sin, sympy.cos, sympy.exp)]
        assert tuple(counts) == expected
        powers = [node for line in body for node in line.value.atoms(sympy.Pow) if not node.is_number]
        assert sum(node.exp.is_negative is True for node in powers) <= 1


def test_breakpoints_are_where_smoothness_ends() -> None:
    taper = radial_breakpoints(FAMILIES["chebexpcos taper"], 0.5)
    np.testing.assert_allclose(taper, (0.5, 4.8, 5.5), rtol=1e-15)
    switched = radial_breakpoints(FAMILIES["sbessel switched"], 0.5)
    np.testing.assert_allclose(switched, (0.5, 1.5, 2.1, 5.5), rtol=1e-15)
    window = radial_breakpoints(FAMILIES["agnesi x window"], 0.1)
    assert len(window) == 5 and window[1] == 0.4


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (RadialFamily("bessel", 3), "radial family 'bessel' is unknown"),
        (RadialFamily("sbessel", 3), "parameter 'rcut' is missing"),
        (RadialFamily("sbessel", 3, (), (("rcutt", 5.0),)), "'rcutt' is unknown, did you mean 'rcut'"),
        (RadialFamily("chebpow", 3, (), (("rcut", 5.0), ("lam", 2.0))), "option 'power' is missing"),
        (RadialFamily("chebexpcos", 3, (("taper", 1),), (("rcut", 5.0), ("lam", 2.0))), "expected true or false"),
        (RadialFamily("chebexpcos", 3, (("taper", False),), (("rcut", 5.0), ("lam", 0.0))), "'lam' is 0"),
        (
            RadialFamily("agnesi", 3, AGNESI, (("rin", 0.0), ("r0", 6.0), ("rcut", 5.0))),
            "expected 0 <= rin < r0 < rcut",
        ),
        (RadialFamily("table", 3), "needs a table of 3 functions"),
    ],
)
def test_bad_families_are_explained(family: RadialFamily, message: str) -> None:
    with pytest.raises(PotentialError, match=message.replace("(", r"\(")):
        radial_code(family)
