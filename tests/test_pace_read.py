"""Malformed potentials are refused with one sentence that names file, key, expected and found."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from sympy.physics.quantum.cg import CG

from acegen.errors import PotentialError
from acegen.pace.coupling import clebsch_gordan, coupling_tree
from acegen.pace.read import read_pace


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


BBASIS = """\
global: {DeltaSplineBins: 0.001}
species:
  - speciesblock: Al
    ndensityi: 1
    npoti: FinnisSinclair
    parameters: [1, 1]
    nradmaxi: 1
    lmaxi: 2
    nradbaseij: 2
    radbase: SBessel
    radparameters: [5.25]
    radcoefficients: [[[1, 0], [0, 1], [1, 1]]]
    rcutij: 6
    dcutij: 0.01
    core-repulsion: [0, 1]
    nbody:
      - {type: Al Al, nr: [2], nl: [0], c: 0.1}
      - {type: Al Al Al, nr: [1, 1], nl: [2, 2], c: [0.5]}
      - {type: Al Al Al Al Al, nr: [1, 1, 1, 1], nl: [1, 1, 1, 1], lint: [2, 2], c: [1e-2]}
      - {type: Al Al Al, nr: [9, 9], nl: [2, 2], c: [0.5], skip: true}
"""

BAD_BBASIS = [
    ("species:", "radial_basis: x\nblocks:", r"expected a PACE B-basis with the key 'species', found a GRACE/FS model"),
    ("species:", "blocks:", r"species: required key is missing"),
    ("lint: [2, 2]", "lint: [1, 2]", r"lint: expected intermediates that couple l = \[1, 1, 1, 1\] to L = 0"),
    ("lint: [2, 2]", "lint: [2, 2, 2]", r"lint: expected 2 numbers"),
    ("nl: [2, 2]", "nl: [1, 2]", r"nl: expected an even sum of l"),
    ("nl: [2, 2]", "nl: [0, 2]", r"nl: expected two equal l"),
    ("type: Al Al Al,", "type: Al Al Ni,", r"type: expected Al and then neighbours from Al, found 'Al Al Ni'"),
    ("nr: [1, 1], nl", "nr: [2, 1], nl", r"ns: expected integers from 1 to 1, found 2"),
    ("c: [0.5]}", "c: [0.5, 1]}", r"nbody\[1\]\.c: expected 1 entries, found 2"),
    ("    ndensityi: 1\n", "", r"ndensityi: required key is missing"),
    ("radbase: SBessel", "radbase: Bessel", r"radbase: .*nearest: SBessel"),
    ("speciesblock: Al", "speciesblock: Al Ni", r"species: expected a block 'Al' with its embedding, found none"),
    ("[0, 1]\n", "[0]\n", r"core-repulsion: expected 2 entries, found 1"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD_BBASIS, ids=[str(i) for i in range(len(BAD_BBASIS))])
def test_malformed_bbasis(tmp_path: Path, old: str, new: str, message: str) -> None:
    """The same for the B-basis format, including its rules of coupling."""
    assert old in BBASIS
    path = write(tmp_path, "model.yaml", BBASIS.replace(old, new, 1))
    with pytest.raises(PotentialError, match=message):
        read_pace(path)


def test_good_bbasis(tmp_path: Path) -> None:
    """Rank 2 couples to (-1)^(l-m)/sqrt(2l+1), half of the tuples doubled and equal factors merged."""
    potential = read_pace(write(tmp_path, "model.yaml", BBASIS))
    first, second, third = potential.centres[0].functions
    assert first.channels == (2,) and first.coefficients.tolist() == [1.0]
    terms = {tuple(m): c for m, c in zip(second.ms.tolist(), second.coefficients, strict=True)}
    assert terms.keys() == {(-2, 2), (-1, 1), (0, 0)}
    for (low, _), c in terms.items():
        assert c == pytest.approx((-1) ** low * (2.0 if low else 1.0) / np.sqrt(5.0), rel=1e-15)
    assert third.channels == (0, 0, 0, 0)
    assert potential.centres[0].weights[:, 0].tolist() == [0.1, 0.5, 0.01]
    assert potential.linear


ACE = """\
# comment
nelements=1
elements: Cu

lmax=1

2 FS parameters:  1.0 1.0
core energy-cutoff parameters: 100000.0 250.0
E0: -0.5

radbasename=ChebPow
nradbase=2
nradmax=1
cutoffmax=5.0
deltaSplineBins=0.001
core repulsion parameters: 0.0 1.0
radparameter= 2.0
cutoff= 5.0
dcut= 0.01
crad= 1.0 2.0
 3.0 4.0

rankmax=2
ndensitymax=1

num_c_tilde_max=2
num_ms_combinations_max=2
total_basis_size_rank1: 1
ctilde_basis_func: rank=1 ndens=1 mu0=0 mu=( 0 )
n=( 1 )
l=( 0 )
num_ms=1
< 0 >:  21.5
total_basis_size: 1
ctilde_basis_func: rank=2 ndens=1 mu0=0 mu=( 0  0 )
n=( 1  1 )
l=( 1  1 )
num_ms=2
< 0 0 >:  0.25
< 1 -1 >:  -0.5
"""


def test_good_ace_text(tmp_path: Path) -> None:
    """crad is stored k slowest and l fastest; the embedding with unit exponents is linear."""
    potential = read_pace(write(tmp_path, "Cu.ace", ACE))
    (centre,) = potential.centres
    s = np.sqrt(4.0 * np.pi)
    assert [(c.l, c.coefficients) for c in centre.channels] == [(1, (2.0 * s, 4.0 * s)), (0, (s, 0.0))]
    assert centre.e0 == -0.5 and potential.linear
    assert [f.coefficients.tolist() for f in centre.functions] == [[1.0], [0.25, -0.5]]
    assert centre.weights.tolist() == [[21.5], [1.0]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("nelements=1", "elements=1", r"nelements=: required entry is missing"),
        ("cutoff= 5.0", "cutoff= -5.0", r"expected cutoff > 0"),
        ("crad= 1.0 2.0", "crad= 1.0 x", r"crad=: expected a finite number, found 'x'"),
        ("2 FS parameters:  1.0 1.0", "2 FS parameters:  1.0 0.5", r"embedding-function: required entry is missing"),
        ("total_basis_size: 1", "total_basis_size: 2", r"total_basis_size: expected 3 functions, found 2"),
        ("< 1 -1 >", "< 1 1 >", r"sum to 0, found \[1, 1\]"),
        ("num_ms=2", "num_ms=3", r"expected 3 lines < m >: c, found 2"),
        ("nradbase=2", "nradbase=2000000000", r"crad=: expected 4000000000 entries, found"),
        ("lmax=1", "lmax=2000000000", r"crad=: expected 4000000002 entries, found"),
        ("2 FS parameters", "99999999999999999999 FS parameters", r"FS parameters: expected an integer >= 0"),
        ("ChebPow", "ACE.jl.Basic", r"radbasename=: expected a basis with c_nlk"),
    ],
)
def test_malformed_ace_text(tmp_path: Path, old: str, new: str, message: str) -> None:
    """The text format is refused with the same care."""
    assert old in ACE
    with pytest.raises(PotentialError, match=message):
        read_pace(write(tmp_path, "Cu.ace", ACE.replace(old, new, 1)))


def test_b_and_c_bases_agree(shared: Path) -> None:
    """The rows of B of the B-basis file, summed per (mus, ns, ls), give the numbers stored in the C-tilde file."""
    folder = shared / "zoo" / "SiGe-medium-s1"
    first, second = (read_pace(folder / f"{folder.name}.{ending}") for ending in ("yace", "yaml"))
    for left, right in zip(first.centres, second.centres, strict=True):
        sums: list[dict[str, np.ndarray]] = []
        for centre in (left, right):
            total: dict[str, np.ndarray] = {}
            for function, weights in zip(centre.functions, centre.weights, strict=True):
                factors = re.findall(r"\(.*?\)", function.label)
                for m, c in zip(function.ms.tolist(), function.coefficients, strict=True):
                    key = str(sorted(zip(factors, m, strict=True)))
                    total[key] = total.get(key, np.zeros(2)) + c * weights
            sums.append(total)
        assert sums[0].keys() == sums[1].keys()
        for key, value in sums[0].items():
            assert np.allclose(value, sums[1][key], rtol=1e-13, atol=1e-14 * np.abs(value).max())


def test_clebsch_gordan() -> None:
    """Racah's formula in integers gives SymPy's exact values to the last bit or two, zeros exactly."""
    for l1, l2 in ((1, 1), (2, 1), (3, 2)):
        for l3 in range(abs(l1 - l2), l1 + l2 + 2):
            for m1 in range(-l1, l1 + 1):
                for m2 in range(-l2, l2 + 1):
                    exact = float(CG(l1, m1, l2, m2, l3, m1 + m2).doit())
                    assert clebsch_gordan(l1, m1, l2, m2, l3, m1 + m2) == pytest.approx(exact, rel=4e-16, abs=0.0)


def test_coupling_tree() -> None:
    """Pairs from left to right, then the two oldest intermediates; an odd last leaf joins at the root."""
    assert coupling_tree(2) == ((0, 1, 2),)
    assert coupling_tree(3) == ((0, 1, 3), (3, 2, 4))
    assert coupling_tree(5) == ((0, 1, 5), (2, 3, 6), (5, 6, 7), (7, 4, 8))
    assert coupling_tree(6) == ((0, 1, 6), (2, 3, 7), (4, 5, 8), (6, 7, 9), (8, 9, 10))
