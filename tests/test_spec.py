"""spec.yaml: every key is read, every rule has one sentence naming file, key, found and expected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acegen.basis.coupled import enumerate_potential
from acegen.errors import SpecError
from acegen.spec.model import BasisSpec, Envelope, Evaluation, Polynomials, Transform
from acegen.spec.read import read_spec

BASE = "elements: [Si, Ge]\norder: 2\ndegree: 4\ncutoff: 5.0\n"


def read(folder: Path, text: str, name: str = "model.yaml") -> BasisSpec:
    path = folder / name
    path.write_text(text)
    return read_spec(path)


def test_defaults(tmp_path: Path) -> None:
    spec = read(tmp_path, BASE)
    assert (spec.name, spec.source, spec.precision) == ("model", "model.yaml", "float64")
    assert spec.degree == (4.0, 4.0) and spec.l_weight == 1.5 and spec.level_tolerance == 1e-9
    assert spec.angular == "spherical" and spec.pair is None and spec.row_order == "by_order"
    assert spec.bonds[0][1].transform == Transform(2, 4, 0.0, 2.45)  # mean of 2.4 (Si) and 2.5 (Ge)
    assert spec.bonds[0][0].envelope == Envelope("poly2sx")
    assert spec.reference_energies == (0.0, 0.0) and spec.weights.kind == "zero"
    assert spec.embedding.kind == "linear" and not spec.weights_replaceable


def test_preset_ace1(tmp_path: Path) -> None:
    spec = read(tmp_path, "preset: ace1\nelements: [Si, Ge]\norder: 3\ndegree: 6\n")
    assert {bond.cutoff for row in spec.bonds for bond in row} == {2.5 * 2.5}
    assert spec.radial.polynomials == Polynomials("jacobi", 4.0, 4.0)
    assert spec.radial.evaluation == Evaluation("spline", nodes=100)
    assert spec.pair is not None and spec.pair.n_functions == 12
    assert spec.bonds[1][1].pair_transform == Transform(1, 3, 0.0, 2.5)
    assert spec.bonds[1][1].pair_envelope == Envelope("ace1_poly1sr", power=2)
    assert spec.level_tolerance == 0.0 and spec.angular == "spherical"


def test_preset_ace_jax_and_own_keys_win(tmp_path: Path) -> None:
    text = "preset: ace_jax\nelements: [Si, Ge]\norder: 3\ndegree: 6\nangular: spherical\nradial: {transform: {q: 3}}\n"
    spec = read(tmp_path, text)
    assert spec.bonds[0][0].cutoff == 5.5 and spec.row_order == "lexicographic" and spec.angular == "spherical"
    assert spec.bonds[0][0].transform == Transform(2, 3, 0.0, 2.4)
    assert spec.pair is not None and spec.pair.n_functions == 6
    assert read(tmp_path, "preset: ace_jax\nelements: [Si]\norder: 1\ndegree: 2\npair: none\n").pair is None


def test_bond_overrides(tmp_path: Path) -> None:
    """An unordered pair sets both directions, an ordered one wins for its direction."""
    spec = read(
        tmp_path,
        BASE
        + "bonds:\n  Si->Ge: {cutoff: 4.5, radial: {envelope: {p1: 3}}}\n  Ge-Si: {cutoff: 4.0, r0: 2.3, r_in: 0.5}\n",
    )
    there, back, own = spec.bonds[0][1], spec.bonds[1][0], spec.bonds[0][0]
    assert (there.cutoff, back.cutoff, own.cutoff) == (4.5, 4.0, 5.0)
    assert there.transform == back.transform == Transform(2, 4, 0.5, 2.3)
    assert there.pair_transform == Transform(1, 4, 0.5, 2.3)
    assert (there.envelope.p1, back.envelope.p1) == (3, 2)


def test_every_section_is_read(tmp_path: Path) -> None:
    spec = read(
        tmp_path,
        """name: alloy
elements: [Ni, Ti]
order: 3
degree: [8, 6, 5.5]
l_weight: 2
level_tolerance: 0
cutoff: 6
angular: solid
row_order: lexicographic
radial:
  transform: {kind: agnesi, p: 1, q: 3, r_in: 0.4, r0: 2.6}
  polynomials: {kind: jacobi, alpha: 2, beta: 3.5}
  envelope: {kind: poly2sx, p1: 1, p2: 3, x1: -0.9, x2: 0.95}
  evaluation: {kind: tabulated, tolerance: 1e-9}
  weights: {kind: glorot, seed: 4}
  n_polynomials: 7
pair: {n_functions: 5, envelope: {kind: ace1_poly1sr}, evaluation: spline, polynomials: chebyshev, transform: {p: 2}}
reference_energies: {Ti: -1.5e0}
embedding: {kind: FinnisSinclair, scales: [1, 2], exponents: [1, 0.5]}
weights: {kind: random, seed: 9, scale: 0.5}
weights_replaceable: true
precision: float32
""",
    )
    assert spec.name == "alloy" and spec.degree == (8.0, 6.0, 5.5) and spec.l_weight == 2.0
    assert spec.radial.polynomials == Polynomials("jacobi", 2.0, 3.5)
    assert spec.radial.evaluation == Evaluation("tabulated", tolerance=1e-9)
    assert (spec.radial.weights.kind, spec.radial.weights.seed, spec.radial.n_polynomials) == ("glorot", 4, 7)
    assert spec.bonds[0][0].envelope == Envelope("poly2sx", 1, 3, -0.9, 0.95)
    assert spec.pair is not None and spec.pair.n_functions == 5 and spec.pair.polynomials.kind == "chebyshev"
    assert spec.bonds[0][0].pair_envelope == Envelope("ace1_poly1sr", power=2)
    assert spec.bonds[0][0].pair_transform.p == 2 and spec.reference_energies == (0.0, -1.5)
    assert spec.embedding.exponents == (1.0, 0.5) and spec.weights.scale == 0.5
    assert spec.weights_replaceable and spec.precision == "float32"


def test_nobelium_is_an_element(tmp_path: Path) -> None:
    text = "elements: [No]\norder: 1\ndegree: 3\ncutoff: 6\nradial: {transform: {r0: 3}}\n"
    assert read(tmp_path, text).elements == ("No",)


def test_digest_is_the_mathematics(tmp_path: Path) -> None:
    """Comments, key order, spelled-out defaults, precision and file name do not change the digest; numbers do."""
    spec = read(tmp_path, BASE + "name: a\n")
    same = "# note\nname: a\nprecision: float32\ncutoff: 5\ndegree: [4, 4.0]\norder: 2\nelements: [Si, Ge]\n"
    assert read(tmp_path, same, "other.yaml").digest == spec.digest
    assert read(tmp_path, BASE + "name: a\nradial: {transform: {q: 5}}\n").digest != spec.digest
    assert read(tmp_path, BASE + "name: a\nreference_energies: {Si: 1}\n").digest != spec.digest


def test_weights_from_file(tmp_path: Path) -> None:
    """weights_<species> or one flat parameter vector [B 0 | B 1 | pair 0 | pair 1]; wrong shapes are refused."""
    text = BASE + "pair: {degree: 2}\nweights: {kind: file, file: w.npz}\n"
    plain = enumerate_potential(read(tmp_path, BASE + "pair: {degree: 2}\n"))
    n = len(plain.centres[0].functions)
    flat = np.arange(2.0 * n)
    np.savez(tmp_path / "w.npz", parameters=flat)
    centres = enumerate_potential(read(tmp_path, text)).centres
    assert centres[1].weights[:, 0].tolist() == [*flat[n - 4 : 2 * n - 8], *flat[2 * n - 4 :]]
    first = read(tmp_path, text).digest
    np.savez(tmp_path / "w.npz", **{f"weights_{a}": centres[a].weights for a in range(2)})
    again = enumerate_potential(read(tmp_path, text)).centres
    assert all((x.weights == y.weights).all() for x, y in zip(centres, again, strict=True))
    assert read(tmp_path, text).digest != first
    np.savez(tmp_path / "w.npz", weights_0=flat[:3], weights_1=flat[:3])
    with pytest.raises(SpecError, match=rf"w\.npz: weights_0: expected shape \[{n}, 1\], got \[3, 1\]"):
        enumerate_potential(read(tmp_path, text))
    np.savez(tmp_path / "w.npz", other=flat)
    with pytest.raises(SpecError, match=r"w\.npz: expected an array 'weights_0', got other"):
        enumerate_potential(read(tmp_path, text))
    np.savez(tmp_path / "w.npz", parameters=flat * np.nan)
    with pytest.raises(SpecError, match=r"array 'parameters': expected finite real numbers"):
        enumerate_potential(read(tmp_path, text))
    (tmp_path / "w.npz").write_text("not an archive")
    with pytest.raises(SpecError, match=r"w\.npz: expected a NumPy \.npz file of numbers"):
        enumerate_potential(read(tmp_path, text))


def test_radial_weights_from_file(tmp_path: Path) -> None:
    """A one-hot matrix given as a file is the one-hot basis: same sizes, coefficients per bond concatenated."""
    text = BASE + "radial: {weights: {kind: file, file: r.npz}, n_polynomials: 4}\n"
    n_channels = 8 + 5  # level n/2 + 1.5 l <= 4: n <= 8 for l = 0, n <= 5 for l = 1, n <= 2 for l = 2
    matrix = np.random.Generator(np.random.Philox(1)).standard_normal((2, 2, n_channels + 2, 4))
    np.savez(tmp_path / "r.npz", W=matrix)
    centre = enumerate_potential(read(tmp_path, text)).centres[1]
    channel = centre.channels[0]
    assert (channel.neighbour, channel.n, channel.l) == (-1, 1, 0)
    assert channel.coefficients == tuple(matrix[1, :, 0].ravel())
    np.savez(tmp_path / "r.npz", W=matrix[:, :1])
    with pytest.raises(SpecError, match=r"array 'W': expected shape \[2, 2, 15, 4\]"):
        enumerate_potential(read(tmp_path, text))


def test_random_weights_are_reproducible(tmp_path: Path) -> None:
    text = BASE + "weights: {kind: random, seed: 5}\n"
    a, b = (enumerate_potential(read(tmp_path, text)).centres for _ in range(2))
    assert (a[0].weights == b[0].weights).all() and not (a[0].weights == a[1].weights).all()
    other = enumerate_potential(read(tmp_path, text.replace("5}", "6}"))).centres
    assert not (a[0].weights == other[0].weights).any()
    double = enumerate_potential(read(tmp_path, text.replace("5}", "5, scale: 2}"))).centres
    assert (double[0].weights == 2 * a[0].weights).all()


def test_potential_of_a_spec(tmp_path: Path) -> None:
    """Families, options in their fixed order, truncation of the polynomials, pair rows and order-1 rows."""
    text = BASE + "pair: {degree: 3}\nreference_energies: {Ge: -2}\nbonds: {Si-Ge: {cutoff: 4.5}}\n"
    potential = enumerate_potential(read(tmp_path, text))
    bond = potential.bonds[0][1]
    assert (bond.cutoff, potential.largest_cutoff, potential.linear) == (4.5, 5.0, True)
    assert [family.size for family in bond.families] == [4, 3]
    names = ["p", "q", "polynomial", "alpha", "beta", "envelope", "p1", "p2", "power", "spline_nodes", "inner"]
    assert all([key for key, _ in family.options] == names for family in bond.families)
    assert [key for key, _ in bond.families[0].parameters] == ["rin", "r0", "rcut", "x1", "x2"]
    centre = potential.centres[1]
    assert centre.e0 == -2.0
    pair = [function for function in centre.functions if function.pair]
    assert len(pair) == 6 and all(f.pair for f in centre.functions[-6:])
    channel = centre.channels[pair[3].channels[0]]  # function n = 4 of two species: neighbour Ge, second polynomial
    assert (channel.neighbour, channel.n, channel.l) == (1, 2, 0)
    assert channel.coefficients == (0.0,) * 5 + (np.sqrt(4 * np.pi),) + (0.0,)
    first = centre.functions[0]
    assert first.label == "(Si 1 0)" and centre.channels[first.channels[0]].coefficients == (1.0,) + (0.0,) * 6


@pytest.mark.parametrize("name", ["si_pair", "si", "cuau"])
def test_example_specs(name: str) -> None:
    """The committed examples are valid and small enough to read."""
    spec = read_spec(Path(__file__).resolve().parents[1] / "examples" / "specs" / f"{name}.yaml")
    potential = enumerate_potential(spec)
    assert potential.name == name and len(potential.centres[0].functions) <= 400
    assert spec.precision == ("float32" if name == "cuau" else "float64")
