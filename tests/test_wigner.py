"""Clebsch-Gordan coefficients are exact, and the real coupling tensors are orthonormal and rotate correctly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sympy.physics.quantum.cg import CG

from acegen.maths.wigner import clebsch_gordan, real_coupling, real_coupling_terms, wigner_3j

TRIPLES = [(a, b, c) for a in range(5) for b in range(5) for c in range(abs(a - b), a + b + 1)]


@pytest.mark.parametrize("triple", [(1, 1, 0), (1, 1, 1), (1, 2, 1), (2, 2, 2), (1, 2, 3), (3, 2, 2)])
def test_clebsch_gordan_equals_sympy_exactly(triple: tuple[int, int, int]) -> None:
    l1, l2, L = triple
    for m1, m2 in itertools.product(range(-l1, l1 + 1), range(-l2, l2 + 1)):
        if abs(m1 + m2) <= L:
            ours = clebsch_gordan(l1, m1, l2, m2, L, m1 + m2).exact
            assert ours - CG(l1, m1, l2, m2, L, m1 + m2).doit() == 0


def test_selection_rules_give_zero() -> None:
    assert clebsch_gordan(1, 0, 1, 1, 2, 0).sign == 0
    assert clebsch_gordan(1, 0, 1, 0, 3, 0).sign == 0
    assert clebsch_gordan(1, 2, 1, 0, 2, 2).sign == 0


def test_3j_is_cyclic_symmetric() -> None:
    for m1, m2 in itertools.product(range(-2, 3), range(-3, 4)):
        if abs(m1 + m2) <= 4:
            assert wigner_3j(2, 3, 4, m1, m2, -m1 - m2) == wigner_3j(3, 4, 2, m2, -m1 - m2, m1)


@pytest.mark.parametrize("triple", TRIPLES)
def test_real_tensor_columns_are_orthonormal(triple: tuple[int, int, int]) -> None:
    tensor = real_coupling(*triple)
    gram = np.einsum("abM,abN->MN", tensor, tensor)
    assert np.abs(gram - np.eye(2 * triple[2] + 1)).max() < 4e-15


def test_real_tensors_of_one_pair_are_complete() -> None:
    rows = np.concatenate([real_coupling(2, 3, L).reshape(35, -1) for L in range(1, 6)], axis=1)
    assert np.abs(rows @ rows.T - np.eye(35)).max() < 4e-15


def test_vector_couplings_are_dot_and_cross_product() -> None:
    """l = 1 in the order m = -1, 0, 1 is (y, z, x): L = 0 is -u.v/sqrt3 and L = 1 is +-(u x v)/sqrt2."""
    u, v = np.array([0.3, -0.7, 1.1]), np.array([-0.4, 0.9, 0.2])
    order = [1, 2, 0]
    dot = np.einsum("a,b,abM->M", u[order], v[order], real_coupling(1, 1, 0))
    assert dot[0] == pytest.approx(-u @ v / np.sqrt(3), rel=1e-14)
    cross = np.einsum("a,b,abM->M", u[order], v[order], real_coupling(1, 1, 1))
    expected = np.cross(u, v)[order] / np.sqrt(2)
    assert min(np.abs(cross - expected).max(), np.abs(cross + expected).max()) < 1e-15


def test_products_of_harmonics_couple_to_harmonics() -> None:
    """Gaunt: coupling S_l1(u) S_l2(u) of one direction to L gives a multiple of S_L(u) (zero for odd l1+l2+L)."""
    from scipy.special import sph_harm_y

    rng = np.random.Generator(np.random.Philox(3))
    theta, phi = rng.uniform(0.1, 3.0, 5), rng.uniform(-3.0, 3.0, 5)

    def real(l: int) -> np.ndarray:
        rows = []
        for m in range(-l, l + 1):
            complex_value = (-1) ** m * np.sqrt(2.0) * sph_harm_y(l, abs(m), theta, phi)
            rows.append(
                sph_harm_y(l, 0, theta, phi).real if m == 0 else complex_value.real if m > 0 else complex_value.imag
            )
        return np.array(rows)

    for l1, l2, L in TRIPLES:
        coupled = np.einsum("ap,bp,abM->Mp", real(l1), real(l2), real_coupling(l1, l2, L))
        if (l1 + l2 + L) % 2:
            assert np.abs(coupled).max() < 1e-14
        else:
            factor = (coupled * real(L)).sum() / (real(L) ** 2).sum()
            assert np.abs(coupled - factor * real(L)).max() < 1e-14


def test_terms_are_sorted_and_nonzero() -> None:
    terms = real_coupling_terms(2, 2, 2)
    assert all(term[3].sign for term in terms)
    assert [term[:3] for term in terms] == sorted((t[:3] for t in terms), key=lambda t: (t[2], t[0], t[1]))
