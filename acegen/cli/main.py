"""The command `acegen`: chooses the verb and turns every error into one line and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from acegen import __version__
from acegen.errors import AcegenError

VERBS = ("compile", "info", "verify", "bench", "eval", "fit", "export")  # modules acegen.cli.<verb>, loaded when needed
GOOD, CHECK_FAILED, BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141

_DESCRIPTION = """Compiler for the Atomic Cluster Expansion: specification or fitted potential in, specialised C out.

INPUT is a basis specification (.yaml), a PACE potential (.yace, .yaml, .ace) or a linear model of ace-jax (.npz)
or ACEpotentials (.json); DIR is a bundle folder that `acegen compile` wrote. `acegen VERB --help` explains a verb."""
_EXIT_CODES = "exit codes: 0 good, 1 the check failed, 2 bad input"


class Parser(argparse.ArgumentParser):
    """Complains in one line, like everything else here."""

    def error(self, message: str) -> NoReturn:
        verb = self.prog.partition(" ")[2]
        self.exit(BAD_INPUT, f"acegen: {f'{verb}: ' if verb else ''}{message} (see {self.prog} --help)\n")


def make_parser() -> Parser:
    """The parser of all verbs; their modules import nothing heavy before `run`."""
    parser = Parser(
        prog="acegen",
        description=_DESCRIPTION,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"acegen {__version__}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        importlib.import_module(f"acegen.cli.{verb}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: arguments after the name of the program; None: those of the process.

    Returns:
        exit code: 0 good, 1 the check failed, 2 bad input, 130 interrupted, 141 nobody read the output.
    """
    try:
        arguments = make_parser().parse_args(argv)
    except SystemExit as stop:  # --help, --version and wrong arguments
        return stop.code if isinstance(stop.code, int) else GOOD
    with warnings.catch_warnings():
        setattr(warnings, "showwarning", _print_warning)  # noqa: B010, another signature on purpose
        return _guarded(importlib.import_module(f"acegen.cli.{arguments.verb}").run, arguments)


def _guarded(run: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Exit code of `run`; no traceback for anything a user can cause."""
    try:
        code = run(arguments)
        sys.stdout.flush()  # a closed pipe shows here, not at exit
        return code
    except AcegenError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        print("\nacegen: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return BROKEN_PIPE
    except OSError as error:
        place = f"{error.filename}: " if error.filename is not None else ""
        return _complain(f"{place}{error.strerror or error}")
    except MemoryError:
        return _complain("out of memory")


def _complain(message: str) -> int:
    print(f"acegen: {message}", file=sys.stderr)
    return BAD_INPUT


def _print_warning(message: Warning | str, *_: Any) -> None:
    print(f"acegen: warning: {message}", file=sys.stderr)


def _silence_stdout() -> None:
    """Python flushes stdout once more at exit; let it flush into nothing."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # stdout may be no file, as under a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
