"""Radial primitives g_1..g_size of one bond as Sections, one formula for all bonds of the same kind and options.

Sources: pace_format.md sections 4 and 6 (PACE), ace_model.md S2 to S5 (linear ACE).  All values are finite for
0 < r <= rcut, also in branches not taken; the strict r < rcut is the caller's mask.  Arguments of sin and cos lie
in [0, pi/2]; every g_k carries the inner switching, which enters once, as a factor at the start of the recurrence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mpmath
import numpy as np
import sympy

from acegen.errors import PotentialError
from acegen.maths import acejl, bessel, chebyshev, envelopes, inner, polynomials, transforms
from acegen.maths.codes import DIGITS, Draft, RadialCode
from acegen.maths.derivative import differentiate
from acegen.maths.family import Asked, Sized
from acegen.maths.section import Constant, Section
from acegen.maths.series import series_matrix
from acegen.maths.tables import Table, natural_spline_table, polynomial_values, spline_table

__all__ = [
    "RadialCode",
    "head_derivative",
    "radial_breakpoints",
    "radial_code",
    "radial_derivative",
    "radial_rows",
    "radial_series",
]

_R, _X = sympy.symbols("r x")
_INNER = ("none", "switch", "step")


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a kind of family is made of; `options` carry defaults, None marks one that must be given."""

    build: Callable[[Draft, Asked, sympy.Expr], tuple[sympy.Symbol, ...]]
    options: tuple[tuple[str, object], ...]
    parameters: tuple[str, ...]
    formula: tuple[str, ...]


def _zero(draft: Draft, asked: Asked, scale: sympy.Expr) -> tuple[sympy.Symbol, ...]:
    return tuple(draft.name(f"g_{k + 1}", sympy.Integer(0)) for k in range(asked.size))


def _columns(draft: Draft, asked: Asked, scale: sympy.Expr) -> tuple[sympy.Symbol, ...]:
    return tuple(draft.name(f"g_{k + 1}", scale * sympy.Symbol(f"S_{k + 1}")) for k in range(asked.size))


def _agnesi(draft: Draft, asked: Asked, scale: sympy.Expr) -> tuple[sympy.Symbol, ...]:
    if asked.integer("spline_nodes"):
        return _columns(draft, asked, scale * envelopes.envelope(draft, asked, _X))
    x = transforms.agnesi(draft, asked)
    return polynomials.ladder(draft, x, scale * envelopes.envelope(draft, asked, x), _recurrence(asked))


def _recurrence(asked: Asked) -> tuple[polynomials.Coefficients, ...]:
    kind = asked.choice("polynomial", polynomials.KINDS)
    if kind == "given":
        a, b, c = (asked.listed(key, asked.size) for key in ("A", "B", "C"))
        return polynomials.given(a, b, c)
    alpha, beta = asked.option("alpha"), asked.option("beta")
    if not isinstance(alpha, int | float) or not isinstance(beta, int | float) or min(alpha, beta) <= -1:
        raise PotentialError(f"{asked.title}: options alpha, beta are {alpha!r}, {beta!r}, expected numbers > -1")
    return polynomials.recurrence(kind, asked.size, float(alpha), float(beta))


_KINDS = {
    "chebexpcos": _Kind(
        chebyshev.chebexpcos,
        (("taper", None),),
        ("lam", "rcut", "dcut"),
        (
            "g_1 = C(r),  g_k = C(r) (1 - T_k-1(x))/2,  x = 1 - 2 (e^(-lam r/rcut) - e^-lam)/(1 - e^-lam)",
            "C = (1 + cos(pi r/rcut))/2, and times (1 + cos(pi (r - rcut + dcut)/dcut))/2 beyond rcut - dcut",
        ),
    ),
    "chebpow": _Kind(
        chebyshev.chebpow,
        (("power", None),),
        ("lam", "rcut"),
        ("g_k = (1 - T_k(x))/2,  x = 2 (1 - (1 - r/rcut)^lam) - 1",),
    ),
    "cheblinear": _Kind(chebyshev.cheblinear, (), ("rcut",), ("g_k = (1 - T_k(x))/2,  x = 1 - r/rcut",)),
    "sbessel": _Kind(
        bessel.sbessel,
        (),
        ("rcut",),
        (
            "f_n = (-1)^n sqrt(2) pi/rcut^(3/2) (n+1)(n+2)/sqrt((n+1)^2 + (n+2)^2) [sinc((n+1) t) + sinc((n+2) t)]",
            "g_n+1 = [f_n + sqrt(e_n/D_n-1) g_n]/sqrt(D_n),  t = pi r/rcut",
            "e_n = n^2 (n+2)^2/(4 (n+1)^4 + 1),  D_n = 1 - e_n/D_n-1,  D_0 = 1",
        ),
    ),
    "zero": _Kind(_zero, (), (), ("g_k = 0",)),
    "acejl": _Kind(
        acejl.acejl,
        (("p", None), ("pl", None), ("pr", None)),
        ("r0", "rcut", "xl", "xr", "A", "B", "C"),
        (
            "x = ((1 + r0)/(1 + r))^p,  fc = (x - xl)^pl (x - xr)^pr for xl < x < xr",
            "g_1 = A_1 fc,  g_n = (A_n x + B_n) g_n-1 + C_n g_n-2",
        ),
    ),
    "agnesi": _Kind(
        _agnesi,
        (
            *(("p", None), ("q", None), ("polynomial", None), ("envelope", None), ("alpha", 0.0), ("beta", 0.0)),
            *(("p1", 2), ("p2", 2), ("power", 1), ("spline_nodes", 0), ("A", ()), ("B", ()), ("C", ())),
        ),
        ("rin", "r0", "rcut", "x1", "x2", "spline"),
        (
            "s = (r - rin)/(r0 - rin),  y = 1/(1 + a s^q/(1 + s^(q-p))),  x = -1 + 2 (1 - y)/(1 - y(rcut))",
            "g_k = envelope P_k-1(x),  P_k = (A_k x + B_k) P_k-1 + C_k P_k-2",
        ),
    ),
    "table": _Kind(_columns, (), ("key",), ("g_k = S_k(r), interpolated",)),
}


def _asked(family: Sized) -> Asked:
    """The family with its kind's vocabulary."""
    if family.kind not in _KINDS:
        raise PotentialError(f"radial family '{family.kind}' is unknown, expected one of {', '.join(_KINDS)}")
    kind = _KINDS[family.kind]
    if family.size < 0:
        raise PotentialError(f"radial family '{family.kind}': size is {family.size}, expected >= 0")
    return Asked(family, family.size, {**dict(kind.options), "inner": "none"}, (*kind.parameters, "r_in", "d_in"))


def radial_code(family: Sized, table: Table | None = None) -> RadialCode:
    """The Section of a family and the numbers of this bond.

    Args:
        family: a potential.RadialFamily, or anything with kind, size, options and parameters.
        table: the columns of kind "table", [size] functions of r; no other kind takes one.

    Returns:
        RadialCode; its Section is equal for all families of the same kind, size and options.  It names what
        the derivative will want (sin next to cos): `prune` it where values alone are printed.

    Raises:
        PotentialError: unknown kind, option or parameter, or a value out of its range.
    """
    with mpmath.workdps(DIGITS):
        return _radial_code(family, _asked(family), table)


def _radial_code(family: Sized, asked: Asked, table: Table | None) -> RadialCode:
    draft = Draft()
    mode = asked.choice("inner", _INNER)
    scale = inner.inner_factor(draft, mode, asked.number("r_in", 0.0), asked.number("d_in", 0.0))
    outputs = _KINDS[family.kind].build(draft, asked, scale) if asked.size else ()
    head: Section | None = None
    head_constants: tuple[Constant, ...] = ()
    inputs: tuple[sympy.Symbol, ...] = (_R,)
    columns = tuple(sympy.Symbol(f"S_{k + 1}") for k in range(asked.size))
    if family.kind == "agnesi" and asked.integer("spline_nodes"):
        head_draft = Draft()
        transforms.agnesi(head_draft, asked)
        draft.slopes.update(head_draft.slopes)
        head = head_draft.section("Agnesi transform", _KINDS["agnesi"].formula[:1], (_R,), (_X,))
        head_constants = tuple(head_draft.constants)
        table = _spline(asked)
        inputs = (_R, _X, *columns)
    elif family.kind == "table":
        if table is None or table.size != asked.size:
            raise PotentialError(f"{asked.title}: needs a table of {asked.size} functions")
        inputs = (_R, *columns)
    elif table is not None:
        raise PotentialError(f"{asked.title}: takes no table")
    formula = _KINDS[family.kind].formula
    if mode != "none":
        what = "times 1 - P(r; r_in, d_in)" if mode == "switch" else "zero up to r_in - d_in"
        formula = (*formula, f"inner cutoff: {what}")
    section = draft.section(f"radial primitives, {family.kind}", formula, inputs, outputs)
    slopes = tuple(draft.slopes.items())
    return RadialCode(section, tuple(draft.constants), head, head_constants, table, slopes)


def radial_rows(family: Sized) -> list[tuple[float, float, float]] | None:
    """(A_k, B_k, C_k) of a family whose functions are polynomials of one x by a recurrence; None of any other."""
    if family.kind != "agnesi" or not family.size:
        return None
    with mpmath.workdps(DIGITS):
        asked = _asked(family)
        if asked.integer("spline_nodes"):
            return None
        return [(float(a), float(b), float(c)) for a, b, c in _recurrence(asked)]


def radial_series(family: Sized) -> tuple[RadialCode, np.ndarray] | None:
    """What a sum over all functions of a family, g_k = env P_k-1(x), is evaluated from.

    Returns:
        Code of x and the envelope, which are the outputs (constants as those of `radial_code`), and the matrix
        of `series.series_matrix`; None where the functions are not polynomials of one x.
    """
    if family.kind != "agnesi":
        return None
    with mpmath.workdps(DIGITS):
        asked = _asked(family)
        if asked.integer("spline_nodes"):
            return None
        draft = Draft()
        scale = inner.inner_factor(
            draft, asked.choice("inner", _INNER), asked.number("r_in", 0.0), asked.number("d_in", 0.0)
        )
        x = transforms.agnesi(draft, asked)
        factor = draft.name("factor", scale * envelopes.envelope(draft, asked, x))
        title = f"distance transform and envelope of {asked.size} functions"
        section = draft.section(title, _KINDS["agnesi"].formula[:1], (_R,), (x, factor))
        code = RadialCode(section, tuple(draft.constants), slopes=tuple(draft.slopes.items()))
        return code, series_matrix(_recurrence(asked))


def _spline(asked: Asked) -> Table:
    """The cubic spline of the model: its own coefficients where they are given, else through polynomials."""
    nodes = asked.integer("spline_nodes")
    if asked.has("spline"):
        return spline_table(np.reshape(asked.numbers("spline", (nodes + 2) * asked.size), (nodes + 2, asked.size)))
    return natural_spline_table(polynomial_values(_recurrence(asked), nodes))


def radial_derivative(code: RadialCode) -> Section:
    """Values and d/dr of a RadialCode: inputs of `code.section`, then dS/dr (and dx/dr) of the table inputs."""
    return differentiate(code.section, _R, carried=code.section.inputs[1:], known=dict(code.slopes))


def head_derivative(code: RadialCode) -> Section | None:
    """x and dx/dr of the argument of a table."""
    return None if code.head is None else differentiate(code.head, _R, known=dict(code.slopes))


def radial_breakpoints(family: Sized, start: float = 2.0**-10, end: float | None = None) -> tuple[float, ...]:
    """Distances between which the primitives are smooth, from `start` to rcut, increasing; angstrom.

    Args:
        family: any kind but "table".
        start: below it a table is not asked for (some primitives have 1/r in them).
        end: cutoff of the bond, for families that have no rcut of their own.
    """
    with mpmath.workdps(DIGITS):
        asked = _asked(family)
        rcut = float(asked.number("rcut", end))
        found = list(_kind_breakpoints(family.kind, asked, rcut))
        if asked.option("inner") != "none":
            r_in, d_in = float(asked.number("r_in", 0.0)), float(asked.number("d_in", 0.0))
            found += [r_in - d_in, r_in] if asked.option("inner") == "switch" else [r_in - d_in]
        if family.kind == "chebpow" and not asked.integer("power"):
            found += [rcut * (1.0 - 2.0**-n) for n in range(1, 21)]  # (1 - r/rcut)^lam is singular at rcut
        if family.kind == "agnesi" and asked.option("envelope") in ("poly1sr", "ace1_poly1sr"):
            found += [2.0**n for n in range(-10, 3)]  # diverges at r = 0: bins grow with the distance
    inside = sorted({point for point in found if start < point < rcut})
    return (start, *inside, rcut)


def _kind_breakpoints(kind: str, asked: Asked, rcut: float) -> tuple[float, ...]:
    if kind == "chebexpcos" and asked.flag("taper"):
        return (rcut - float(asked.number("dcut")),)
    if kind == "acejl":
        return acejl.edges(asked)
    if kind == "agnesi":
        ends = [float(asked.number("rin"))]
        if asked.option("envelope") == "poly2sx":
            for x in (float(asked.number("x1", -1.0)), float(asked.number("x2", 1.0))):
                if -1 < x < 1:
                    ends.append(transforms.agnesi_inverse(asked, x))
        return tuple(ends)
    return ()
