"""`acegen eval` writes what `model.evaluate` gives, without loss, and names the structure that is wrong."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.constraints import FixAtoms
from ase.io import read, write

import acegen
from acegen.cli.main import main
from acegen.runtime.model import Model


@pytest.fixture(scope="module")
def spec(specs: Path) -> Path:
    return specs / "si_pair.yaml"


@pytest.fixture(scope="module")
def model(spec: Path) -> Model:
    return acegen.load(spec)


@pytest.fixture
def frames(tmp_path: Path) -> tuple[Path, list[Atoms]]:
    """Crystals of several sizes, a cluster, a lone atom; with names, constraints and momenta of their own."""
    out: list[Atoms] = []
    for k in range(4):
        atoms = bulk("Si", cubic=True) * (1, 1, 1 + k % 2)
        atoms.rattle(0.1, seed=k)
        atoms.info["name"] = f"crystal {k}"
        out.append(atoms)
    out[1].set_constraint(FixAtoms([0, 3]))
    out[2].set_momenta(np.arange(3.0 * len(out[2])).reshape(-1, 3) / 7.0)
    cluster = molecule("Si2H6")
    cluster = cluster[cluster.numbers == 14]
    out += [cluster, Atoms("Si", positions=[[0.1, 0.2, 0.3]])]
    path = tmp_path / "in.xyz"
    write(path, out, format="extxyz")
    return path, read(path, ":", format="extxyz")


@pytest.mark.parametrize("batch", ["1", "2", "256"])
def test_round_trip(spec: Path, model: Model, frames: tuple[Path, list[Atoms]], tmp_path: Path, batch: str) -> None:
    """Every number is that of model.evaluate for the structure alone, to the last bit of the text; batches alike."""
    path, given = frames
    out = tmp_path / "out.xyz"
    wanted = "energy,forces,stress,energies"
    if batch != "1":
        assert main(["eval", str(spec), str(path), "-o", str(out), "--batch", batch]) == 0
    else:
        given = given[:4]
        write(path, given, format="extxyz")
        assert main(["eval", str(spec), str(path), "-o", str(out), "--batch", batch, "--properties", wanted]) == 0
    found = read(out, ":", format="extxyz")
    assert len(found) == len(given)
    for before, after in zip(given, found, strict=True):
        exact = model.evaluate(before, ("energy", "energies", "forces", "virial"))
        np.testing.assert_array_equal(after.positions, before.positions)
        np.testing.assert_array_equal(after.pbc, before.pbc)
        np.testing.assert_allclose(after.get_potential_energy(), exact.energy[0], rtol=1e-15)
        np.testing.assert_allclose(after.calc.results["forces"], exact.forces, rtol=0, atol=1e-14)
        if before.pbc.all():
            full = -exact.virial[0] / before.get_volume()
            np.testing.assert_allclose(after.get_stress(voigt=False), full, rtol=0, atol=1e-15)
        else:
            assert "stress" not in after.calc.results
        if batch == "1":
            np.testing.assert_allclose(after.calc.results["energies"], exact.energies, rtol=1e-15)
    assert [atoms.info.get("name") for atoms in found] == [atoms.info.get("name") for atoms in given]
    assert found[1].constraints[0].index.tolist() == [0, 3]
    np.testing.assert_array_equal(found[2].get_momenta(), given[2].get_momenta())


def test_only_what_is_asked_for(spec: Path, model: Model, frames: tuple[Path, list[Atoms]], tmp_path: Path) -> None:
    """The virial alone, of structures one at a time."""
    path, given = frames
    out = tmp_path / "out.xyz"
    assert main(["eval", str(spec), str(path), "-o", str(out), "--properties", "virial", "--batch", "1"]) == 0
    found = read(out, ":", format="extxyz")
    assert [sorted(set(after.info) - {"name"}) for after in found] == [["virial"]] * len(given)
    for before, after in zip(given, found, strict=True):
        np.testing.assert_allclose(
            after.info["virial"], model.evaluate(before, "virial").virial[0], rtol=1e-14, atol=1e-15
        )


def test_labels_under_other_names_do_not_stay_beside_results(spec: Path, model: Model, tmp_path: Path) -> None:
    """`force` of the input is not what the new `forces` are; labels with a prefix are references and stay."""
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.arrays["force"], atoms.arrays["REF_force"] = np.ones((8, 3)), np.full((8, 3), 2.0)
    write(tmp_path / "in.xyz", atoms, format="extxyz")
    assert main(["eval", str(spec), str(tmp_path / "in.xyz"), "-o", str(tmp_path / "out.xyz")]) == 0
    found = read(tmp_path / "out.xyz", format="extxyz")
    assert "force" not in found.arrays and (found.arrays["REF_force"] == 2.0).all()
    np.testing.assert_allclose(found.get_forces(), model.evaluate(read(tmp_path / "in.xyz")).forces, atol=1e-12)


def test_results_of_a_bundle_in_float32(spec: Path, frames: tuple[Path, list[Atoms]], tmp_path: Path) -> None:
    """A bundle folder serves as well, in another precision, and old results are replaced."""
    path, given = frames
    bundle, first, out = tmp_path / "bundle", tmp_path / "first.xyz", tmp_path / "out.xyz"
    assert main(["compile", str(spec), "-o", str(bundle), "--source-only"]) == 0
    assert main(["eval", str(spec), str(path), "-o", str(first), "--properties", "energy"]) == 0
    assert main(["eval", str(bundle), str(first), "-o", str(out), "--precision", "float32", "--threads", "1"]) == 0
    single = acegen.load(spec, precision="float32")
    found = read(out, ":", format="extxyz")
    exact = single.evaluate(given[0])
    np.testing.assert_allclose(found[0].get_potential_energy(), exact.energy[0], rtol=1e-14)
    np.testing.assert_allclose(found[0].get_forces(), exact.forces, rtol=0, atol=1e-10)


def test_atoms_all_but_at_one_place_are_told(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """File, frame, atoms and distance of the first, and how many more; whatever the batches, results are written."""
    good = bulk("Si", cubic=True)
    close, image = good.copy(), Atoms("Si", cell=[5.0, 5.0, 0.08], pbc=True)
    close.positions[5] = close.positions[2] + [0.0, 0.001, 0.0]
    path, out = tmp_path / "in.xyz", tmp_path / "out.xyz"
    for frames, told in (
        ([good, good], ""),
        ([good, close], "frame 1: atoms 2 and 5 are 0.001 angstrom apart"),
        ([image], "frame 0: atom 0 and its periodic image are 0.08 angstrom apart"),
        (
            [good, close, good, image],
            "frame 1: atoms 2 and 5 are 0.001 angstrom apart; 2 structures have atoms closer than 0.1 angstrom",
        ),
    ):
        write(path, frames, format="extxyz")
        for batch in ("1", "256"):
            assert main(["eval", str(spec), str(path), "-o", str(out), "--batch", batch]) == 0
            assert capsys.readouterr().err == (f"acegen: warning: {path}: {told}\n" if told else "")
            assert len(read(out, ":")) == len(frames)


def _fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line on stderr; the output must not be there, nor anything else new next to it."""
    folder = Path(str(arguments[arguments.index("-o") + 1])).parent
    before = set(folder.iterdir())
    capsys.readouterr()
    assert main(["eval", *map(str, arguments)]) == 2
    assert set(folder.iterdir()) == before
    return capsys.readouterr().err


def test_errors_name_file_and_frame(
    spec: Path, frames: tuple[Path, list[Atoms]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unknown elements and impossible cells: the file and the frame are named, and nothing is written."""
    path, given = frames
    out = tmp_path / "out.xyz"
    write(path, [*given, Atoms("SiGe", positions=[[0, 0, 0], [0, 0, 2.4]])], format="extxyz")
    text = _fails(capsys, spec, path, "-o", out, "--batch", "4")
    assert text == f"acegen: {path}: frame 6: atom 1 is Ge, expected one of Si\n"
    write(path, [given[0], Atoms("Si", cell=[[1, 0, 0], [2, 0, 0], [0, 0, 1]], pbc=True)], format="extxyz")
    assert f"{path}: frame 1: the periodic cell vectors are linearly dependent" in _fails(capsys, spec, path, "-o", out)
    on_top = Atoms("Si2", positions=[[0, 0, 0], [0, 0, 0]])
    write(path, [*given, on_top], format="extxyz")
    text = _fails(capsys, spec, path, "-o", out, "--batch", "4")
    assert f"{path}: frame 6: energy not finite; its atoms 0 and 1 are 0 angstrom apart" in text
    write(path, given, format="extxyz")
    text = _fails(capsys, spec, path, "-o", out, "--properties", "energy,stress")
    assert f"{path}: frame 4: stress needs a cell that is periodic in three directions" in text


def test_errors_of_the_file(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files that are not extended XYZ, end early, are empty or missing."""
    path, out = tmp_path / "in.xyz", tmp_path / "out.xyz"
    cases = {
        "": "holds no structures, expected an extended XYZ file",
        "hello\n": "frame 0: line 1: expected the number of atoms, found 'hello'",
        "1\n\nSi 0 0 0\n2\n\nSi 0 0 0\n": "frame 1: expected 2 atoms, the file ends after 1",
        "1\n\nSi 0 0 0\nx\n": "frame 1: line 4: expected the number of atoms, found 'x'",
        "1\n\nSi 0 0 0\n\n\n1\n\nSi 0 0 0\n": "line 4 is blank, and line 6 is not: expected one structure right after",
        "\n1\n\nSi 0 0 0\n": "line 1 is blank, and line 2 is not",
        "9" * 5000 + "\n": "frame 0: line 1: expected the number of atoms, found '999",
        "1\n\nSi 0 zero 0\n": "frame 0: not extended XYZ that ASE reads",
        "1\n\nQq 0 0 0\n": "frame 0: not extended XYZ that ASE reads",
    }
    for raw, message in {
        gzip.compress(b"1\n\nSi 0 0 0\n"): "is compressed (gzip), expected extended XYZ as plain text",
        bytes(range(1, 256)) + b"\0": "is no text, expected extended XYZ",
        bytes([0xF5, 0x1B, 0x41]) * 20: "frame 0: line 1: expected the number of atoms, found '??A",
    }.items():
        path.write_bytes(raw)
        text = _fails(capsys, spec, path, "-o", out)
        assert f"acegen: {path}: {message}" in text and text.isascii() and text[:-1].isprintable()
    for content, message in cases.items():
        path.write_text(content, encoding="utf-8")
        assert f"acegen: {path}: {message}" in _fails(capsys, spec, path, "-o", out)
    path.unlink()
    assert "cannot be read (No such file or directory)" in _fails(capsys, spec, path, "-o", out)


def test_errors_of_arguments(
    spec: Path, frames: tuple[Path, list[Atoms]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Misspelt properties, and places where no file can be written."""
    path, out = frames[0], tmp_path / "out.xyz"
    assert "'enrgy' is unknown, did you mean 'energy'?" in _fails(
        capsys, spec, path, "-o", out, "--properties", "enrgy"
    )
    assert "found none" in _fails(capsys, spec, path, "-o", out, "--properties", ",")
    (tmp_path / "folder").mkdir()
    assert "is a folder, expected the name of a file" in _fails(capsys, spec, path, "-o", tmp_path / "folder")
    assert main(["eval", str(spec), str(path), "-o", str(tmp_path / "none" / "out.xyz")]) == 2
    assert "cannot be written, there is no folder" in capsys.readouterr().err


def test_what_is_read_is_never_replaced(
    spec: Path, frames: tuple[Path, list[Atoms]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither by its name nor through a link."""
    path, before = frames[0], frames[0].read_bytes()
    link = path.with_name("link.xyz")
    link.symlink_to(path)
    for out in (path, link):
        assert main(["eval", str(spec), str(path), "-o", str(out)]) == 2
        assert (
            capsys.readouterr().err == f"acegen: --out: {out} is read by this command, expected another file to write\n"
        )
    assert path.read_bytes() == before
