"""Embedding functions F(rho) of PACE and their slopes as Sections for scalar code (pace_format.md section 9)."""

from __future__ import annotations

import mpmath
import sympy

from acegen.errors import PotentialError
from acegen.maths.codes import DIGITS, Draft, ScalarCode
from acegen.maths.derivative import differentiate
from acegen.maths.section import Assign, Section

KINDS = ("linear", "FinnisSinclair", "FinnisSinclairShiftedScaled")
_RHO = sympy.Symbol("rho")
_Z = sympy.Symbol("z")
_WEIGHT = 1.0e6  # W of FinnisSinclair: linear below |rho| ~ 1/W
_SMALLEST = sympy.Float("1e-10")  # FinnisSinclair is exactly linear up to here
_SAME = 1e-10  # exponents this close to 1 make the shifted form linear


def embedding_code(kind: str, exponent: float = 1.0) -> ScalarCode:
    """F and dF/drho of one density; input rho, outputs F and dF, without the scale w_p.

    Args:
        kind: "linear", "FinnisSinclair" or "FinnisSinclairShiftedScaled".
        exponent: m > 0; the Section depends on it only through being 1, 1/2, 2 or another number.

    Raises:
        PotentialError: unknown kind, or m is not a finite number > 0.
    """
    if kind not in KINDS:
        raise PotentialError(f"embedding '{kind}' is unknown, expected one of {', '.join(KINDS)}")
    if not (exponent > 0 and mpmath.isfinite(exponent)):
        raise PotentialError(f"embedding '{kind}': exponent is {exponent}, expected a finite number > 0")
    # FinnisSinclair at m = 1: (1 - G) z + G z = z
    if kind == "linear" or exponent == 1 or (kind == KINDS[2] and abs(exponent - 1) < _SAME):
        body = (Assign(sympy.Symbol("F"), _RHO), Assign(sympy.Symbol("dF"), sympy.Integer(1)))
        return ScalarCode(
            Section("embedding, linear", ("F = rho",), (_RHO,), (), body, (body[0].target, body[1].target)), ()
        )
    draft = Draft()
    with mpmath.workdps(DIGITS):
        build = _finnis_sinclair if kind == "FinnisSinclair" else _shifted
        formula, known = build(draft, mpmath.mpf(exponent))
    return _with_sign(kind, formula, draft, known)


def _power(draft: Draft, name: str, base: sympy.Symbol, m: mpmath.mpf) -> dict[sympy.Symbol, sympy.Expr]:
    """Name base^m and its slope factor m base^(m-1) with one pow, or none for m = 1/2 and 2; returns the latter."""
    if m == 2:
        power = draft.name(name, base**2)
        return {power: 2 * base}
    if m == mpmath.mpf("0.5"):
        power = draft.name(name, sympy.sqrt(base))
        return {power: draft.name(f"{name}_slope", sympy.Rational(1, 2) / power)}
    exponent, before = draft.constant("m", m), draft.constant("m_less", m - 1, "m - 1")
    lower = draft.name(f"{name}_lower", base**before)
    power = draft.name(name, base * lower)
    return {power: exponent * lower}


Known = dict[sympy.Symbol, sympy.Expr]


def _finnis_sinclair(draft: Draft, m: mpmath.mpf) -> tuple[tuple[str, ...], Known]:
    """f(z) = (1 - G) z^m + L G z, G = exp(-(W z)^3), z >= 0; L z up to z = 1e-10."""
    linear = draft.constant("L", mpmath.mpf(_WEIGHT) ** (1 - m), "W^(1-m)")
    size = draft.name("zs", sympy.Max(_Z, _SMALLEST))
    known = _power(draft, "zm", size, m)
    (power,) = known
    cube = draft.name("cube", sympy.Float(_WEIGHT**3) * size**3, "(W z)^3")
    small = draft.name("near", sympy.exp(-draft.name("cube_low", sympy.Min(cube, 30))))
    gate = draft.name("G", sympy.Piecewise((small, cube <= 30), (sympy.Integer(0), True)))
    curved = draft.name("curved", (1 - gate) * power + linear * gate * size)
    straight = draft.name("straight", linear * _Z)
    draft.name("f", sympy.Piecewise((curved, _Z > _SMALLEST), (straight, True)))
    text = ("F = sgn(rho) [(1 - G) z^m + L G z],  z = |rho|,  G = exp(-(W z)^3),  L = W^(1-m),  W = 1e6",)
    return text, _chained(known, size)


def _shifted(draft: Draft, m: mpmath.mpf) -> tuple[tuple[str, ...], Known]:
    """f(z) = (z + c1 e)^m - c2 e, e = exp(-z), z >= 0."""
    q = 1 / m
    first = draft.constant("c1", q ** (q / (1 - q)), "(1/m)^(1/(m-1))")
    second = draft.constant("c2", q ** (1 / (1 - q)), "(1/m)^(m/(m-1))")
    e = draft.name("e", sympy.exp(-_Z))
    base = draft.name("b", _Z + first * e)
    known = _power(draft, "bm", base, m)
    (power,) = known
    draft.name("f", power - second * e)
    text = ("F = sgn(rho) [(z + c1 e^-z)^m - c2 e^-z],  z = |rho|",)
    return text, _chained(known, base)


def _chained(known: Known, base: sympy.Symbol) -> Known:
    """Slope of base^m with respect to z."""
    return {power: factor * sympy.Symbol(f"d{base.name}") for power, factor in known.items()}


def _with_sign(kind: str, formula: tuple[str, ...], draft: Draft, known: Known) -> ScalarCode:
    """F = sgn f(|rho|), dF = f'(|rho|)."""
    f, sign = sympy.symbols("f sign")
    smooth = differentiate(draft.section("", (), (_Z,), (f,)), _Z, known=known)
    before = (
        Assign(_Z, sympy.Max(_RHO, -_RHO), "|rho|"),
        Assign(sign, sympy.Piecewise((sympy.Integer(-1), _RHO < 0), (sympy.Integer(1), True))),
    )
    after = (Assign(sympy.Symbol("F"), sign * f), Assign(sympy.Symbol("dF"), sympy.Symbol("df")))
    section = Section(
        f"embedding, {kind}",
        (*formula, "dF = f'(|rho|)"),
        (_RHO,),
        smooth.constants,
        (*before, *smooth.body, *after),
        (after[0].target, after[1].target),
    )
    return ScalarCode(section, tuple(draft.constants))
