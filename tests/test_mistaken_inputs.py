"""Inputs taken for another kind of file, or that no reader can hold, are refused with one sentence."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from acegen.compiler import compile_files
from acegen.errors import AcegenError
from acegen.inputs import read_input

SPEC = "name: x\nelements: [Si]\norder: 1\ndegree: 3\ncutoff: 5.0\n"


def _complaint(path: Path) -> str:
    with pytest.raises(AcegenError) as caught:
        read_input(path)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 400
    return text


def test_renamed_potential(shared: Path, tmp_path: Path) -> None:
    """A C-tilde file called .yaml is told to be one."""
    path = tmp_path / "renamed.yaml"
    path.write_bytes((shared / "zoo" / "W-small-s1" / "W-small-s1.yace").read_bytes())
    assert "rename it to .yace" in _complaint(path)


def test_truncated_b_basis(tmp_path: Path) -> None:
    """A B-basis file without its blocks is not taken for a specification."""
    path = tmp_path / "cut.yaml"
    path.write_text("deltaSplineBins: 0.001\nmetadata: {}\n")
    assert "speciesblock" in _complaint(path)


@pytest.mark.parametrize("line", ["? [a, b]\n: 5\n", "[0, 0]: 5\n", "? {a: 1}\n: 5\n"])
def test_keys_that_are_no_words(tmp_path: Path, line: str) -> None:
    """Lists and maps as keys of a specification."""
    path = tmp_path / "keys.yaml"
    path.write_text(SPEC + line)
    assert "expected a word as key" in _complaint(path)


@pytest.mark.parametrize("suffix", [".yaml", ".yace"])
def test_deep_nesting(tmp_path: Path, suffix: str) -> None:
    """More brackets than a reader can follow."""
    path = tmp_path / f"deep{suffix}"
    path.write_text("a: " + "[" * 3000 + "]" * 3000)
    assert "nested too deeply" in _complaint(path)


@pytest.mark.parametrize("suffix", [".yaml", ".yace"])
def test_values_yaml_cannot_read(tmp_path: Path, suffix: str) -> None:
    """Numbers longer than Python reads, days that do not exist."""
    path = tmp_path / f"value{suffix}"
    for value in ("1" + 5000 * "0", "2026-13-41"):
        path.write_text(f"a: {value}\n")
        assert "not valid YAML" in _complaint(path)


@pytest.mark.parametrize("number", ["1e300", "1" + 400 * "0", "3000000000"])
def test_integers_out_of_range(shared: Path, tmp_path: Path, number: str) -> None:
    """Whole numbers of a potential that fit no integer of the kernel, in a short sentence."""
    text = (shared / "zoo" / "quirks" / "acejl_pair.yace").read_text()
    head, rest = text.split("ns: [", 1)
    path = tmp_path / "large.yace"
    path.write_text(
        f"{head}ns: [{number}{rest[rest.index(']') if ',' not in rest[: rest.index(']')] else rest.index(',') :]}"
    )
    assert "expected" in _complaint(path) and "found" in _complaint(path)


@pytest.mark.parametrize("name", ["selftest", "math", "stdint", "String", "immintrin"])
def test_names_of_other_files(shared: Path, tmp_path: Path, name: str) -> None:
    """A bundle cannot be called as a header of C or its own self-test; fitted potentials get another name."""
    path = tmp_path / "model.yaml"
    path.write_text(SPEC.replace("name: x", f"name: {name}"))
    assert f"got '{name}'" in _complaint(path)
    path = tmp_path / f"{name}.yaml"
    path.write_text(SPEC.replace("name: x\n", ""))
    assert "(the file stem)" in _complaint(path)
    path = tmp_path / f"{name}.yace"
    path.write_bytes((shared / "zoo" / "quirks" / "base.yace").read_bytes())
    assert read_input(path).potential.name == f"potential_{name}"


def test_weights_that_overflow(shared: Path, tmp_path: Path) -> None:
    """Weights near the end of the range of numbers: in a file, as a scale, in a fitted potential."""
    path = tmp_path / "model.yaml"
    np.savez(tmp_path / "w.npz", parameters=np.full(3, 1e308))
    path.write_text(SPEC + "weights: {kind: file, file: w.npz}\n")
    assert "expected weights up to 1e+30 eV, got 1e+308" in _complaint(path)
    path.write_text(SPEC + "weights: {kind: random, scale: 1e308}\n")
    assert "weights.scale: expected a number up to 1e25" in _complaint(path)
    text = (shared / "zoo" / "quirks" / "base.yace").read_text()
    path = tmp_path / "large.yace"
    path.write_text(re.sub(r"ctildes: \[[^],]*", "ctildes: [1e308", text))
    assert "functions: expected coefficients up to 1e+30" in _complaint(path)
    path = tmp_path / "model.yaml"
    embedding = "embedding: {kind: FinnisSinclair, scales: [1.0], exponents: [20.0]}\n"
    path.write_text(SPEC + "weights: {kind: random, scale: 1e25}\n" + embedding)
    with pytest.raises(AcegenError, match=r"model\.yaml: expected weights that give finite energies"):
        compile_files(path)


def test_pair_written_twice(tmp_path: Path) -> None:
    """Si-Ge and Ge-Si are the same pair; Si->Ge is one of its two directions and may stand beside it."""
    path = tmp_path / "model.yaml"
    text = SPEC.replace("[Si]", "[Si, Ge]")
    path.write_text(text + "bonds: {Si-Ge: {cutoff: 4}, Ge-Si: {cutoff: 3.5}}\n")
    assert "bonds.Ge-Si: expected each pair once, got it as 'Si-Ge' too" in _complaint(path)
    path.write_text(text + "bonds: {Si-Ge: {cutoff: 4}, Ge->Si: {cutoff: 3.5}}\n")
    assert [[bond.cutoff for bond in row] for row in read_input(path).exact.bonds] == [[5.0, 4.0], [3.5, 5.0]]
