"""`acegen fit` from the command line: what it writes and prints, and one sentence for everything that is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.io import read, write

from acegen.cli.main import main

SPEC = """name: argon
elements: [Ar]
order: 2
degree: 4
cutoff: 6.0
radial: {transform: {r0: 3.7}}
pair: {degree: 5, transform: {r0: 3.7}}
"""


def labelled(seed: int) -> ase.Atoms:
    """A rattled crystal of argon with Lennard-Jones labels under names of another code."""
    atoms = bulk("Ar", cubic=True, a=5.3)
    stream = np.random.default_rng(seed)
    atoms.set_cell(atoms.cell * (1.0 + 0.03 * stream.uniform(-1, 1)), scale_atoms=True)
    atoms.positions += 0.15 * stream.standard_normal((4, 3))
    atoms.calc = LennardJones(sigma=3.4, epsilon=0.0104, rc=6.0, smooth=True)
    found = atoms.copy()
    found.info["dft_energy"] = atoms.get_potential_energy()
    found.arrays["dft_forces"] = atoms.get_forces()
    found.info["dft_virial"] = -atoms.cell.volume * atoms.get_stress(voigt=False)
    found.info["Group"] = "warm" if seed % 2 else "hot"
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a specification, 12 structures to fit and 4 to test on."""
    (tmp_path / "argon.yaml").write_text(SPEC)
    write(tmp_path / "train.xyz", [labelled(k) for k in range(12)])
    write(tmp_path / "test.xyz", [labelled(k) for k in range(12, 16)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_fit_writes_a_model_that_evaluates(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "argon.yaml", "train.xyz", "--test", "test.xyz", "-o", "model", "--plot", "parity.svg"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "train.xyz: 12 structures, energy from 'dft_energy', forces from 'dft_forces', virial from" in out
    assert "type from 'Group'" in out
    assert re.search(r"E0 of Ar: -?\d+\.\d+ eV, from least squares", out)
    rows = re.findall(r"^(?:train|test)? +(?:hot|warm|all) +\d+ +\d+ +RMSE +(\S+) +(\S+) +(\S+)$", out, re.MULTILINE)
    assert len(re.findall(r"RMSE", out)) == 6 and rows
    assert "model.yaml, model.npz, model.json in " in out
    assert (folder / "parity.svg").read_text().startswith("<?xml")
    assert main(["eval", "model.yaml", "test.xyz", "-o", "evaluated.xyz"]) == 0
    found = np.concatenate([atoms.get_forces() for atoms in read("evaluated.xyz", ":")])
    truth = np.concatenate([atoms.arrays["dft_forces"] for atoms in read("test.xyz", ":")])
    assert np.sqrt(np.mean((found - truth) ** 2)) < 0.1 * truth.std()


def test_report_as_json_and_options(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["fit", "argon.yaml", "train.xyz", "-o", "model", "--holdout", "0.25", "--json", "--solver", "ridge"]
    command += ["--lambda", "0.01", "--weight", "E=10", "--weight", "hot:F=0.5", "--e0", "Ar=-0.01", "--no-active-set"]
    assert main([*command, "--committee", "0", "--no-resume"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((folder / "model.json").read_text())
    assert report["solution"]["lambda"] == 0.01
    assert report["weights"] == {"default": {"E": 10.0, "F": 1.0, "V": 1.0}, "hot": {"E": 10.0, "F": 0.5, "V": 1.0}}
    assert report["reference_energies"] == {"Ar": {"energy": -0.01, "from": "given"}}
    assert [errors["kind"] for errors in report["errors"]["holdout"]][-1] == "all"
    with np.load("model.npz") as arrays:
        assert sorted(arrays) == ["weights_0"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.yaml", "train.xyz", "-o", "m"], "nothing.yaml: expected a basis specification, found nothing"),
        (["argon.yaml", "nothing.xyz", "-o", "m"], "nothing.xyz: expected a file of structures"),
        (["argon.yaml", "train.xyz", "-o", "none/m"], "there is no folder none"),
        (["argon.yaml", "train.xyz", "-o", "m.xyz"], "m.xyz: expected the name of a model to write, such as m, found"),
        ([".", "train.xyz", "-o", "m"], ".: expected a basis specification (.yaml), found a folder"),
        (["argon.yaml", "train.xyz", "-o", "m", "--plot", "m.pdf"], "--plot: m.pdf: expected the name of an .svg"),
        (
            ["argon.yaml", "train.xyz", "-o", "m", "--plot", "none/m.svg"],
            "none/m.svg: cannot be written, there is no folder",
        ),
        (["argon.yaml", "nothing.xyz", "-o", "../{folder}/argon"], "argon.yaml: is read by this fit and would be"),
        (["argon.yaml", "train.xyz", "-o", "m", "--e0", "Ar=low"], "--e0: expected Symbol=energy pairs"),
        (["argon.yaml", "train.xyz", "-o", "m", "--e0", "mean"], "e0: expected one of auto"),
        (["argon.yaml", "train.xyz", "-o", "m", "--weight", "warm:E"], "--weight: expected TYPE:E=number"),
        (
            ["argon.yaml", "train.xyz", "-o", "m", "--weight", "wram:E=1"],
            "no structure is of type 'wram', did you mean",
        ),
        (["argon.yaml", "train.xyz", "-o", "m", "--forces-key", "f"], "train.xyz: no frame has the forces key 'f'"),
        (["argon.yaml", "train.xyz", "-o", "m", "--holdout", "2"], "holdout: expected a number in 0..1"),
        (
            ["argon.yaml", "train.xyz", "-o", "m", "--lambda", "1"],
            "lambda: expected 0 or a number in 1e-30..1e30 with solver 'ridge'",
        ),
        (["argon.yaml", "train.xyz", "-o", "m", "--tolerance", "1e-9"], "expected a number in 0..1 with solver 'tsvd'"),
        (["argon.yaml", "train.xyz", "-o", "m", "--weight", "E=1,E=2"], "--weight: E of default is given twice"),
        (
            ["argon.yaml", "train.xyz", "-o", "m", "--weight", "hot:E=1", "--weight", "hot:F=1,E=2"],
            "--weight: E of hot is given twice, the second time in 'hot:F=1,E=2'",
        ),
        (["argon.yaml", "train.xyz", "-o", "m", "--e0", "Ar=1,Ar=2"], "--e0: Ar is given twice in 'Ar=1,Ar=2'"),
        (["argon.yaml", "train.xyz", "-o", "m", "--e0", "Ar=1e40"], "e0: Ar: expected an energy of at most 5e+06 eV"),
        (["argon.yaml", "train.xyz", "-o", "/dev/null"], "/dev/null: is a device or pipe, expected the name of a file"),
    ],
)
def test_mistakes_are_told_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["fit", *(word.format(folder=folder.name) for word in words)]) == 2
    out, err = capsys.readouterr()
    assert re.fullmatch(r"(read the structures \(.*\)\n)?", out)
    assert err.startswith("acegen: ") and message in err and err.count("\n") == 1


def test_a_log_shows_the_stages_while_they_run(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels and E0 stand in the log before anything is compiled; a report for scripts stays alone on stdout."""
    from acegen.fitting import fit as module

    said: list[str] = []
    inner = module.working_model

    def compiled(*arguments: Any) -> Any:
        said.append(capsys.readouterr().out)
        return inner(*arguments)

    monkeypatch.setattr(module, "working_model", compiled)
    assert main(["fit", "argon.yaml", "train.xyz", "-o", "model", "--no-active-set"]) == 0
    rest = capsys.readouterr().out
    lines = said[0].splitlines()
    assert re.fullmatch(r"read the structures \(.* m?s\)", lines[0])
    assert lines[1].startswith("train.xyz: 12 structures") and lines[2].startswith("E0 of Ar")
    assert lines[3].startswith("compile the basis (") and len(lines) == 4
    stages = [line.partition(" (")[0] for line in rest.splitlines() if re.search(r" \(.* s\)$", line)]
    assert stages == ["rows of structure 0 of 12", "solve", "measure the errors"]
    assert "E0 of" not in rest
    assert main(["fit", "argon.yaml", "train.xyz", "-o", "model", "--no-active-set", "--json"]) == 0
    assert not said[1] and json.loads(capsys.readouterr().out)


def test_suspicions_are_printed_and_the_fit_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [labelled(k) for k in range(12)]
    for atoms in frames:
        atoms.arrays["dft_forces"] *= 1000.0
        atoms.info["dft_virial"] *= 1000.0
    write("milli.xyz", frames)
    assert main(["fit", "argon.yaml", "milli.xyz", "-o", "model", "--no-active-set"]) == 0
    out = capsys.readouterr().out
    assert "warning: milli.xyz: the energies vary 0.000" in out
    assert (folder / "model.yaml").exists()


def test_forces_of_the_wrong_sign_are_called_that(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [labelled(k) for k in range(12)]
    for atoms in frames:
        atoms.arrays["dft_forces"] *= -1.0
        del atoms.info["dft_virial"]
    write("signs.xyz", frames)
    assert main(["fit", "argon.yaml", "signs.xyz", "-o", "model", "--no-active-set"]) == 0
    assert "are the forces of the wrong sign (gradients of the energy)?" in capsys.readouterr().out
