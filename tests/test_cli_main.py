"""Exit codes and messages of the command line: one line on stderr, never a traceback."""

from __future__ import annotations

import subprocess
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import pytest

import acegen
from acegen.cli import main as module
from acegen.cli.arguments import positive
from acegen.cli.main import main
from acegen.cli.output import seconds_text, size_text, table
from acegen.cli.progress import Progress


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints the version of the package and is good."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"acegen {acegen.__version__}\n"


def test_module_is_the_command() -> None:
    """`python -m acegen` is the same command."""
    result = subprocess.run([sys.executable, "-m", "acegen", "--version"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, f"acegen {acegen.__version__}\n")


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """--help names all verbs and the exit codes; every verb has a help of its own."""
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "exit codes: 0 good, 1 the check failed, 2 bad input" in text
    for verb in module.VERBS:
        assert f"\n    {verb} " in text
        assert main([verb, "--help"]) == 0
        assert f"acegen {verb}" in capsys.readouterr().out


def test_parsing_loads_nothing_heavy() -> None:
    """Help and wrong arguments answer at once: NumPy, SymPy and Jinja are not loaded."""
    code = (
        "import sys; from acegen.cli.main import main; main(['info', '--help']); "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'sympy', 'jinja2', 'ase')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "acegen: the following arguments are required: VERB (see acegen --help)"),
        (["compile"], "acegen: compile: the following arguments are required: INPUT (see acegen compile --help)"),
        (["info", "--form", "x", "y"], "acegen: info: argument --form: invalid choice: 'x'"),
        (["eval", "a", "b", "-o", "c", "--batch", "0"], "acegen: eval: argument --batch: expected an integer >= 1"),
        (
            ["info", "none.yaml"],
            "acegen: none.yaml: expected a bundle folder, a specification or a potential, found nothing",
        ),
        (["info", "some.txt"], "acegen: some.txt: unknown kind of input '.txt'"),
        (["info", "."], "acegen: .: expected a bundle folder with manifest.json, found none"),
        (["verify", "none.yaml"], "acegen: none.yaml: expected a bundle folder, a specification or a potential"),
        (["compile", "none.yaml", "--target", "hip"], "acegen: --target: found 'hip', expected one of c, cuda"),
        (["compile", "."], "acegen: .: is a folder, expected a specification or a potential"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Everything a user gets wrong ends with exit code 2 and one line on stderr."""
    monkeypatch.chdir(tmp_path)
    Path("some.txt").touch()
    assert main(arguments) == 2
    found = capsys.readouterr()
    assert found.err.startswith(message) and found.err.count("\n") == 1 and found.out == ""


def _verb_that(monkeypatch: pytest.MonkeyPatch, action: Any) -> None:
    """Replace what the verb `info` does."""
    real = module.importlib.import_module("acegen.cli.info")
    fake = types.SimpleNamespace(add_parser=real.add_parser, run=action)
    known = module.importlib.import_module
    monkeypatch.setattr(
        module.importlib, "import_module", lambda name: fake if name == "acegen.cli.info" else known(name)
    )


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "\nacegen: interrupted\n"),
        (BrokenPipeError(), 141, ""),
        (PermissionError(13, "Permission denied", "there"), 2, "acegen: there: Permission denied\n"),
        (MemoryError(), 2, "acegen: out of memory\n"),
        (acegen.BuildError("no C compiler found"), 2, "acegen: no C compiler found\n"),
    ],
)
def test_exit_codes(
    error: BaseException,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Interrupts, closed pipes, missing rights and failed builds have an exit code and no traceback."""

    def fail(arguments: Any) -> int:
        raise error

    _verb_that(monkeypatch, fail)
    assert main(["info", "x"]) == code
    assert capsys.readouterr().err == message


def test_warnings_are_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A warning (a cache that cannot be written) is one line without a place in the source."""

    def warn(arguments: Any) -> int:
        warnings.simplefilter("always")
        warnings.warn("cache folder cannot be written", RuntimeWarning, stacklevel=1)
        return 0

    _verb_that(monkeypatch, warn)
    assert main(["info", "x"]) == 0
    assert capsys.readouterr().err == "acegen: warning: cache folder cannot be written\n"


def test_closed_pipe_is_quiet(specs: Path) -> None:
    """`acegen ... | head` ends without a word when the reader has gone."""
    command = f"{sys.executable} -m acegen info {specs / 'si_pair.yaml'} | true; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert result.stderr == ""
    assert result.returncode in (0, 141)  # 0: the text went into the pipe before its end was closed


def test_positive() -> None:
    """Numbers of things start at one."""
    assert positive("3") == 3


def test_table_and_sizes() -> None:
    """Tables are aligned without trailing blanks; sizes have a unit."""
    assert table(["a", "b"], [["long", "1"], ["x", "20"]]) == "a      b\nlong   1\nx     20"
    assert [size_text(n) for n in (12, 1234, 123456, 2.5e6, 3e9)] == ["12 B", "1.2 kB", "123 kB", "2.5 MB", "3.0 GB"]
    assert [seconds_text(s) for s in (0.123, 12.34)] == ["0.12 s", "12.3 s"]


def test_progress_is_quiet_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing on stderr when it is not a terminal; lines said go to stdout."""
    with Progress(2) as progress:
        progress.step("one")
        progress.say("a line")
        progress.step("two", seconds=1.0)
    found = capsys.readouterr()
    assert (found.out, found.err) == ("a line\n", "")


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal a bar is drawn over itself and taken away at the end, also after an error."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("acegen.cli.progress._PERIOD", 0.001)
    progress = Progress(4)
    with pytest.raises(ValueError, match="stop"), progress:
        progress.step("first")
        progress.step("second", seconds=1e-3)
        while "second" not in (text := capsys.readouterr().err):
            pass
        raise ValueError("stop")
    assert "[######" in text and "%" in text
    assert capsys.readouterr().err.endswith("\r\x1b[K")
