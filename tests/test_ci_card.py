"""`.ci/card`: every command it would run exists; without a card it says so; a step that fails stops nothing else."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from acegen.cli.main import make_parser

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A folder like the root of a checkout, with a driver that answers and an acegen that fails for si.yaml."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "card", tmp_path / ".ci" / "card")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    programs = tmp_path / "bin"
    programs.mkdir()
    write(programs / "nvidia-smi", "echo 580.65.06")
    places = tmp_path / "build" / "card" / "venv" / "bin"
    places.mkdir(parents=True)
    write(places / "acegen", 'case "$*" in *examples/specs/si.yaml*) echo oh no; exit 3;; *) echo "$@";; esac')
    return tmp_path


def write(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def run(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {k: v for k, v in os.environ.items() if k not in ("OUT", "ACEGEN_CU_PBE")}
    environment |= {"PATH": path, "ACEGEN_SHARED": str(folder / "none"), **variables}
    command = ["bash", str(folder / ".ci" / "card"), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_every_command_exists(tmp_path):
    """Each call of acegen has options that acegen takes and inputs that are there, each other program is known."""
    done = run(ROOT, "--dry-run", "--prototype", str(tmp_path))
    assert done.returncode == 0, done.stderr
    commands = [shlex.split(line) for line in done.stdout.replace("$'", "'").splitlines()]
    verbs = []
    for words in commands:
        program = Path(words[0]).name
        assert program in {"python3", "python", "acegen", "compute-sanitizer", "nvcc", "env"}
        inside = next((k for k, word in enumerate(words) if "acegen.cli.main import main" in word), None)
        arguments = words[1:] if program == "acegen" else words[inside + 1 :] if inside is not None else None
        if arguments is None:
            continue
        parsed = make_parser().parse_args(arguments)
        verbs.append(parsed.verb)
        for name in (word for word in arguments if word.startswith("examples/")):
            assert (ROOT / name).is_file(), name
    assert set(verbs) == {"bench", "verify", "compile", "eval"}
    options = [word for words in commands if "pytest" in words and "-m" in words for word in words]
    assert "gpu" in options and "--every-kernel" in options
    assert "--every-kernel" in (ROOT / "tests" / "conftest.py").read_text()
    assert [words[-1] for words in commands if words[0] == "env"] == ["bench_h200.py"]


def test_without_a_card_it_says_so(checkout):
    write(checkout / "bin" / "nvidia-smi", "echo 'NVIDIA-SMI has failed'; exit 9")
    done = run(checkout)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (
        ".ci/card: no card: nvidia-smi finds none, run this on a machine with an NVIDIA card and its driver\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--parts", "bench,dance"], "--parts: unknown part 'dance'"),
        (["--minutes", "0"], "--minutes: expected an integer >= 1, found '0'"),
        (["--share", "half"], "--share: expected K/N, found 'half'"),
        (["--out"], "--out: expected a value"),
        (["--fast"], "unknown argument '--fast'"),
    ],
)
def test_wrong_arguments(checkout, options, message):
    done = run(checkout, *options)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1


def test_a_failure_is_told_and_the_rest_goes_on(checkout, tmp_path):
    """The summary names it, later inputs are run, logs and records are kept, and the exit code tells."""
    out = tmp_path / "out"
    done = run(checkout, "--parts", "verify", OUT=str(out))
    assert done.returncode == 1
    summary = (out / "summary.txt").read_text()
    assert "verify-si (exit code 3, see logs/verify-si.log)" in summary and "something failed" in summary
    assert summary.index("verify-cuau") < summary.index("verify-si ") < summary.index("verify-si_pair")
    assert summary.count("good ") == len(list((ROOT / "examples").glob("*/*.yaml"))) - 1
    with tarfile.open(out / "card.tar.gz") as archive:
        assert "oh no" in archive.extractfile("logs/verify-si.log").read().decode()


def test_shares_cover_everything_once(checkout):
    done = [run(checkout, "--parts", "verify", "--share", f"{k}/2") for k in (1, 2)]
    assert sorted(one.returncode for one in done) == [0, 1]
    names = [line.split("   ")[-1].split(" ")[0] for one in done for line in set(one.stdout.splitlines())]
    names = sorted(name for name in names if name.startswith("verify-"))
    assert names == sorted(f"verify-{path.stem}" for path in (ROOT / "examples").glob("*/*.yaml"))


def test_parts_without_installation_are_left_out(checkout):
    shutil.rmtree(checkout / "build" / "card" / "venv")
    done = run(checkout, "--parts", "tests,bench")
    assert done.returncode == 1
    assert "left out            bench: the part install has not been run" in done.stdout


@pytest.mark.parametrize(("said", "code"), [("20 skipped in 1.0s", 1), ("18 passed, 2 skipped in 1.0s", 0)])
def test_tests_that_skip_themselves_prove_nothing(checkout, said, code):
    write(checkout / "build" / "card" / "venv" / "bin" / "python", f"echo '{said}'")
    done = run(checkout, "--parts", "tests")
    assert done.returncode == code and ("tests-gpu: all were skipped" in done.stdout) == bool(code)
