"""The interpreter obeys the laws of physics and agrees with the symbolic mathematics, which shares no code with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sympy
from ase import Atoms
from ase.neighborlist import neighbor_list
from scipy.spatial.transform import Rotation

from acegen.errors import InputError
from acegen.interpreter import interpret
from acegen.interpreter.core import core_energy
from acegen.interpreter.neighbours import find_edges
from acegen.interpreter.radial import family_values
from acegen.maths.core import core_code
from acegen.maths.derivative import differentiate
from acegen.maths.evaluation import evaluate
from acegen.maths.radial import radial_code
from acegen.maths.section import Constant, Section
from acegen.pace.read import read_pace
from acegen.potential import BasisFunction, Bond, Centre, Channel, Core, Embedding, Potential, RadialFamily

SKEWED = np.array([[2.9, 0.1, 0.0], [-0.9, 3.1, 0.2], [1.1, 1.4, 2.6]])
OPTIONS = (("p", 2), ("q", 4), ("polynomial", "jacobi"), ("alpha", 4.0), ("beta", 4.0))
ENVELOPE = (("envelope", "poly2sx"), ("p1", 2), ("p2", 2), ("power", 0), ("spline_nodes", 0), ("inner", "none"))


def agnesi(cutoff: float, **changes: object) -> RadialFamily:
    options = dict(OPTIONS + ENVELOPE) | {k: v for k, v in changes.items() if k not in ("rin", "r0")}
    parameters = (("rin", float(changes.get("rin", 0.0))), ("r0", 2.4), ("rcut", cutoff), ("x1", -1.0), ("x2", 1.0))  # type: ignore[arg-type]
    return RadialFamily("agnesi", 4, tuple(options.items()), parameters)


def synthetic(switching: str, angular: str, embedding: str) -> Potential:
    """Two species, different bonds in the two orders, ranks 1 to 3, a channel that sums over all species."""
    sizes = ((4.0, 3.8), (4.1, 3.9))

    def core(cutoff: float) -> Core | None:
        if switching == "density":
            return Core("exponential", (("switched", False),), (("q", 9.0), ("h", 0.6), ("rcut", cutoff)))
        numbers = (("prehc", 1.0), ("za", 14.0), ("zb", 8.0), ("rcut", cutoff), ("dcut", 1.2))
        return Core("zbl", (), numbers) if switching == "zbl" else None

    def bond(a: int, b: int) -> Bond:
        c = sizes[a][b]
        return Bond(c, (agnesi(c, q=2 + 2 * (a == b)),), core(c), (2.3 + 0.2 * b, 0.7))

    bonds = tuple(tuple(bond(a, b) for b in range(2)) for a in range(2))
    rng = np.random.Generator(np.random.Philox(7))

    def centre() -> Centre:
        channels = (
            Channel(0, 1, 0, tuple(rng.normal(size=4))),
            Channel(0, 1, 1, tuple(rng.normal(size=4))),
            Channel(1, 1, 1, tuple(rng.normal(size=4))),
            Channel(-1, 1, 2, tuple(rng.normal(size=8))),
        )
        pair = BasisFunction((1, 2), np.array([[0, 0], [1, -1]]), np.array([1.0, -2.0]))
        bend = [[0, 1, -1], [1, 1, -2], [0, 0, 0], [1, -1, 0], [1, 0, -1]]
        # <1 m 1 m'|2 M> coupled to l = 2: 1/sqrt5 of each, half basis.
        c = np.array([-2 * np.sqrt(0.1), 2 * np.sqrt(0.2), np.sqrt(2 / 15), 2 * np.sqrt(1 / 30), -2 * np.sqrt(0.1)])
        triple = BasisFunction((1, 2, 3), np.array(bend), c)
        one = BasisFunction((0,), np.array([[0]]), np.ones(1))
        weights = rng.normal(size=(3, 2)) * 0.3
        kind = Embedding(embedding, (1.0, 0.8), (1.0, 0.5))
        return Centre(-1.5, channels, (one, pair, triple), weights, kind, 6.0, 5.0)

    return Potential("test", ("Si", "O"), angular, bonds, (centre(), centre()), switching, 4.1)


CASES = [("none", "solid", "linear"), ("density", "spherical", "FinnisSinclair")]
CASES += [("zbl", "spherical", "FinnisSinclairShiftedScaled")]


def structure(pbc: tuple[bool, bool, bool]) -> tuple[np.ndarray, np.ndarray]:
    """Three atoms, moved out of the cell by whole vectors of the periodic directions."""
    rng = np.random.Generator(np.random.Philox(3))
    outside = np.array([[0, 0, 0], [3, 1, 0], [0, -2, 4]]) * np.array(pbc)
    return np.array([0, 1, 1]), (0.6 * rng.uniform(size=(3, 3)) + outside) @ SKEWED


@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True), (False, False, False)])
@pytest.mark.parametrize(("switching", "angular", "embedding"), CASES)
def test_forces_are_gradients(switching: str, angular: str, embedding: str, pbc: tuple[bool, bool, bool]) -> None:
    """Forces and virial are derivatives of the energy, in a skewed cell smaller than the cutoff."""
    potential = synthetic(switching, angular, embedding)
    species, positions = structure(pbc)
    out = interpret(potential, species, positions, SKEWED, np.array(pbc))
    rng = np.random.Generator(np.random.Philox(5))
    h = 1e-4

    def along(move: np.ndarray, strain: np.ndarray) -> float:
        """Fourth-order central difference of the energy."""
        values = []
        for k in (-2, -1, 1, 2):
            bend = np.eye(3) + k * h * strain
            values.append(
                interpret(potential, species, (positions + k * h * move) @ bend, SKEWED @ bend, np.array(pbc)).energy
            )
        return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)

    move, strain = rng.normal(size=positions.shape), rng.normal(size=(3, 3))
    still = np.zeros((3, 3))
    scale = np.abs(out.forces).max() + np.abs(out.virial).max()
    assert along(move, still) == pytest.approx(-np.sum(out.forces * move), abs=1e-8 * scale)
    assert along(np.zeros_like(move), strain) == pytest.approx(-np.sum(out.virial * strain.T), abs=1e-8 * scale)
    assert np.abs(out.forces.sum(axis=0)).max() < 1e-12 * scale


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False), (False, True, False)])
def test_edges_are_those_of_ase(pbc: tuple[bool, bool, bool]) -> None:
    """The brute-force list has the edges of ASE's list, atoms outside the cell included."""
    species, positions = structure(pbc)
    cutoffs = np.full((2, 2), 6.0)
    edges = find_edges(positions, species, SKEWED, np.array(pbc), cutoffs)
    i, j, vector = neighbor_list("ijD", Atoms("SiO2", positions, cell=SKEWED, pbc=pbc), 6.0)
    mine = sorted((a, b, *np.round(v, 6)) for a, b, v in zip(edges.i, edges.j, edges.vector, strict=True))
    theirs = sorted((a, b, *np.round(v, 6)) for a, b, v in zip(i, j, vector, strict=True))
    assert len(mine) == len(theirs) > 20
    assert np.allclose(mine, theirs, atol=2e-6)


def test_rows_are_invariant(shared: Path) -> None:
    """Every row of B of a B-basis file is invariant under rotation and reflection (ranks up to 6)."""
    potential = read_pace(shared / "zoo" / "C-rank6-s1" / "C-rank6-s1.yaml")
    rng = np.random.Generator(np.random.Philox(11))
    positions = rng.uniform(-2.0, 2.0, size=(7, 3))
    turn = -Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()
    species, nothing = np.zeros(7, dtype=int), np.zeros(3, dtype=bool)
    one, two = (interpret(potential, species, p, np.zeros((3, 3)), nothing) for p in (positions, positions @ turn.T))
    assert np.abs(one.basis - two.basis).max() <= 1e-12 * np.abs(one.basis).max()
    assert np.abs(one.basis).max(axis=0).min() > 0.0
    assert np.allclose(one.forces @ turn.T, two.forces, rtol=0, atol=1e-12 * np.abs(one.forces).max())


def test_isolated_atom_and_bad_arrays() -> None:
    """Alone an atom has E0; wrong shapes and species name the argument."""
    potential = synthetic("zbl", "spherical", "FinnisSinclair")
    nothing, cell = np.zeros(3, dtype=bool), np.zeros((3, 3))
    out = interpret(potential, np.array([1]), np.zeros((1, 3)), cell, nothing)
    assert out.energy == -1.5 and not out.forces.any()
    with pytest.raises(InputError, match=r"species: expected indices from 0 to 1, found 2"):
        interpret(potential, np.array([2]), np.zeros((1, 3)), cell, nothing)
    with pytest.raises(InputError, match=r"positions: expected shape \[1, 3\], found \[2, 3\]"):
        interpret(potential, np.array([0]), np.zeros((2, 3)), cell, nothing)
    with pytest.raises(InputError, match=r"cell: expected independent vectors"):
        interpret(potential, np.array([0]), np.zeros((1, 3)), cell, ~nothing)


def by_sympy(section: Section, constants: tuple[Constant, ...], r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of a symbolic section and their derivatives, [n, n_outputs] each."""
    slopes = differentiate(section, sympy.Symbol("r"))
    found = evaluate(slopes, {"r": r} | {constant.symbol.name: constant.value for constant in constants})
    columns = [np.broadcast_to(found[symbol.name], r.shape) for symbol in slopes.outputs]
    n = len(section.outputs)
    return np.stack(columns[:n], axis=1), np.stack(columns[n:], axis=1)


def assert_close(mine: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> None:
    for a, b in zip(mine, other, strict=True):
        assert np.abs(a - b).max() <= 2e-13 * max(np.abs(b).max(), 1e-300)


@pytest.mark.parametrize(
    "name", ["NiTi-zbl-s1/NiTi-zbl-s1", "SiGe-medium-s1/SiGe-medium-s1", "AlNi-mixed-s1/AlNi-mixed-s1"]
)
@pytest.mark.parametrize("share", [0.25, 0.6, 0.9999])
def test_bonds_agree_with_symbolic(shared: Path, name: str, share: float) -> None:
    """Radial primitives and core repulsions: NumPy formulas against differentiated SymPy sections."""
    potential = read_pace(shared / "zoo" / f"{name}.yace")
    for bond in (bond for row in potential.bonds for bond in row):
        r = np.linspace(share * bond.cutoff - 0.3, share * bond.cutoff, 40)
        code = radial_code(bond.families[0])
        assert_close(family_values(bond.families[0], r), by_sympy(code.section, code.constants, r))
        if bond.core is not None:
            code, (value, slope) = core_code(bond.core), core_energy(bond.core, r)
            assert_close((value[:, None], slope[:, None]), by_sympy(code.section, code.constants, r))


@pytest.mark.parametrize(
    "quirk", ["acejl_pair", "cheb_linear", "core_underflow", "density_with_rin", "long_dcut", "zbl_wide"]
)
def test_quirk_bonds_agree_with_symbolic(shared: Path, quirk: str) -> None:
    """The same for the unusual bases and windows."""
    bond = read_pace(shared / "zoo" / "quirks" / f"{quirk}.yace").bonds[0][0]
    r = np.linspace(0.9, 0.9999 * bond.cutoff, 200)
    code = radial_code(bond.families[0])
    assert_close(family_values(bond.families[0], r), by_sympy(code.section, code.constants, r))
    if bond.core is not None:
        code, (value, slope) = core_code(bond.core), core_energy(bond.core, r)
        assert_close((value[:, None], slope[:, None]), by_sympy(code.section, code.constants, r))


@pytest.mark.parametrize("kind", ["legendre", "jacobi", "chebyshev"])
@pytest.mark.parametrize(("envelope", "power"), [("poly2sx", 0), ("poly1sr", 1), ("ace1_poly1sr", 2), ("none", 0)])
def test_agnesi_agrees_with_symbolic(kind: str, envelope: str, power: int) -> None:
    """Every polynomial with every envelope, inside and outside the inner radius."""
    family = agnesi(5.5, polynomial=kind, envelope=envelope, power=power, rin=0.6)
    r = np.linspace(0.7, 5.499, 200)
    code = radial_code(family)
    assert_close(family_values(family, r), by_sympy(code.section, code.constants, r))
    inside = np.array([0.3])
    assert_close(family_values(family, inside), by_sympy(code.section, code.constants, inside))


@pytest.mark.parametrize(
    ("p", "q", "x"),
    [
        (2, 2, -0.2143801652892563),
        (2, 4, -0.2807380309480986),
        (1, 4, -0.3440936679188585),
        (1, 3, -0.2954785875281744),
    ],
)
def test_transform_check_values(p: int, q: int, x: float) -> None:
    """x(2.4) of the published table (ace_model S2), read off as the Chebyshev polynomial T_1."""
    family = agnesi(5.5, p=p, q=q, polynomial="chebyshev", envelope="none")
    assert family_values(family, np.array([2.4]))[0][0, 1] == pytest.approx(x, rel=1e-14)


@pytest.mark.parametrize(("size", "error"), [(6, 4e-5), (8, 2.4e-4), (12, 4e-3), (16, 3e-2)])
def test_spline_error(size: int, error: float) -> None:
    """The 100-node natural spline misses the Jacobi polynomials by the published amounts (ace_model S5)."""
    exact, spline = agnesi(5.5), agnesi(5.5, spline_nodes=100)
    r = np.linspace(0.01, 5.49, 4000)
    pair = [family_values(RadialFamily("agnesi", size, f.options, f.parameters), r)[0] for f in (exact, spline)]
    assert 0.5 * error < np.abs(pair[0] - pair[1]).max() < 2.0 * error
