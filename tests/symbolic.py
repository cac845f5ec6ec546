"""The site energy derived with SymPy from the definition in acegen.potential, without programs, kernels or trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import sympy
from sympy.polys.domains import QQ_I
from sympy.polys.rings import PolyRing, ring

from acegen.maths.radial import radial_code
from acegen.maths.section import Section
from acegen.potential import BasisFunction, Centre, Potential, RadialFamily

X, Y, Z, R = sympy.symbols("X Y Z R", real=True)
Polynomial = dict[tuple[int, ...], float]  # exponents of the amplitudes -> coefficient


@dataclass(frozen=True, slots=True, eq=False)
class Amplitudes:
    """The real amplitudes a_cm of a centre: variables of its polynomials, in the order of `names`."""

    centre: Centre
    names: tuple[tuple[int, int], ...]  # (channel, m)

    @property
    def symbols(self) -> tuple[sympy.Symbol, ...]:
        return tuple(sympy.Symbol(f"a_{c}_{m}".replace("-", "n"), real=True) for c, m in self.names)


def amplitudes(centre: Centre) -> Amplitudes:
    names = [(c, m) for c, channel in enumerate(centre.channels) for m in range(-channel.l, channel.l + 1)]
    return Amplitudes(centre, tuple(names))


def gaussian_ring(count: int) -> PolyRing:
    """Polynomials with coefficients p + i q, p and q rational."""
    return ring([f"a{k}" for k in range(count)], QQ_I)[0]


def function_polynomial(function: BasisFunction, around: Amplitudes) -> Polynomial:
    """B_f = sum_q coefficient_q Re prod_t A_cm, with A_cm = (-1)^m (a_cm + i a_c-m)/sqrt2 and its conjugate."""
    polynomials = gaussian_ring(len(around.names))
    variable = {name: polynomials.gens[k] for k, name in enumerate(around.names)}
    imaginary = QQ_I(0, 1)
    total: Polynomial = {}
    for ms, coefficient in zip(function.ms.tolist(), function.coefficients.tolist(), strict=True):
        term, sign = polynomials.one, 1
        for channel, m in zip(function.channels, ms, strict=True):
            factor = variable[channel, abs(m)]
            if m:
                factor = factor + (imaginary if m > 0 else -imaginary) * variable[channel, -abs(m)]
                sign = -sign if m > 0 and m % 2 else sign
            term = term * factor
        scale = coefficient * sign * float(sympy.sqrt(2) ** -sum(m != 0 for m in ms))
        for exponents, value in term.terms():
            total[exponents] = total.get(exponents, 0.0) + scale * float(value.x)
    return total


@cache
def harmonic(l: int, m: int) -> sympy.Expr:
    """Real orthonormal S_lm of the direction (X, Y, Z)/R, no Condon-Shortley phase, by Legendre's polynomial."""
    u, k = sympy.Symbol("u"), abs(m)
    norm = sympy.sqrt(
        sympy.Rational(2 * l + 1, 4) / sympy.pi * (2 if m else 1) * sympy.factorial(l - k) / sympy.factorial(l + k)
    )
    around_z = sympy.diff(sympy.legendre(l, u), u, k).subs(u, Z / R)
    circle = sympy.expand((X + sympy.I * Y) ** k)
    part = sympy.re(circle) if m >= 0 else sympy.im(circle)
    return norm * around_z * part / R**k


def closed_form(section: Section, values: dict[sympy.Symbol, sympy.Expr]) -> list[sympy.Expr]:
    """Outputs of a Section as expressions of R; inside the cutoff no clamp acts."""
    known = dict(values)
    for assign in section.body:
        value = assign.value.replace(sympy.Max, lambda low, free: free).replace(sympy.Min, lambda high, free: free)
        known[assign.target] = value.xreplace(known)
    return [known[symbol] for symbol in section.outputs]


@cache
def primitives(family: RadialFamily) -> tuple[sympy.Expr, ...]:
    """g_1(R)..g_size(R), their constants as the exact doubles of the bond."""
    code = radial_code(family)
    values = {constant.symbol: sympy.Rational(constant.value) for constant in code.constants}
    return tuple(closed_form(code.section, {**values, sympy.Symbol("r"): R}))


def radial(potential: Potential, a: int, b: int, channel: int) -> sympy.Expr:
    """R_c(R) of the ordered bond (a, b), times R^l for solid harmonics; zero when the channel is of another species."""
    this = potential.centres[a].channels[channel]
    if this.neighbour not in (b, -1):
        return sympy.Integer(0)
    skip = 0 if this.neighbour >= 0 else sum(bond.n_primitives for bond in potential.bonds[a][:b])
    exact = [sympy.Rational(value) for value in this.coefficients]
    every = [g for family in potential.bonds[a][b].families for g in primitives(family)]
    total = sum((exact[skip + k] * g for k, g in enumerate(every) if exact[skip + k] != 0), sympy.Integer(0))
    return total * (R**this.l if potential.angular == "solid" else 1)


def shifted_scaled(rho: sympy.Symbol, exponent: float) -> sympy.Expr:
    """FinnisSinclairShiftedScaled for rho of one sign (pace_format 9): s [(|rho| + c1 e)^m - c2 e], e = exp(-|rho|)."""
    m = sympy.Rational(exponent)
    if m == 1:
        return rho
    q = 1 / m
    c1, c2 = q ** (q / (1 - q)), q ** (1 / (1 - q))
    e = sympy.exp(-sympy.Abs(rho))
    return sympy.sign(rho) * ((sympy.Abs(rho) + c1 * e) ** m - c2 * e)


def site_energy(
    potential: Potential, a: int, species: Sequence[int], vectors: Sequence[Sequence[float]], digits: int = 40
) -> tuple[sympy.Float, list[list[sympy.Float]]]:
    """Energy of a centre with the given neighbours and its gradient [n, 3], SymPy's derivatives at `digits` digits.

    The polynomial in the amplitudes is differentiated as a whole, the amplitudes through R = |(X, Y, Z)|.
    """
    centre = potential.centres[a]
    around = amplitudes(centre)
    symbols = around.symbols
    densities = [sympy.Integer(0)] * centre.embedding.n_densities
    for f, function in enumerate(centre.functions):
        terms = function_polynomial(function, around).items()
        row = sympy.Add(*(sympy.Rational(value) * _monomial(symbols, exponents) for exponents, value in terms))
        densities = [rho + sympy.Rational(w) * row for rho, w in zip(densities, centre.weights[f], strict=True)]
    # amplitudes and their derivatives: numbers with many digits, from SymPy's closed forms
    bonds = {b: _bond_functions(potential, a, b, around, digits) for b in set(species)}
    found = [bonds[b](*(sympy.Rational(component) for component in v)) for b, v in zip(species, vectors, strict=True)]
    values = {symbol: sum(row[k][0] for row in found) for k, symbol in enumerate(symbols)}
    energy, slopes = _embedded(centre, densities, values, symbols, digits)
    gradient = [
        [sum((slopes[k] * row[k][1 + x] for k in range(len(symbols))), sympy.Float(0, digits)) for x in range(3)]
        for row in found
    ]
    return energy, gradient


def _monomial(symbols: Sequence[sympy.Symbol], exponents: Sequence[int]) -> sympy.Expr:
    return sympy.Mul(*(symbol**power for symbol, power in zip(symbols, exponents, strict=True) if power))


def _bond_functions(potential: Potential, a: int, b: int, around: Amplitudes, digits: int):
    """(x, y, z) -> [(a_cm, d/dx, d/dy, d/dz)] of one neighbour of species b."""
    rows = []
    for c, m in around.names:
        part = radial(potential, a, b, c)
        whole = part * harmonic(around.centre.channels[c].l, m) if part != 0 else part
        slope = sympy.diff(whole, R)
        rows += [whole, *(sympy.diff(whole, axis) + slope * axis / R for axis in (X, Y, Z))]
    function = sympy.lambdify((X, Y, Z, R), rows, "mpmath", cse=True)

    def evaluate(x: sympy.Rational, y: sympy.Rational, z: sympy.Rational) -> list[list[sympy.Float]]:
        import mpmath

        with mpmath.workdps(digits):
            numbers = [mpmath.mpf(v.p) / v.q for v in (x, y, z)]
            flat = function(*numbers, mpmath.sqrt(sum(v * v for v in numbers)))
            return [[sympy.Float(v, digits) for v in flat[4 * k : 4 * k + 4]] for k in range(len(around.names))]

    return evaluate


def _embedded(
    centre: Centre,
    densities: Sequence[sympy.Expr],
    values: dict[sympy.Symbol, sympy.Float],
    symbols: Sequence[sympy.Symbol],
    digits: int,
) -> tuple[sympy.Float, list[sympy.Float]]:
    """E and dE/da_cm."""
    kind = centre.embedding.kind
    rho = sympy.Symbol("rho", real=True)
    energy, slopes = sympy.Float(centre.e0, digits), [sympy.Float(0, digits)] * len(symbols)
    for p, density in enumerate(densities):
        law = rho if kind == "linear" else shifted_scaled(rho, centre.embedding.exponents[p])
        law = sympy.Rational(centre.embedding.scales[p]) * law
        value = sympy.N(density.subs(values), digits)
        away = sympy.Symbol("s", positive=True)  # |rho| has one sign here: differentiate without delta functions
        signed = law.subs(rho, away if value > 0 else -away)
        outer = sympy.diff(signed, away) * (1 if value > 0 else -1)
        energy += sympy.N(signed.subs(away, abs(value)), digits)
        factor = sympy.N(outer.subs(away, abs(value)), digits)
        slopes = [
            total + factor * sympy.N(sympy.diff(density, symbol).subs(values), digits)
            for total, symbol in zip(slopes, symbols, strict=True)
        ]
    return energy, slopes
