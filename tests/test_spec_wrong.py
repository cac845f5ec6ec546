"""Wrong keys, values and files of a specification are refused with file, key, what was found and what is expected."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acegen.errors import SpecError
from acegen.spec.model import BasisSpec
from acegen.spec.read import read_spec

BASE = "elements: [Si, Ge]\norder: 2\ndegree: 4\ncutoff: 5.0\n"


def read(folder: Path, text: str, name: str = "model.yaml") -> BasisSpec:
    path = folder / name
    path.write_text(text)
    return read_spec(path)


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
    (
        "radial: {envelope: {p2: 0}}\n",
        "radial.envelope.p2: expected a whole number 1..16 (0: energies jump at x2)",
    ),
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
    ("l_weight: " + 400 * "9" + "\n", "l_weight: expected a number >= 0.1"),
    ("reference_energies: {Si: " + 400 * "9" + "}\n", "reference_energies.Si: expected an energy in eV"),
    ("7: 3\n", "model.yaml: top level: expected text keys, got 7"),
]


@pytest.mark.parametrize(("line", "message"), WRONG, ids=[line.strip()[:80] for line, _ in WRONG])
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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("radial: {envelope: {p2: 1}}\n", "radial.envelope: with p2: 1 forces jump where an atom crosses the cutoff"),
        ("pair: {envelope: none}\n", "pair.envelope: with kind: none energies and forces jump where an atom crosses"),
    ],
)
def test_jumps_at_the_cutoff_are_told(tmp_path: Path, line: str, message: str) -> None:
    """Legal, but molecular dynamics will not conserve energy: a warning that names file and key."""
    with pytest.warns(UserWarning, match=re.escape(f"model.yaml: {message}")):
        read(tmp_path, BASE + line)
