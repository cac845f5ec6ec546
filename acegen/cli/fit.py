"""`acegen fit`: a specification and labelled structures in, a fitted model with its errors out."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acegen.aside import check_place
from acegen.cli.arguments import add_json, positive
from acegen.cli.output import seconds_text, table, to_json
from acegen.cli.progress import Progress
from acegen.errors import InputError

if TYPE_CHECKING:
    from acegen.fitting.accuracy import Errors
    from acegen.fitting.fitted import Fitted

_LABELS = ("energy", "forces", "stress", "virial")
_UNITS = {"energy": "E {:.2f} meV/atom", "forces": "F {:.4f} eV/Å", "virial": "V {:.2f} meV/atom"}
_STEPS = 1000  # of the bar


def add_parser(subparsers: Any) -> None:
    """Declare the verb."""
    parser = subparsers.add_parser(
        "fit",
        help="fit the weights of a specification to structures with energies and forces",
        description="Fit a linear model and write model.yaml (the specification with its weights), model.npz (all "
        "numbers) and model.json (a report). Its state is kept every 20 s: interrupted, the same "
        "command goes on from there.",
    )
    parser.add_argument("spec", metavar="SPEC", type=Path, help="basis specification")
    parser.add_argument("train", metavar="train.xyz", nargs="+", type=Path, help="structures (any format ASE reads)")
    parser.add_argument("-o", "--out", metavar="MODEL", type=Path, required=True, help="model to write")
    parser.add_argument("--test", metavar="test.xyz", nargs="+", type=Path, help="structures to measure errors on")
    parser.add_argument("--holdout", metavar="FRACTION", type=float, default=0.0, help="part of train to test on")
    for label in _LABELS:
        parser.add_argument(f"--{label}-key", metavar="KEY", help=f"name of the {label} label (default: found)")
    parser.add_argument("--type-key", metavar="KEY", help="name of the type of a structure (default: found)")
    parser.add_argument("--e0", default="auto", help="auto, isolated, lsq, spec, or numbers such as Si=-1.2,Ge=-1.1")
    parser.add_argument(
        "--weight",
        action="append",
        default=[],
        metavar="[TYPE:]E=..,F=..,V=..",
        help="weights of the rows, for all (default: E=30,F=1,V=1) or for one type of structures; may be repeated",
    )
    _add_solver(parser)
    parser.add_argument("--plot", metavar="FILE", type=Path, help="parity plot, .svg or .png (needs matplotlib)")
    parser.add_argument("--no-resume", action="store_true", help="begin anew; keep no state for an interruption")
    parser.add_argument("--threads", metavar="N", type=positive, help="threads (default: ACEGEN_THREADS or all cores)")
    add_json(parser)


def _add_solver(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("solution")
    group.add_argument("--solver", choices=("bayesian", "ridge", "tsvd", "ard"), default="bayesian")
    group.add_argument("--lambda", dest="regularisation", metavar="NUMBER", type=float, help="of ridge")
    group.add_argument("--tolerance", metavar="NUMBER", type=float, help="of tsvd: smallest singular value kept (1e-9)")
    group.add_argument("--prior", metavar="POWER", type=float, default=4.0, help="smoothness prior (4); 0: none")
    group.add_argument("--committee", metavar="N", type=int, default=8, help="posterior samples to keep (8)")
    group.add_argument("--no-active-set", action="store_true", help="choose none: no extrapolation grades")
    group.add_argument("--seed", type=int, default=0, help="of the holdout and the committee (0)")


def run(arguments: argparse.Namespace) -> int:
    """Fit, save, and print what was found, the errors and the warnings."""
    from acegen.fitting.fitted import check_keeps, check_writable, partial_of
    from acegen.spec.files import array_files

    began = time.perf_counter()
    check_writable(arguments.out)
    arrays = (array.path for array in array_files(arguments.spec.expanduser()))
    check_keeps(arguments.out, (arguments.spec, *arguments.train, *(arguments.test or ()), *arrays))
    _check_plot(arguments.plot)
    partial = None if arguments.no_resume else partial_of(arguments.out)
    with Progress(_STEPS) as progress:
        fitted = _fit(arguments, partial, progress)
        files = fitted.save(arguments.out)
        if arguments.plot is not None:
            from acegen.fitting.plot import write_plot

            write_plot(arguments.plot, fitted)
        if arguments.json:
            progress.say(to_json(fitted.report()))
        else:
            progress.say(summary(fitted))
            progress.say(f"{files[0]}, {files[1].name}, {files[2].name} in {seconds_text(time.perf_counter() - began)}")
    return 0


def _check_plot(path: Path | None) -> None:
    """Refuse a picture that cannot be written, before the fit."""
    if path is None:
        return
    if path.suffix not in (".svg", ".png"):
        raise InputError(f"--plot: {path.name}: expected the name of an .svg or .png file")
    check_place(path.expanduser())


def _fit(arguments: argparse.Namespace, partial: Path | None, progress: Progress) -> Fitted:
    from acegen.cli.fit_log import FitLog
    from acegen.fitting.fit import fit
    from acegen.fitting.settings import Keys
    from acegen.fitting.weighting import parse_weights

    keys = {label: getattr(arguments, f"{label}_key") for label in _LABELS}
    return fit(
        arguments.spec,
        arguments.train,
        arguments.test,
        keys=Keys(**keys, kind=arguments.type_key),
        e0=_energies(arguments.e0),
        weights=parse_weights(arguments.weight),
        prior=arguments.prior,
        solver=arguments.solver,
        regularisation=arguments.regularisation,
        tolerance=arguments.tolerance,
        holdout=arguments.holdout,
        seed=arguments.seed,
        committee=arguments.committee,
        active_set=not arguments.no_active_set,
        threads=arguments.threads,
        partial=partial,
        progress=FitLog(progress, _STEPS, arguments.json),
    )


def _energies(text: str) -> str | dict[str, float]:
    """--e0: a word, or Symbol=eV pairs."""
    if "=" not in text:
        return text
    found: dict[str, float] = {}
    for item in text.split(","):
        symbol, _, number = item.partition("=")
        if symbol.strip() in found:
            raise InputError(f"--e0: {symbol.strip()} is given twice in {text!r}, expected one energy for each element")
        try:
            found[symbol.strip()] = float(number)
        except ValueError:
            raise InputError(f"--e0: expected Symbol=energy pairs such as Si=-1.2,Ge=-1.1, found {text!r}") from None
    return found


def summary(fitted: Fitted) -> str:
    """Text for people: solution, errors, warnings; labels and E0 were told when they were found."""
    solution = fitted.solution
    n_parameters = sum(len(weights) for weights in fitted.weights)
    lines = [
        f"{n_parameters} functions, {solution['n_energy_rows']} energy, {solution['n_forces_rows']} force and "
        f"{solution['n_virial_rows']} virial rows; {solution['solver']}: lambda {solution['lambda']:.3g}, "
        f"{solution['effective_parameters']:.1f} parameters decided by the labels"
    ]
    rows = [row for name, group in fitted.errors.items() for errors in group for row in _rows(name, errors)]
    header = ("set", "type", "structures", "atoms", "", "E meV/atom", "F eV/Å", "V meV/atom")
    lines += ["", table(header, rows, left=2), *_largest(fitted), ""]
    return "\n".join([*lines, *(f"warning: {text}" for text in fitted.warnings)]).rstrip()


def _largest(fitted: Fitted) -> list[str]:
    """A line for each set: the largest errors and the frames they are of."""
    from acegen.fitting.accuracy import largest_errors

    lines = []
    for name, comparisons in fitted.comparisons.items():
        parts = [
            f"{_UNITS[label].format(error)} ({Path(one.frame.source).name}: frame {one.frame.number})"
            for label, (error, one) in largest_errors(comparisons).items()
        ]
        lines.append(f"largest errors, {name}: {', '.join(parts)}")
    return lines


def _rows(name: str, errors: Errors) -> list[tuple[str, ...]]:
    """Two lines of the table: root mean squares, mean absolute values."""
    first = (name, errors.kind, str(errors.n_structures), str(errors.n_atoms), "RMSE")
    second = ("", "", "", "", "MAE")
    return [
        (*first, _number(errors.energy_rmse, 2), _number(errors.forces_rmse, 4), _number(errors.virial_rmse, 2)),
        (*second, _number(errors.energy_mae, 2), _number(errors.forces_mae, 4), _number(errors.virial_mae, 2)),
    ]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
