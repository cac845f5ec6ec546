"""`acegen compile` writes bundles that load, and --check tells exactly what is out of date."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import acegen
from acegen.cli.difference import differences
from acegen.cli.main import main
from acegen.emit.bundle import write_bundle
from acegen.errors import SpecError
from acegen.manifest import Manifest

FILES = {
    "README.md",
    "basis.txt",
    "manifest.json",
    "selftest.c",
    "si_pair.c",
    "si_pair.h",
    "si_pair_design.c",
    "si_pair_design.h",
    "weights.npz",
}


@pytest.fixture
def bundle(specs: Path, tmp_path: Path) -> Path:
    """A fresh bundle of the smallest example."""
    folder = tmp_path / "out"
    assert main(["compile", str(specs / "si_pair.yaml"), "-o", str(folder), "--source-only"]) == 0
    return folder


def _check(specs: Path, folder: Path, *more: str) -> int:
    return main(["compile", str(specs / "si_pair.yaml"), "-o", str(folder), "--check", *more])


def test_compile_builds(specs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bundle is complete, its library is in the cache, and the line on stdout says what was made."""
    folder = tmp_path / "out"
    assert main(["compile", str(specs / "si_pair.yaml"), "-o", str(folder), "--precision", "float32"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{folder}: si_pair for Si, float32, ") and ", built in " in text
    assert {path.name for path in folder.iterdir()} == FILES
    assert acegen.load(folder).precision == "float32"


def test_default_folder(specs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without -o the bundle is `<stem>.acegen` in the current folder."""
    monkeypatch.chdir(tmp_path)
    assert main(["compile", str(specs / "si_pair.yaml"), "--source-only"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["si_pair.acegen"]


def test_source_only_needs_no_compiler(
    specs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--source-only works without a C compiler; else its absence is an error, and the bundle is there."""
    monkeypatch.setenv("ACEGEN_CC", "no-such-compiler")
    folder = tmp_path / "out"
    arguments = ["compile", str(specs / "si_pair.yaml"), "-o", str(folder)]
    assert main([*arguments, "--source-only"]) == 0
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(
        f"acegen: {folder}: written, but cannot be built (--source-only does not try): ACEGEN_CC: "
    )
    assert (folder / "si_pair.c").is_file()


def test_several_inputs(specs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Several inputs become folders named after the potentials, and are checked together."""
    inputs = [str(specs / name) for name in ("si_pair.yaml", "si.yaml")]
    assert main(["compile", *inputs, "-o", str(tmp_path / "all"), "--source-only"]) == 0
    assert {path.name for path in (tmp_path / "all").iterdir()} == {"si_pair", "si"}
    assert main(["compile", *inputs, "-o", str(tmp_path / "all"), "--check"]) == 0
    assert capsys.readouterr().out.endswith(f"{tmp_path / 'all' / 'si'}: up to date (9 files)\n")


def test_two_inputs_of_one_name(specs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two inputs that would share a folder are refused."""
    text = (specs / "si_pair.yaml").read_text(encoding="utf-8")
    other = tmp_path / "other.yaml"
    other.write_text(text, encoding="utf-8")
    inputs = [str(specs / "si_pair.yaml"), str(other)]
    assert main(["compile", *inputs, "-o", str(tmp_path / "all"), "--source-only"]) == 2
    assert "expected inputs with different names" in capsys.readouterr().err


def test_not_a_bundle_is_kept(specs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that holds something else is never replaced."""
    (tmp_path / "precious").write_text("text", encoding="utf-8")
    assert main(["compile", str(specs / "si_pair.yaml"), "-o", str(tmp_path), "--source-only"]) == 2
    assert "exists and is not a bundle" in capsys.readouterr().err
    assert (tmp_path / "precious").read_text(encoding="utf-8") == "text"


def test_foreign_files_are_kept(specs: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bundle with a file it does not list, or a link to nothing, is not replaced; without that file it is."""
    arguments = ["compile", str(specs / "si_pair.yaml"), "--source-only", "-o"]
    (bundle / "notes.txt").write_text("mine", encoding="utf-8")
    assert main([*arguments, str(bundle)]) == 2
    assert "holds notes.txt, which is no file of the bundle there" in capsys.readouterr().err
    assert (bundle / "notes.txt").read_text(encoding="utf-8") == "mine"
    (bundle / "notes.txt").unlink()
    assert main([*arguments, str(bundle)]) == 0
    link = bundle.parent / "link"
    link.symlink_to(bundle.parent / "nothing")
    assert main([*arguments, str(link)]) == 2
    assert "is a link to nothing" in capsys.readouterr().err


def test_old_bundle_returns(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the new folder cannot take its name, the old one has it again."""
    rename = os.rename

    def failing(source: str | Path, target: str | Path) -> None:
        if Path(source).name == "new":
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    before = sorted(path.name for path in bundle.iterdir())
    manifest = Manifest.from_json((bundle / "manifest.json").read_text(encoding="utf-8"))
    with pytest.raises(SpecError, match="cannot be written"):
        write_bundle(bundle, (), manifest, ())
    assert sorted(path.name for path in bundle.iterdir()) == before


def test_all_inputs_are_looked_at_first(specs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An input that is missing or given twice is refused before anything is written."""
    one = str(specs / "si_pair.yaml")
    for other, message in ((one, "is given twice"), (str(tmp_path / "none.yaml"), "found nothing")):
        assert main(["compile", one, other, "-o", str(tmp_path / "all"), "--source-only"]) == 2
        assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_check_good(specs: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An untouched bundle is up to date, and stays untouched."""
    before = {path: path.stat().st_mtime_ns for path in bundle.iterdir()}
    assert _check(specs, bundle) == 0
    assert capsys.readouterr().out.endswith(f"{bundle}: up to date ({len(FILES)} files)\n")
    assert before == {path: path.stat().st_mtime_ns for path in bundle.iterdir()}


def test_check_edited(specs: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An edited line is shown as a unified diff, with the command that updates."""
    header = bundle / "si_pair.h"
    text = header.read_text(encoding="utf-8")
    header.write_text(text.replace("do not edit", "do edit"), encoding="utf-8")
    capsys.readouterr()
    assert _check(specs, bundle) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"--- {header} (on disk)", f"+++ {header} (generated)"]
    assert lines[2].startswith("@@ -1,")
    assert [line[0] for line in lines[3:] if "do " in line and "edit" in line] == ["-", "+"]
    assert lines[-1] == f"to update: acegen compile {specs / 'si_pair.yaml'} --out {bundle}"


def test_check_missing_extra_binary(specs: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Missing files, extra files and changed binary files are named."""
    (bundle / "basis.txt").unlink()
    (bundle / "notes.txt").write_text("mine", encoding="utf-8")
    (bundle / "weights.npz").write_bytes(b"PK\0")
    capsys.readouterr()
    assert _check(specs, bundle) == 1
    out = capsys.readouterr().out
    assert f"{bundle / 'basis.txt'}: missing\n" in out
    assert f"{bundle / 'notes.txt'}: not part of the bundle\n" in out
    assert f"{bundle / 'weights.npz'}: differs (3 bytes on disk, " in out


def test_check_of_nothing(specs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bundle that is not there is a difference; the check writes nothing."""
    assert _check(specs, tmp_path / "none") == 1
    assert f"{tmp_path / 'none'}: expected a bundle folder, found none" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_check_options(specs: Path, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another layout is a difference, and the command to update asks for it."""
    assert _check(specs, bundle, "--form", "coupled", "--products", "tiled") == 1
    assert capsys.readouterr().out.endswith(" --form coupled --products tiled\n")


def test_diff_is_bounded_and_placed(tmp_path: Path) -> None:
    """Long diffs are cut; line numbers are those of the files although common ends are skipped."""
    old = [f"line {k}" for k in range(5000)]
    new = [line + " x" if k >= 4000 else line for k, line in enumerate(old)]
    one = old.copy()
    one[2500] = "changed"
    (tmp_path / "many.txt").write_text("\n".join(old), encoding="utf-8")
    (tmp_path / "one.txt").write_text("\n".join(old), encoding="utf-8")
    lines = differences(tmp_path, {"many.txt": "\n".join(new).encode(), "one.txt": "\n".join(one).encode()})
    assert len(lines) < 60
    assert f"... more differences in {tmp_path / 'many.txt'}" in lines
    assert "@@ -2498,7 +2498,7 @@" in lines
    assert [line for line in lines if line.startswith(("-line 2500", "+changed"))] == ["-line 2500", "+changed"]


def test_diff_of_line_endings(tmp_path: Path) -> None:
    """Files that differ in line endings only say so."""
    (tmp_path / "a.c").write_bytes(b"one\r\ntwo\r\n")
    assert differences(tmp_path, {"a.c": b"one\ntwo\n"}) == [f"{tmp_path / 'a.c'}: differs in line endings only"]


def test_readme_of_a_bundle_with_cuda(specs: Path, tmp_path: Path, bundle: Path) -> None:
    """It names every file there is, the CUDA source only where there is one, and the command that writes both."""
    both = tmp_path / "both"
    assert main(["compile", str(specs / "si_pair.yaml"), "-o", str(both), "--source-only", "--target", "all"]) == 0
    for folder, cuda in ((bundle, False), (both, True)):
        text = (folder / "README.md").read_text()
        assert all(f"`{path.name}`" in text for path in folder.iterdir() if path.name != "README.md")
        assert ("si_pair.cu" in text) == ("`acegen compile si_pair.yaml --target all`" in text) == cuda
