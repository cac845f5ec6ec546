"""Core repulsion core(r) of one bond as a Section with the single output `core` (pace_format.md sections 4.6 and 7)."""

from __future__ import annotations

import mpmath
import sympy

from acegen.errors import PotentialError
from acegen.maths import acejl, inner
from acegen.maths.chebyshev import cosine_square
from acegen.maths.codes import DIGITS, Draft, RadialCode
from acegen.maths.family import Asked, Described

_R = sympy.Symbol("r")
_FARTHEST = 50  # the exponential repulsion is exactly zero from h r^2 = 50 on
COULOMB = 14.399645351950543  # e^2/(4 pi eps_0) in eV angstrom, as PACE has it
ZBL_WEIGHTS = (0.18175, 0.50986, 0.28022, 0.02817)
ZBL_RATES = (3.19980, 0.94229, 0.40290, 0.20162)

_KINDS: dict[str, tuple[dict[str, object], tuple[str, ...]]] = {
    "exponential": ({"switched": None}, ("q", "h", "rcut", "r_in", "d_in")),
    "zbl": ({}, ("prehc", "za", "zb", "rcut", "dcut")),
    "acejl": (
        {"p": None, "pl": None, "pr": None, "size": None, "repulsive": None},
        ("p", "r0", "rcut", "xl", "xr", "A", "B", "C", "coef", "ri", "e0", "rep_A", "rep_B"),
    ),
}
_FORMULAS = {
    "exponential": ("core = q exp(-h r^2)/r (1 + cos(pi r/rcut))/2 for h r^2 < 50",),
    "zbl": (
        "core = K [phi(r/al)/r + S(r)] P(r; rcut, dcut),  phi(x) = sum_q C_q exp(-B_q x)",
        "S = Cc + A3/3 t^3 + B4/4 t^4,  t = max(r - rcut + dcut, 0),  K = prehc 14.4/2 Z_a Z_b",
    ),
    "acejl": ("core = sum_n coef_n P_n(r)/2 for r > ri,  [e0 + B exp(-A (r/ri - 1)) ri/r]/2 for r <= ri",),
}


def core_code(core: Described) -> RadialCode:
    """The Section (input r, output core, eV) of a core repulsion and the numbers of this bond.

    Args:
        core: a potential.Core, or anything with kind, options and parameters.

    Raises:
        PotentialError: unknown kind, option or parameter.
    """
    if core.kind not in _KINDS:
        raise PotentialError(f"core repulsion '{core.kind}' is unknown, expected one of {', '.join(_KINDS)}")
    options, parameters = _KINDS[core.kind]
    size = dict(core.options).get("size", 1)
    asked = Asked(core, size if isinstance(size, int) else 0, options, parameters, "core repulsion")
    draft = Draft()
    with mpmath.workdps(DIGITS):
        output = {"exponential": _exponential, "zbl": _zbl, "acejl": _acejl}[core.kind](draft, asked)
    formula = _FORMULAS[core.kind]
    if core.kind == "exponential" and asked.flag("switched"):
        formula = (*formula, "times P(r; r_in, d_in)")
    section = draft.section(f"core repulsion, {core.kind}", formula, (_R,), (output,))
    return RadialCode(section, tuple(draft.constants))


def _exponential(draft: Draft, asked: Asked) -> sympy.Symbol:
    strength, rate = draft.constant("q", asked.number("q")), draft.constant("h", asked.number("h"))
    taper = cosine_square(draft, "half", "s", "c", mpmath.pi / (2 * asked.number("rcut")), "pi/(2 rcut)", _R)
    exponent = draft.name("z", rate * _R**2)
    gauss = draft.name("gauss", sympy.exp(-draft.name("zlow", sympy.Min(exponent, _FARTHEST))))
    value = draft.name("bare", strength * gauss * draft.name("rinv", 1 / _R) * taper**2)
    if asked.flag("switched"):
        value = draft.name("switched", value * inner.fall(draft, asked.number("r_in"), asked.number("d_in")))
    return draft.name("core", sympy.Piecewise((value, exponent < _FARTHEST), (sympy.Integer(0), True)))


def _zbl(draft: Draft, asked: Asked) -> sympy.Symbol:
    za, zb, rcut, dcut = (asked.number(key) for key in ("za", "zb", "rcut", "dcut"))
    length = mpmath.mpf("0.46850") / (za ** mpmath.mpf("0.23") + zb ** mpmath.mpf("0.23"))
    rates = [mpmath.mpf(str(rate)) / length for rate in ZBL_RATES]
    weights = [mpmath.mpf(str(weight)) for weight in ZBL_WEIGHTS]
    third, fourth, constant = _outer_polynomial(weights, rates, rcut, dcut)
    factor = draft.constant("strength", asked.number("prehc") * COULOMB / 2 * za * zb, "prehc 14.4/2 Z_a Z_b")
    terms = []
    for k, (weight, rate) in enumerate(zip(weights, rates, strict=True), 1):
        symbol = draft.constant(f"rate_{k}", rate, "B_q/al")
        terms.append(sympy.Float(str(weight), 17) * draft.name(f"e_{k}", sympy.exp(-symbol * _R)))
    screening = draft.name("phi", sympy.Add(*terms), "phi(r/al)")
    beyond = draft.name("beyond", _R - draft.constant("outer", rcut - dcut, "rcut - dcut"))
    t = draft.name("t", sympy.Max(beyond, 0))
    offset = draft.constant("offset", constant, "Cc")
    cubic = draft.constant("cubic", third / 3, "A3/3")
    quartic = draft.constant("quartic", fourth / 4, "B4/4")
    shift = draft.name("shift", offset + t**3 * (cubic + quartic * t), "S(r)")
    fall = inner.fall(draft, rcut, dcut)
    return draft.name("core", factor * (screening * draft.name("rinv", 1 / _R) + shift) * fall)


def _outer_polynomial(
    weights: list[mpmath.mpf], rates: list[mpmath.mpf], rcut: mpmath.mpf, width: mpmath.mpf
) -> tuple[mpmath.mpf, mpmath.mpf, mpmath.mpf]:
    """(A3, B4, Cc): value, slope and curvature of phi(r/al)/r + S vanish at rcut."""
    tails = [weight * mpmath.exp(-rate * rcut) for weight, rate in zip(weights, rates, strict=True)]
    phi = [sum(tail * (-rate) ** d for tail, rate in zip(tails, rates, strict=True)) for d in range(3)]
    e = phi[0] / rcut
    e1 = phi[1] / rcut - phi[0] / rcut**2
    e2 = phi[2] / rcut - 2 * phi[1] / rcut**2 + 2 * phi[0] / rcut**3
    constant = -e + width * e1 / 2 - width**2 * e2 / 12
    if width == 0:
        return mpmath.mpf(0), mpmath.mpf(0), constant
    return (-3 * e1 + width * e2) / width**2, (2 * e1 - width * e2) / width**3, constant


def _acejl(draft: Draft, asked: Asked) -> sympy.Symbol:
    polynomials = acejl.acejl(draft, asked, sympy.Integer(1), name="P") if asked.size else ()
    weights = asked.numbers("coef", asked.size) if asked.size else ()
    terms = [
        draft.constant(f"coef_{k}", mpmath.mpf(weight) / 2) * polynomial
        for k, (weight, polynomial) in enumerate(zip(weights, polynomials, strict=True), 1)
    ]
    far = draft.name("far", sympy.Add(*terms), "sum_n coef_n P_n/2")
    if not asked.flag("repulsive"):
        return draft.name("core", far)
    border = asked.number("ri")
    edge = draft.constant("ri", border)
    rate = draft.constant("rep_A", asked.number("rep_A"))
    inverse = draft.constant("ri_inv", 1 / border if border else 0, "1/ri")
    shift = draft.constant("rep_e0", asked.number("e0") / 2, "e0/2")
    strength = draft.constant("rep_B", asked.number("rep_B") * border / 2, "B ri/2")
    # beyond ri the branch is not taken; the clamp keeps its exponential finite there
    near_r = draft.name("near_r", sympy.Min(_R, edge))
    exponential = draft.name("near_e", sympy.exp(rate * (1 - near_r * inverse)))
    near = draft.name("near", shift + strength * exponential * draft.name("rinv", 1 / _R))
    return draft.name("core", sympy.Piecewise((far, edge < _R), (near, True)))
