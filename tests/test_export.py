"""A `.yace` file written from an input is that input: read again, energies, forces and virial are the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from zoo import zoo_file

import acegen
from acegen.basis.radial import pace_family
from acegen.cli.main import main
from acegen.errors import AcegenError, LoadError, PotentialError, SpecError
from acegen.inputs import read_input
from acegen.interpreter import interpret
from acegen.pace.loader import load_yaml
from acegen.potential import Potential
from acegen.spec.model import Primitives

SPECS = {
    # one element, one-hot: R_n = g_n; order-1 rows and pair rows are the same functions
    "bessel": "elements: [Cu]\norder: 3\ndegree: 8\ncutoff: 5.0\nradial: {kind: SBessel}\npair: {degree: 6}\n",
    # two elements, cutoffs of their own, taper
    "tapered": "elements: [Si, Ge]\norder: 3\ndegree: 5\ncutoff: 5.0\nbonds: {Si->Ge: {cutoff: 4.6}}\n"
    "radial: {kind: ChebExpCos, lambda: 4.5, taper: 0.3}\nreference_energies: {Si: -1.0, Ge: 2.5e-7}\n",
    # channels over all species, order 4
    "mixed": "elements: [Ni, Al]\norder: 4\ndegree: [5, 5, 5, 6]\ncutoff: 4.4\n"
    "radial: {kind: ChebPow, lambda: 2, weights: {kind: glorot, seed: 4}, n_polynomials: 4}\n",
    # tables in the kernel, formulas in the file; several densities
    "tabulated": "elements: [Mo]\norder: 3\ndegree: 6\ncutoff: 4.9\n"
    "radial: {kind: ChebPow, lambda: 2.5, evaluation: {kind: tabulated, tolerance: 1.0e-5}}\n"
    "embedding: {kind: FinnisSinclairShiftedScaled, scales: [1.0, 0.7], exponents: [1.0, 0.5]}\n",
}
WEIGHTS = "weights: {kind: random, seed: 3}\n"


def write(folder: Path, name: str, more: str = WEIGHTS) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(SPECS[name] + more)
    return path


def assert_same(found: Potential, expected: Potential) -> None:
    """The same energies, forces and virial of a disordered crystal and of a cluster."""
    random = np.random.default_rng(5)
    grid = np.stack(np.meshgrid(*[np.arange(2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    positions = 2.5 * grid + random.uniform(-0.4, 0.4, (8, 3))
    species = np.arange(8) % len(expected.species)
    for periodic in (True, False):
        a, b = (interpret(p, species, positions, 5.0 * np.eye(3), np.full(3, periodic)) for p in (found, expected))
        assert np.abs(a.energies - b.energies).max() < 1e-13 * np.abs(b.energies).sum()
        assert np.abs(a.forces - b.forces).max() < 1e-12 * np.abs(b.forces).max()
        assert np.abs(a.virial - b.virial).max() < 1e-12 * np.abs(b.virial).max()


@pytest.mark.parametrize("name", SPECS)
def test_specifications(tmp_path: Path, name: str) -> None:
    source = write(tmp_path, name)
    path = acegen.export(source, tmp_path / "out.yace")
    found, expected = read_input(path).potential, read_input(source).exact
    assert found.species == expected.species and found.linear == expected.linear
    assert [centre.e0 for centre in found.centres] == [centre.e0 for centre in expected.centres]
    assert_same(found, expected)


@pytest.mark.parametrize("name", ["NiTi-zbl-s1", "Cu-medium-s1", "AlNi-mixed-s1", "Mo-fs3-s1"])
def test_potentials(shared: Path, tmp_path: Path, name: str) -> None:
    """Core repulsion, switching, embeddings of every kind: a potential read and written is itself."""
    source = zoo_file(shared, name)
    acegen.export(source, tmp_path / "again.yace")
    assert_same(read_input(tmp_path / "again.yace").potential, read_input(source).potential)


def test_b_bases(shared: Path, tmp_path: Path) -> None:
    """A B-basis file becomes as many C-tilde functions as pacemaker makes of it (which adds E0)."""
    theirs = zoo_file(shared, "W-small-s1")
    source = theirs.with_suffix(".yaml")
    acegen.export(source, tmp_path / "made.yace")
    found = read_input(tmp_path / "made.yace").potential
    assert len(found.centres[0].functions) == len(read_input(theirs).potential.centres[0].functions)
    assert_same(found, read_input(source).potential)


def test_text_is_deterministic_and_plain_yaml(tmp_path: Path) -> None:
    """The same bytes each time; every number is one to a YAML 1.1 reader, and exactly the double that was meant."""
    source = write(tmp_path, "tapered")
    texts = [acegen.export(source, tmp_path / f"{k}.yace").read_text() for k in range(2)]
    assert texts[0] == texts[1] and texts[0].isascii() and max(map(ord, texts[0])) < 127
    assert "E0: [-1.0, 2.5e-07]" in texts[0]
    functions = re.findall(r"^    - (.*)$", texts[0], re.MULTILINE)
    content = load_yaml(tmp_path / "0.yace", texts[0])
    assert [yaml.safe_load(text) for text in functions] == content["functions"][0] + content["functions"][1]
    assert content["bonds"][0, 1]["rcut"] == 4.6 and content["bonds"][1, 0]["rcut"] == 5.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cutoff: 5.0\n", "x.yaml: radial.kind: expected a radial basis of PACE (ChebExpCos"),
        (
            "cutoff: 5.0\nradial: {kind: SBessel}\npair: {kind: agnesi}\n",
            "x.yaml: pair.kind: expected a radial basis of PACE",
        ),
        (
            "cutoff: 5.0\nradial: {kind: SBessel}\npair: {kind: ChebPow}\n",
            "x.yaml: pair.kind: expected the radial basis of the many-body functions",
        ),
        ("cutoff: 5.0\nradial: {kind: SBessel}\nangular: solid\n", "x.yaml: angular: expected spherical"),
    ],
)
def test_what_a_file_cannot_hold(tmp_path: Path, text: str, said: str) -> None:
    """The key that stands in the way is named, and nothing is written."""
    (tmp_path / "x.yaml").write_text("elements: [Si]\norder: 2\ndegree: 6\n" + text)
    with pytest.raises(PotentialError, match=re.escape(said)):
        acegen.export(tmp_path / "x.yaml", tmp_path / "x.yace")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.yaml"]


def test_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verb, its errors, and a file that is replaced whole."""
    source, out = write(tmp_path, "bessel"), tmp_path / "out.yace"
    out.write_text("old")
    assert main(["export", str(source), "-o", str(out)]) == 0
    assert capsys.readouterr().out.startswith(f"{out}: ")
    assert_same(read_input(out).potential, read_input(source).exact)
    for arguments, said in (
        ([str(source), "-o", str(tmp_path / "out.txt")], "expected a file name ending in .yace"),
        ([str(source), "-o", str(tmp_path / "no" / "out.yace")], "cannot be written"),
        ([str(tmp_path), "-o", str(out)], "is a folder"),
        ([str(tmp_path / "no.yaml"), "-o", str(out)], "found nothing"),
    ):
        assert main(["export", *arguments]) == 2
        assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bessel.yaml", "out.yace"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("radial: {kind: chebpow}", "radial.kind: expected one of agnesi, ChebExpCos, ChebPow, SBessel"),
        ("radial: {lambda: 2}", "radial.lambda: expected no such key without a kind of ChebExpCos"),
        ("radial: {kind: SBessel, lambda: 2}", "radial.lambda: expected no such key with kind SBessel"),
        ("radial: {kind: ChebPow, taper: 2}", "radial.taper: expected no such key without kind ChebExpCos"),
        ("radial: {kind: ChebPow, lambda: 1}", "radial.lambda: expected a number > 1"),
        ("radial: {kind: ChebExpCos, lambda: 0}", "radial.lambda: expected a number > 0"),
        ("radial: {kind: SBessel, envelope: none}", "radial.envelope: expected no such key with kind SBessel"),
        ("radial: {kind: SBessel, evaluation: spline}", "radial.evaluation: expected exact or tabulated"),
        ("radial: {kind: SBessel}\nbonds: {Si-Si: {r0: 2.0}}", "bonds.Si-Si.r0: expected no such key"),
    ],
)
def test_keys_of_radial_bases(tmp_path: Path, text: str, said: str) -> None:
    """What a radial basis of PACE does not have is refused."""
    (tmp_path / "x.yaml").write_text(f"elements: [Si]\norder: 2\ndegree: 4\ncutoff: 5.0\n{text}\n")
    with pytest.raises(SpecError, match=re.escape(f"x.yaml: {said}")):
        read_input(tmp_path / "x.yaml")


def test_radial_bases_need_a_cutoff_and_no_bond_length(tmp_path: Path) -> None:
    """No r0 is asked for, and no preset guesses a cutoff from it."""
    path = tmp_path / "x.yaml"
    path.write_text("preset: ace1\nelements: [Xe]\norder: 2\ndegree: 4\nradial: {kind: SBessel}\n")
    with pytest.raises(AcegenError, match="cutoff: expected a length"):
        read_input(path)
    path.write_text(path.read_text() + "cutoff: 6.0\n")
    (bond,) = read_input(path).exact.bonds[0]
    assert {family.kind for family in bond.families} == {"sbessel"} and bond.cutoff == 6.0


def test_families_are_those_of_potentials(shared: Path) -> None:
    """A specification names the same family, options and parameters as a potential with that basis."""
    for name in ("Cu-medium-s1", "W-small-s1"):
        content = load_yaml(zoo_file(shared, name), zoo_file(shared, name).read_text())["bonds"][0, 0]
        (family,) = read_input(zoo_file(shared, name)).potential.bonds[0][0].families
        steepness, taper = float(content["radparameters"][0]), float(content["dcut"])
        made = pace_family(Primitives(content["radbasename"], steepness, taper), family.size, family_cutoff(content))
        if dict(family.options)["inner"] == "none":
            assert made == family


def family_cutoff(content: dict[str, object]) -> float:
    return float(str(content["rcut"]))


@pytest.mark.peer
@pytest.mark.parametrize("name", ["bessel", "tapered", "mixed"])
def test_pyace_agrees(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """python-ace reads the file, and its energies and forces are ours to the error of its tables."""
    python = os.environ.get("ACEGEN_PEER_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import pyace"], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{python} has no pyace")
    path = acegen.export(write(tmp_path, name), tmp_path / "out.yace")
    path.write_text(path.read_text().replace("deltaSplineBins: 0.001", "deltaSplineBins: 0.0001"))
    options = ["--atoms", "16", "--repeats", "1", "--cached", "--json", "-", "--peer-python", python]
    assert main(["bench", str(path), "--against", "pyace", *options]) == 0
    (line,) = json.loads(capsys.readouterr().out)["agreement"]
    assert abs(line["energy"]) < 1e-9 and line["forces"] < 1e-7


def test_the_source_is_never_replaced(tmp_path: Path) -> None:
    """Neither by its name nor through a link."""
    path = acegen.export(write(tmp_path, "bessel"), tmp_path / "bessel.yace")
    (tmp_path / "link.yace").symlink_to(path)
    for out in (path, tmp_path / "link.yace"):
        with pytest.raises(LoadError, match="is what is read, expected another file to write"):
            acegen.export(path, out)


def test_weights_of_zero_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of a potential that is zero is written, and hardly what was wanted."""
    path = write(tmp_path, "bessel", "weights: zero\n")
    with pytest.warns(UserWarning, match=r"bessel\.yaml: its weights are all zero: fit it first"):
        acegen.export(path, tmp_path / "zero.yace")
    assert (tmp_path / "zero.yace").is_file()
