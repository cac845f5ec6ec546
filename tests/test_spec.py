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


WRONG = [
    ("degre: 3\n", "model.yaml: degre: unknown key; did you mean 'degree'?"),
    ("radial: {transfrom: {p: 2}}\n", "model.yaml: radial.transfrom: unknown key; did you mean 'transform'?"),
    ("radial: {transform: {r1: 2}}\n", "model.yaml: radial.transform.r1: unknown key; did you mean"),
    ("name: 3x\n", "model.yaml: name: expected a name of letters, digits and _ that starts with a letter, got '3x'"),
    ("preset: ace2\n", "model.yaml: preset: expected one of ace1, ace_jax, got 'ace2'; did you mean"),
    ("l_weight: 0\n", "model.yaml: l_weight: expected a number >= 0.1, got 0"),
    ("l_weight: 3 A\n", "model.yaml: l_weight: expected a number >= 0.1, got '3 A'"),
    ("l_weight: .nan\n", "model.yaml: l_weight: expected a number >= 0.1, got nan"),
    ("level_tolerance: -1\n", "model.yaml: level_tolerance: expected a number in 0..1, got -1"),
    ("level_tolerance: 2\n", "model.yaml: level_tolerance: expected a number in 0..1, got 2"),
    ("n_max: [3, 2]\n", "model.yaml: degree: expected either degree or n_max and l_max, got both"),
    ("row_order: dfs\n", "model.yaml: row_order: expected one of by_order, lexicographic, got 'dfs'"),
    ("angular: cubic\n", "model.yaml: angular: expected one of spherical, solid, got 'cubic'"),
    ("precision: double\n", "model.yaml: precision: expected one of float64, float32, got 'double'"),
    ("weights_replaceable: 1\n", "model.yaml: weights_replaceable: expected true or false, got 1"),
    ("radial: 5\n", "model.yaml: radial: expected a mapping of keys, got 5"),
    ("radial: {transform: {p: 3, q: 2}}\n", "model.yaml: radial.transform.q: expected q >= p"),
    ("radial: {transform: {p: 2.5}}\n", "model.yaml: radial.transform.p: expected a whole number 1..16, got 2.5"),
    ("radial: {transform: {kind: morse}}\n", "model.yaml: radial.transform.kind: expected one of agnesi, got 'morse'"),
    ("radial: {transform: {r_in: 3}}\n", "expected r_in < r0 < cutoff (angstrom), got r_in = 3, r0 = 2.4, cutoff = 5"),
    ("radial: {transform: {r0: 6}}\n", "radial.transform of Si->Si: expected r_in < r0 < cutoff (angstrom)"),
    ("radial: {polynomials: hermite}\n", "radial.polynomials.kind: expected one of legendre, jacobi, chebyshev"),
    ("radial: {polynomials: {kind: jacobi, alpha: -1}}\n", "radial.polynomials.alpha: expected a number > -1, got -1"),
    ("radial: {polynomials: {alpha: 1}}\n", "radial.polynomials.alpha: unknown key"),
    ("radial: {envelope: {p1: -1}}\n", "radial.envelope.p1: expected a whole number 0..16, got -1"),
    ("radial: {envelope: {x1: 1, x2: 0}}\n", "radial.envelope.x1: expected a number below x2 = 0"),
    ("radial: {envelope: {x2: 1.5}}\n", "radial.envelope.x2: expected a number in -1..1, got 1.5"),
    ("radial: {envelope: {kind: poly1sr, power: 0}}\n", "radial.envelope.power: expected a whole number 1..16, got 0"),
    ("radial: {evaluation: {kind: spline, nodes: 50}}\n", "radial.evaluation.nodes: expected 100"),
    ("radial: {evaluation: {kind: tabulated, tolerance: 0}}\n", "evaluation.tolerance: expected a number >= 1e-14"),
    ("radial: {weights: {kind: glorot, seed: -1}}\n", "radial.weights.seed: expected a whole number >= 0, got -1"),
    ("radial: {weights: {kind: file, file: w.txt}}\n", "radial.weights.file: expected the name of an .npz file"),
    (
        "radial: {weights: {kind: file, file: w.npz}}\n",
        "expected the name of an .npz file next to the spec, which exists",
    ),
    (
        "radial: {weights: {kind: file}}\n",
        "radial.weights.file: expected the name of an .npz file next to the spec, but",
    ),
    ("radial: {n_polynomials: 5}\n", "radial.n_polynomials: expected no such key with one-hot weights"),
    (
        "radial: {n_polynomials: 0, weights: glorot}\n",
        "radial.n_polynomials: expected a whole number in 1..1000, got 0",
    ),
    ("pair: {degree: 3, n_functions: 4}\n", "pair.n_functions: expected either degree or n_functions, not both, got 4"),
    ("pair: {degree: 0}\n", "pair.degree: expected a whole number in 1..1000, got 0"),
    ("pair: {degrees: 3}\n", "pair.degrees: unknown key; did you mean 'degree'?"),
    ("bonds: {Si-Gw: {cutoff: 3}}\n", "bonds.Si-Gw: expected elements of this spec, got 'Gw'; did you mean 'Ge'?"),
    ("bonds: {Si: {cutoff: 3}}\n", "bonds.Si: expected a pair such as Si-Ge or Si->Ge as key"),
    ("bonds: {Si-Ge: {cutoff: -5.5}}\n", "bonds.Si-Ge.cutoff: expected a length in angstrom > 0, got -5.5"),
    ("bonds: {Si-Ge: {cutof: 5.5}}\n", "bonds.Si-Ge.cutof: unknown key; did you mean 'cutoff'?"),
    ("bonds: {Si-Ge: {r0: 0}}\n", "bonds.Si-Ge.r0: expected a length in angstrom > 0, got 0"),
    ("bonds: {Si-Ge: {cutoff: 2}}\n", "expected r_in < r0 < cutoff (angstrom), got r_in = 0, r0 = 2.45, cutoff = 2"),
    ("reference_energies: {Sn: 3}\n", "reference_energies.Sn: unknown key; did you mean 'Si'?"),
    ("reference_energies: {Si: low}\n", "reference_energies.Si: expected an energy in eV, got 'low'"),
    (
        "embedding: sqrt\n",
        "embedding.kind: expected one of linear, FinnisSinclair, FinnisSinclairShiftedScaled, got 'sqrt'",
    ),
    (
        "embedding: FinnisSinclair\n",
        "embedding.scales: expected a list of numbers, one per density, but the key is missing",
    ),
    (
        "embedding: {kind: FinnisSinclair, scales: [1, 1], exponents: [1]}\n",
        "embedding.exponents: expected a list of 2",
    ),
    (
        "embedding: {kind: FinnisSinclair, scales: [1], exponents: [0]}\n",
        "embedding.exponents: expected a list of numbers > 0",
    ),
    ("weights: {kind: random, scale: 0}\n", "weights.scale: expected a number > 0, got 0"),
    ("weights: rando\n", "weights.kind: expected one of zero, random, file, got 'rando'; did you mean 'random'?"),
    (
        "weights: {kind: file, file: no.npz}\n",
        "weights.file: expected the name of an .npz file next to the spec, which exists",
    ),
    ("7: 3\n", "model.yaml: top level: expected text keys, got 7"),
]


@pytest.mark.parametrize(("line", "message"), WRONG, ids=[line.strip() for line, _ in WRONG])
def test_wrong_key_or_value(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, BASE + line)
    text = str(caught.value)
    assert message in text and text.startswith("model.yaml: ") and "\n" not in text


REPLACED = [
    ("elements: [Si, Ge]", "elements: [Si, Xx]", "elements: expected chemical symbols, got 'Xx'"),
    ("elements: [Si, Ge]", "elements: [Si, si]", "elements: expected chemical symbols, got 'si'; did you mean 'Si'?"),
    ("elements: [Si, Ge]", "elements: [Si, Si]", "elements: expected each symbol once, got 'Si' 2 times"),
    ("elements: [Si, Ge]", "elements: Si", "elements: expected a list of chemical symbols such as [Si, Ge], got 'Si'"),
    (
        "elements: [Si, Ge]",
        "",
        "elements: expected a list of chemical symbols such as [Si, Ge], but the key is missing",
    ),
    ("elements: [Si, Ge]", "elements: [Og]", "radial.transform.r0: expected a length in angstrom, because Og-Og"),
    ("order: 2", "order: 7", "order: expected a correlation order, whole number 1..6, got 7"),
    ("order: 2", "order: two", "order: expected a correlation order, whole number 1..6, got 'two'"),
    ("order: 2", "", "order: expected a correlation order, whole number 1..6, but the key is missing"),
    ("degree: 4", "", "degree: expected a number 1..64, or a list of 2 such numbers (one per order), but the key"),
    (
        "degree: 4",
        "degree: [4]",
        "degree: expected a number 1..64, or a list of 2 such numbers (one per order), got [4]",
    ),
    ("degree: 4", "degree: [4, x]", "degree: expected a number 1..64"),
    ("degree: 4", "degree: 0.5", "degree: expected a number 1..64"),
    (
        "degree: 4",
        "n_max: [3, 2]",
        "l_max: expected a list of 2 whole numbers 0..64 (one per order), but the key is missing",
    ),
    (
        "degree: 4",
        "n_max: [3, 0]\nl_max: [0, 1]",
        "n_max: expected a list of 2 whole numbers 1..64 (one per order), got [3, 0]",
    ),
    ("degree: 4", "n_max: 3\nl_max: [0, 1]", "n_max: expected a list of 2 whole numbers 1..64 (one per order), got 3"),
    ("cutoff: 5.0", "", "cutoff: expected a length in angstrom > 0, but the key is missing"),
    ("cutoff: 5.0", "cutoff: 0", "cutoff: expected a length in angstrom > 0, got 0"),
    ("cutoff: 5.0", "cutoff: 5 nm", "cutoff: expected a length in angstrom > 0, got '5 nm'"),
    ("cutoff: 5.0", "cutoff: 5\ncutoff: 6", "line 5 not valid YAML: key 'cutoff' stands twice"),
    ("cutoff: 5.0", "cutoff: [5", "line 5 not valid YAML: "),
]


@pytest.mark.parametrize(("old", "new", "message"), REPLACED, ids=[new or "no " + old for old, new, _ in REPLACED])
def test_wrong_required_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, BASE.replace(old, new))
    assert message in str(caught.value) and str(caught.value).startswith("model.yaml:")


def test_unusable_files(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"absent\.yaml: cannot be read: No such file"):
        read_spec(tmp_path / "absent.yaml")
    with pytest.raises(SpecError, match=r"model\.yaml: top level: expected a mapping of keys, got None"):
        read(tmp_path, "# nothing\n")
    with pytest.raises(SpecError, match=r"2x\.yaml: name: expected a name .* the file stem is '2x'"):
        read(tmp_path, BASE, "2x.yaml")
    (tmp_path / "model.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match=r"model\.yaml: cannot be read: it is not UTF-8 text"):
        read_spec(tmp_path / "model.yaml")


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
