"""Small bases derived as a whole with SymPy: every monomial of the Program, and energy and gradient of the kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sympy
from kernels import Kernels
from spec_texts import write_spec
from symbolic import Amplitudes, Polynomial, amplitudes, function_polynomial, site_energy
from sympy.polys.domains import RR
from sympy.polys.rings import PolyElement, ring

from acegen.inputs import read_input
from acegen.potential import Potential
from acegen.program.execute import coupling_rows
from acegen.program.lower import lower_centre
from acegen.program.types import Program, component

# order 5; two species with solid harmonics and a pair basis, order 3; two densities, order 2
BASES = ("order5", "solid", "embedded")
LIMIT = 1e-13


@pytest.fixture(scope="module", params=BASES)
def path(request: pytest.FixtureRequest, spec_folder: Path) -> Path:
    return write_spec(spec_folder, request.param)


@pytest.fixture(scope="module")
def potential(path: Path) -> Potential:
    return read_input(path).potential


def leaf_polynomials(program: Program, around: Amplitudes) -> list[PolyElement]:
    """X of pooled sums and leaves as polynomials (single variables) in the amplitudes.

    In these bases every channel is one primitive: a pooled sum is the amplitude of the channel it belongs to.
    """
    polynomials, *variables = ring([f"a{k}" for k in range(len(around.names))], RR)
    x = [polynomials.zero] * program.n_components
    assert not program.mixes
    primitive = {}
    for c, channel in enumerate(around.centre.channels):
        (k,) = np.flatnonzero(channel.coefficients)
        primitive[channel.neighbour, int(k), channel.l] = c, channel.coefficients[k]
    place = {name: k for k, name in enumerate(around.names)}
    for pool in program.pools:
        for row, k in enumerate(pool.primitives):
            channel, factor = primitive[pool.neighbour, k, pool.l]
            for m in range(-pool.l, pool.l + 1):
                where = pool.offset + row * (2 * pool.l + 1) + component(m)
                x[where] = variables[place[channel, m]] / factor
    return x


def run(program: Program, x: list[PolyElement]) -> None:
    """The steps of the program on polynomials."""
    for group in program.steps:
        for a, b, out in group.rows.tolist():
            for k, value in enumerate(product(group.kernel, x, a, b)):
                x[out + k] = value


def product(kernel: tuple[object, ...], x: list[PolyElement], a: int, b: int) -> Iterator[PolyElement]:
    if kernel[0] == "multiply":
        _, n_a, n_b, conjugate = kernel
        za, zb = (x[a], x[a + 1] if n_a == 2 else 0 * x[a]), (x[b], x[b + 1] if n_b == 2 else 0 * x[b])
        zb = (zb[0], -zb[1]) if conjugate else zb
        yield za[0] * zb[0] - za[1] * zb[1]
        if n_b == 2:
            yield za[0] * zb[1] + za[1] * zb[0]
        return
    _, la, lb, degrees = kernel
    for degree in degrees:
        table = coupling_rows(la, lb, degree)
        for m in range(2 * degree + 1):
            yield sum(
                float(table[i, j, m]) * x[a + i] * x[b + j] for i, j in np.argwhere(np.abs(table[:, :, m]) > 1e-15)
            )


def program_polynomials(program: Program, around: Amplitudes) -> list[Polynomial]:
    """Every basis function of the Program, expanded."""
    x = leaf_polynomials(program, around)
    run(program, x)
    entries = program.entries
    values = [
        sum(x[a + k] * x[b + k] for k in range(n))
        for n, a, b in zip(entries.components.tolist(), entries.x.tolist(), entries.y.tolist(), strict=True)
    ]
    rows: list[Polynomial] = [{} for _ in range(program.n_functions)]
    for fold, terms in ((entries.fold, values), (program.linear_fold, [x[o] for o in program.linear.tolist()])):
        for row, term in enumerate(terms):
            for q in range(fold.indptr[row], fold.indptr[row + 1]):
                total = rows[fold.indices[q]]
                for exponents, value in term.terms():
                    total[exponents] = total.get(exponents, 0.0) + float(fold.values[q]) * float(value)
    return rows


@pytest.mark.parametrize("form", ["coupled", "pair", "flat"])
def test_program_monomial_by_monomial(potential: Potential, form: str) -> None:
    """Each B as a polynomial in the real amplitudes has the same monomials with the same coefficients."""
    for a, centre in enumerate(potential.centres):
        program = lower_centre(potential, a, form)
        assert program is not None
        assert program.form == form
        around = amplitudes(centre)
        found = program_polynomials(program, around)
        for function, terms in zip(centre.functions, found, strict=True):
            expected = function_polynomial(function, around)
            scale = max(abs(value) for value in expected.values())
            for exponents in expected.keys() | terms.keys():
                difference = terms.get(exponents, 0.0) - expected.get(exponents, 0.0)
                assert abs(difference) <= LIMIT * scale, (function.label, exponents)


def test_mixed_leaves_are_the_channels(spec_folder: Path) -> None:
    """Where channels mix primitives of several bonds, the matrices of the program hold exactly their coefficients."""
    potential = read_input(write_spec(spec_folder, "glorot3")).potential
    for a, centre in enumerate(potential.centres):
        program = lower_centre(potential, a)
        assert program is not None
        starts = np.cumsum([0, *(bond.n_primitives for bond in potential.bonds[a])])
        rows: dict[int, np.ndarray] = {}
        for mix in program.mixes:
            pool = program.pools[mix.pool]
            for k, row in enumerate(mix.matrix):
                target = rows.setdefault(mix.offset + k * (2 * mix.l + 1), np.zeros(starts[-1]))
                assert mix.add == bool(target.any())
                target[starts[pool.neighbour] + np.array(pool.primitives)] += row
        used = {c for function in centre.functions if len(function.channels) > 1 for c in function.channels}
        assert used
        for c in used:
            assert np.array_equal(rows[program.leaf_offset[c]], centre.channels[c].coefficients)


def test_kernel_against_derived_energy_and_gradient(path: Path, potential: Potential, kernels: Kernels) -> None:
    """Three neighbours around each species: 40 digits from SymPy, 16 from the kernel."""
    model = kernels(path)
    cutoff = model.cutoffs.min()
    vectors = cutoff * np.array([[0.42, 0.05, -0.11], [-0.2, 0.35, 0.31], [0.13, -0.5, 0.27]])
    species = np.arange(3) % len(model.species)
    for a in range(len(model.species)):
        energy, gradient = site_energy(potential, a, species.tolist(), vectors.tolist())
        found, slopes = model.site(a, species.astype(np.int32), vectors)
        assert abs(found - float(energy)) <= LIMIT * max(1.0, abs(float(energy)))
        expected = np.array([[float(value) for value in row] for row in gradient])
        assert np.abs(expected).max() > 1e-3
        assert np.abs(slopes - expected).max() <= LIMIT * np.abs(expected).max()


def test_derived_harmonics_are_orthonormal() -> None:
    """The derivation's own harmonics: the integral of S_lm S_l'm' over the sphere, exactly, for a few pairs."""
    from symbolic import R, X, Y, Z, harmonic

    theta, phi = sympy.symbols("theta phi", real=True)
    sphere = {X: sympy.sin(theta) * sympy.cos(phi), Y: sympy.sin(theta) * sympy.sin(phi), Z: sympy.cos(theta), R: 1}
    for (l, m), (k, n) in (((1, -1), (1, -1)), ((2, 1), (2, 1)), ((2, 1), (2, -1)), ((2, 0), (0, 0))):
        integrand = sympy.expand((harmonic(l, m) * harmonic(k, n)).subs(sphere) * sympy.sin(theta))
        integral = sympy.integrate(sympy.integrate(integrand, (phi, 0, 2 * sympy.pi)), (theta, 0, sympy.pi))
        assert sympy.simplify(integral) == int((l, m) == (k, n))
