"""Reading .yace files: every entry in its place, every mistake told with file, key, found and expected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acegen.errors import PotentialError
from acegen.pace.read import read_pace

YACE = """\
elements: [Ge, Si]
E0: [-1, 5e-1]
deltaSplineBins: 0.001
embeddings:
  0: {ndensity: 1, FS_parameters: [1, 1], npoti: FinnisSinclair, rho_core_cutoff: 100000, drho_core_cutoff: 250}
  1: {ndensity: 2, FS_parameters: [1, 1, 1, 0.5], npoti: FinnisSinclairShiftedScaled, rho_core_cutoff: 1e5, drho_core_cutoff: 250}
bonds:
  [0, 0]: {nradmax: 1, lmax: 1, nradbasemax: 2, radbasename: SBessel, radparameters: [5], radcoefficients: [[[1, 0], [0, 1]]], prehc: 0, lambdahc: 1, rcut: 4, dcut: 0.01}
  [0, 1]: {nradmax: 1, lmax: 1, nradbasemax: 2, radbasename: SBessel, radparameters: [5], radcoefficients: [[[1, 0], [0, 1]]], prehc: 0, lambdahc: 1, rcut: 5, dcut: 0.01}
  [1, 0]: {nradmax: 1, lmax: 1, nradbasemax: 2, radbasename: SBessel, radparameters: [5], radcoefficients: [[[1, 0], [0, 1]]], prehc: 0, lambdahc: 1, rcut: 5, dcut: 0.01}
  [1, 1]: {nradmax: 1, lmax: 1, nradbasemax: 2, radbasename: ChebPow, radparameters: [2], radcoefficients: [[[1, 0], [0, 1]]], prehc: 0, lambdahc: 1, rcut: 6, dcut: 0.01}
functions:
  0:
    - {mu0: 0, rank: 1, ndensity: 1, num_ms_combs: 1, mus: [1], ns: [2], ls: [0], ms_combs: [0], ctildes: [1e-3]}
    - {mu0: 0, rank: 2, ndensity: 1, num_ms_combs: 2, mus: [0, 1], ns: [1, 1], ls: [1, 1], ms_combs: [0, 0, 1, -1], ctildes: [-1.5, 3]}
  1:
    - {mu0: 1, rank: 2, ndensity: 2, num_ms_combs: 2, mus: [0, 1], ns: [1, 1], ls: [1, 1], ms_combs: [0, 0, 1, -1], ctildes: [-1.5, .5, 3, -1.]}
    - {mu0: 1, rank: 2, ndensity: 2, num_ms_combs: 2, mus: [1, 1], ns: [1, 1], ls: [1, 1], ms_combs: [0, 0, 1, -1], ctildes: [-1.5, 0.5, 3, 7]}
"""  # noqa: E501


BAD_YACE = [
    ("elements: [Ge, Si]", "elements: [Wx, Si]", r"elements: expected chemical symbols, found 'Wx'"),
    ("elements: [Ge, Si]", "elements: [Si, Si]", r"elements: expected different elements, found 'Si' twice"),
    ("elements: [Ge, Si]", "elements: [Ge, {}]", r"elements: expected element symbols, found \{\}"),
    ("elements:", "element:", r"elements: required key is missing \(nearest found: 'element'\)"),
    ("E0: [-1, 5e-1]", "E0: [-1]", r"E0: expected 2 entries, found 1"),
    ("E0: [-1, 5e-1]", "E0: [-1, .nan]", r"E0\[1\]: expected a finite number, found nan"),
    ("FS_parameters: [1, 1, 1, 0.5]", "FS_parameters: [1, 1, 1]", r"embeddings.1.FS_parameters: expected 4 entries"),
    ("npoti: FinnisSinclair,", "npoti: Johnson,", r"embeddings.0.npoti: expected .* found 'Johnson'"),
    ("drho_core_cutoff: 250}\n  1", "drho_core_cutof: 250}\n  1", r"drho_core_cutoff: required .*'drho_core_cutof'"),
    ("1, 1, 0.5]", "1, 1, -2]", r"embeddings.1: expected exponents m > 0, found -2.0"),
    ("  [0, 1]: {", "  [0, 2]: {", r"bonds: expected keys \[a, b\] with elements from 0 to 1, found \(0, 2\)"),
    ("  [0, 1]: {", "  01: {", r"bonds: expected keys \[a, b\]"),
    ("  [0, 1]: {", "  [0, 0]: {", r"line 9: not valid YAML: key \(0, 0\) appears twice"),
    ("radbasename: ChebPow", "radbasename: ChebyPow", r"bonds.\[1, 1\].radbasename: .*nearest: ChebPow.*'ChebyPow'"),
    ("rcut: 6,", "rcut: -6,", r"bonds.\[1, 1\].rcut: expected a number > 0, found -6"),
    ("rcut: 6,", "rcut: far,", r"bonds.\[1, 1\].rcut: expected a finite number, found 'far'"),
    ("rcut: 6, dcut: 0.01", "rcut: 6, dcut: -1", r"bonds.\[1, 1\].dcut: expected a number >= 0, found -1"),
    ("rcut: 4, dcut: 0.01", "rcut: 4, dcut: 0, inner_cutoff_type: zlb", r"inner_cutoff_type: .* found 'zlb'"),
    (
        "rcut: 4, dcut: 0.01",
        "rcut: 4, dcut: 0, inner_cutoff_type: zbl",
        r"inner_cutoff_type: expected the same mode on all bonds, found density at \[1, 1\], zbl at \[0, 0\]",
    ),
    (
        "nradmax: 1, lmax: 1, nradbasemax: 2, radbasename: Cheb",
        "nradmax: 1, lmax: 2, nradbasemax: 2, radbasename: Cheb",
        r"bonds.\[1, 1\].radcoefficients\[0\]: expected 3 entries, found 2",
    ),
    (
        "nradmax: 1, lmax: 1, nradbasemax: 2, radbasename: Cheb",
        "nradmax: x, lmax: 1, nradbasemax: 2, radbasename: Cheb",
        r"bonds.\[1, 1\].nradmax: expected an integer >= 0, found 'x'",
    ),
    (
        "nradmax: 1, lmax: 1, nradbasemax: 2, radbasename: Cheb",
        "nradmax: 1, lmax: 1, nradbasemax: 2000000000, radbasename: Cheb",
        r"bonds.\[1, 1\].radcoefficients\[0\]\[0\]: expected 2000000000 entries, found 2",
    ),
    ("E0: [-1, 5e-1]", "E0: !taken 99", r"line 2: not valid YAML: unknown tag '!taken'"),
    ("mu0: 0, rank: 1", "mu0: 1, rank: 1", r"functions.0\[0\].mu0: expected 0, .* found 1"),
    ("mus: [1], ns: [2]", "mus: [2], ns: [2]", r"functions.0\[0\].mus: expected integers from 0 to 1, found 2"),
    ("mus: [1], ns: [2]", "mus: [1], ns: [3]", r"functions.0\[0\].ns: expected integers from 1 to 2, found 3"),
    ("mus: [1], ns: [2]", "mus: [1], ns: [0]", r"functions.0\[0\].ns: expected integers from 1 to 2, found 0"),
    ("mus: [0, 1], ns: [1, 1], ls: [1, 1]", "mus: [0, 1], ns: [1, 2], ls: [1, 1]", r"ns: expected .* 1 to 1, found 2"),
    ("mus: [0, 1], ns: [1, 1], ls: [1, 1]", "mus: [0, 1], ns: [1, 1], ls: [1, 2]", r"ls: expected .* 0 to 1, found 2"),
    ("mus: [0, 1], ns: [1, 1], ls: [1, 1]", "mus: [0, 1, 1], ns: [1, 1], ls: [1, 1]", r"mus: expected 2 entries"),
    (
        "ms_combs: [0, 0, 1, -1], ctildes: [-1.5, 3]",
        "ms_combs: [0, 0, 1, 1], ctildes: [-1.5, 3]",
        r"sum to 0, found \[1, 1\]",
    ),
    (
        "ms_combs: [0, 0, 1, -1], ctildes: [-1.5, 3]",
        "ms_combs: [0, 0, 2, -2], ctildes: [-1.5, 3]",
        r"\|m\| <= l .*\[2, -2\]",
    ),
    (
        "ms_combs: [0, 0, 1, -1], ctildes: [-1.5, 3]",
        "ms_combs: [0, 0, 1], ctildes: [-1.5, 3]",
        r"ms_combs: expected 4 entries",
    ),
    ("ctildes: [-1.5, 3]", "ctildes: [-1.5, 3, 4]", r"functions.0\[1\].ctildes: expected 2 entries, found 3"),
    (
        "ctildes: [-1.5, 3]",
        "ctildes: [-1.5, 1e999]",
        r"functions.0\[1\].ctildes\[1\]: expected a finite number, found inf",
    ),
    ("rank: 1, ndensity: 1", "rank: 1, ndensity: 2", r"functions.0\[0\].ndensity: expected 1, .* found 2"),
    ("  1:\n    - {mu0: 1", "  7:\n    - {mu0: 1", r"functions: expected element numbers from 0 to 1 as keys, found 7"),
    ("elements: [Ge, Si]", "elements: [Ge, Si", r"model.yace: line \d+: not valid YAML"),
    (
        "radbasename: ChebPow",
        "radbasename: ACE.jl.base",
        r"lmax: required key is missing \(radbasename starts with ACE.jl\)",
    ),
]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("old", "new", "message"), BAD_YACE, ids=[str(i) for i in range(len(BAD_YACE))])
def test_malformed_yace(tmp_path: Path, old: str, new: str, message: str) -> None:
    """Each edit of a good file is refused with its own sentence, on one line, with the file's name first."""
    assert old in YACE
    path = write(tmp_path, "model.yace", YACE.replace(old, new, 1))
    with pytest.raises(PotentialError, match=message) as caught:
        read_pace(path)
    assert str(caught.value).startswith("model.yace: ")
    assert "\n" not in str(caught.value)


def test_good_yace(tmp_path: Path) -> None:
    """Conventions: sqrt(4 pi) per amplitude, rank-1 channels last, proportional densities share one row of B."""
    potential = read_pace(write(tmp_path, "my model-1.yace", YACE))
    assert potential.name == "my_model_1"
    assert potential.species == ("Ge", "Si")
    assert (potential.switching, potential.linear) == ("none", False)
    germanium, silicon = potential.centres
    assert (germanium.e0, silicon.e0) == (-1.0, 0.5)
    s = np.sqrt(4.0 * np.pi)
    assert [(c.neighbour, c.n, c.l, c.coefficients) for c in germanium.channels] == [
        (0, 1, 1, (0.0, s)),
        (1, 1, 1, (0.0, s)),
        (1, 2, 0, (0.0, s)),
    ]
    assert germanium.embedding.kind == "linear"
    assert [f.label for f in germanium.functions] == ["(Si 2 0)", "(Ge 1 1)(Si 1 1)"]
    assert silicon.embedding.kind == "FinnisSinclairShiftedScaled"
    # -1.5, 0.5 / 3, -1 are proportional; -1.5, 0.5 / 3, 7 are not.
    assert [f.coefficients.tolist() for f in silicon.functions] == [[-1.5, 3.0], [-1.5, 3.0], [0.5, 7.0]]
    assert np.allclose(silicon.weights, [[1.0, -1.0 / 3.0], [1.0, 0.0], [0.0, 1.0]], rtol=1e-15)


def test_element_without_functions(tmp_path: Path) -> None:
    """A missing list of functions is an empty one: the centre keeps E0."""
    potential = read_pace(write(tmp_path, "model.yace", YACE[: YACE.index("  1:\n    - {mu0: 1")]))
    assert potential.centres[1].functions == ()
    assert potential.centres[1].weights.shape == (0, 2)


def test_unknown_ending_and_missing_file(tmp_path: Path) -> None:
    """The file name decides the format; an absent file is a sentence, not a traceback."""
    with pytest.raises(PotentialError, match=r"model\.pt: expected a file ending in \.yace"):
        read_pace(tmp_path / "model.pt")
    with pytest.raises(PotentialError, match=r"absent\.yace: cannot be read"):
        read_pace(tmp_path / "absent.yace")
