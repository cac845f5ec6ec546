"""`acegen.fit`: labelled structures and a specification in, a fitted model out.

    read -> label -> check -> E0 -> compile -> rows (streamed into a factor, resumable) -> solve -> committee,
    active set -> errors

The design matrix is never held: see `acegen.fitting.factor`. All solvers start from the same factor.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from acegen.errors import InputError
from acegen.fitting.accuracy import Comparison, compare, errors_by_kind
from acegen.fitting.checks import check_structures, contradicted, disagreeing, large_labels, suspicions, undecided
from acegen.fitting.consistency import unit_mistakes
from acegen.fitting.energies import contradicted_energies
from acegen.fitting.fitted import Fitted, check_regular
from acegen.fitting.grading import choose_active_sets
from acegen.fitting.keys import Found, label_structures
from acegen.fitting.outliers import contradicted_forces
from acegen.fitting.parameters import as_weights
from acegen.fitting.partial import load_partial, save_partial
from acegen.fitting.prior import parameter_prior
from acegen.fitting.reference import Reference, reference_energies
from acegen.fitting.repeated import repeated
from acegen.fitting.rows import Factors, Finding, Report, blocks, stream
from acegen.fitting.settings import Settings, make_settings
from acegen.fitting.solvers import Solution, members, solve
from acegen.fitting.structures import Structure, read_frames
from acegen.fitting.weighting import Weighting, make_weighting
from acegen.fitting.working import Fittable, read_fittable, working_model
from acegen.fitting.zeros import zero_forces
from acegen.loader import compiler_digest
from acegen.runtime.arrays import FloatArray
from acegen.runtime.model import Model


@dataclass(frozen=True, slots=True)
class Labelled:
    """The structures of a fit, in the parts they are used for."""

    train: list[Structure]
    test: list[Structure]
    test_name: str  # "test" or "holdout"
    found: tuple[Found, ...]


def fit(
    spec: str | os.PathLike[str],
    train: Any,
    test: Any = None,
    *,
    partial: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    progress: Report | None = None,
    **choices: Any,
) -> Fitted:
    """Fit a linear model.

    Args:
        spec: basis specification; its weights, if it has any, do not matter.
        train: a path, ASE structures, or a list of either, with energies (eV), forces (eV/A), stresses (eV/A^3) or
            virials (eV) under any of the usual keys. Labels that are missing are left out.
        test: likewise; errors are measured on it.
        partial: file that keeps the state of an interrupted fit; the same call goes on from there.
        threads: None: ACEGEN_THREADS, else all cores.
        progress: told what is being done and the fraction done; labels, E0 and a state gone on from are told as
            `acegen.fitting.rows.Finding`, a str.
        choices: e0, weights, prior, solver, holdout, committee and so on: the fields of
            `acegen.fitting.settings.Settings`.

    Raises:
        InputError: structures or arguments are unusable: names file and frame, or the argument.
        SpecError: the specification breaks a rule or is not linear.
        BuildError: no C compiler, or it failed.
    """
    settings = make_settings(choices)
    weighting = make_weighting(settings.weights)
    kept = None if partial is None else Path(partial).expanduser()
    if kept is not None:
        check_regular(kept)
    source = read_fittable(Path(spec).expanduser())
    basis = source.spec
    say = progress or (lambda text, fraction: None)
    say("read the structures", 0.0)
    labelled = _labelled(train, test, settings)
    check_structures(labelled.train + labelled.test, basis.elements)
    weighting.check_kinds(labelled.train)
    reference = reference_energies(labelled.train, basis, settings.e0, "reference_energies" in source.keys)
    for text in (*(found.sentence() for found in labelled.found), *reference.sentences(basis.elements)):
        say(Finding(text), 0.02)
    say("compile the basis", 0.02)
    model = working_model(source, threads)
    task = _Task(source, model, labelled, reference, weighting, settings, kept, say)
    return _solved(task, _factors(task))


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """A fit of which everything is known but the weights."""

    source: Fittable
    model: Model
    labelled: Labelled
    reference: Reference
    weighting: Weighting
    settings: Settings
    partial: Path | None
    say: Report


def _solved(task: _Task, factors: Factors) -> Fitted:
    """Weights, committee, active set and errors from the compressed rows."""
    settings, model, labelled, spec = task.settings, task.model, task.labelled, task.source.spec
    task.say("solve", 0.9)
    gamma = parameter_prior(spec, settings.prior)
    solution = solve(factors.joined(), gamma, settings)
    warnings, by_forces = _suspected(task, factors, gamma)
    warnings += undecided(solution.effective, model.n_parameters)
    weights = as_weights(model, solution.parameters)
    model.weights = weights
    samples = as_weights(model, members(solution, settings.committee, settings.seed))
    inverses: tuple[FloatArray, ...] = ()
    if settings.active_set:
        task.say("choose the active set", 0.93)
        inverses = choose_active_sets(model, labelled.train)
    task.say("measure the errors", 0.97)
    compared = {"train": compare(model, labelled.train, task.reference)}
    if labelled.test:
        compared[labelled.test_name] = compare(model, labelled.test, task.reference)
    if by_forces is not None:
        for name, ones in compared.items():
            warnings += contradicted_energies(ones, by_forces if name == "train" else (), model.species)
            warnings += contradicted_forces(ones)
    return Fitted(
        source=task.source,
        weights=weights,
        committee=samples if settings.committee else (),
        active_set=inverses,
        reference=task.reference,
        errors={name: errors_by_kind(ones) for name, ones in compared.items()},
        solution=_summary(solution, factors, settings),
        found=labelled.found,
        warnings=tuple(dict.fromkeys(warnings)),
        comparisons=compared,
        weighting=task.weighting,
        settings=settings,
        threads=model.threads,
        partial=task.partial,
    )


def _suspected(task: _Task, factors: Factors, gamma: FloatArray) -> tuple[list[str], list[Comparison] | None]:
    """Warnings that do not need the fit, and energies beside what the forces say; None where labels spoil the fit."""
    labelled, spec, model = task.labelled, task.source.spec, task.model
    train = labelled.train
    warnings = [text for found in labelled.found for text in found.warnings]
    warnings += suspicions(train, spec.elements)
    warnings += repeated(train, labelled.test)
    warnings += disagreeing(train, spec)
    warnings += contradicted(train, spec, task.reference)
    zero = zero_forces(model, train, gamma, labelled.found)
    spoiling = large_labels(train, spec.elements) + zero
    by_forces: list[Comparison] = []
    if not zero:  # of which energies and virials would be too large
        mistakes, by_forces = unit_mistakes(model, train, factors, gamma)
        spoiling += mistakes
    return warnings + spoiling, None if spoiling else by_forces


def _labelled(train: Any, test: Any, settings: Settings) -> Labelled:
    """Structures to fit and to test on.

    Raises:
        InputError: nothing left to fit, or both a test set and a holdout.
    """
    structures, found = label_structures(read_frames(train, "train"), settings.keys)
    holdout = settings.holdout
    if test is not None:
        if holdout > 0.0:
            raise InputError("holdout: expected either test structures or a holdout, got both")
        tested, found_test = label_structures(read_frames(test, "test"), settings.keys)
        return Labelled(structures, tested, "test", (*found, *found_test))
    if holdout == 0.0:
        return Labelled(structures, [], "test", tuple(found))
    order = np.random.Generator(np.random.Philox(settings.seed)).permutation(len(structures))
    out = set(order[: round(holdout * len(structures))].tolist())
    kept = [structure for k, structure in enumerate(structures) if k not in out]
    if not kept or not out:
        raise InputError(f"holdout: {holdout:g} of {len(structures)} structures leaves {len(kept)} to fit")
    return Labelled(kept, [structures[k] for k in sorted(out)], "holdout", tuple(found))


def _factors(task: _Task) -> Factors:
    """All rows, compressed; goes on from the state on disk when it belongs to this very fit."""
    model, structures, partial = task.model, task.labelled.train, task.partial
    parts = blocks(structures, model.n_parameters, task.settings.block_bytes)
    digest = _digest(task, parts)
    factors = None
    if partial is not None:
        try:
            factors = load_partial(partial, model.n_parameters, digest, len(parts))
        except InputError as error:
            task.say(Finding(f"{error}: begun anew"), 0.1)
    factors = factors or Factors.empty(model.n_parameters)
    begun = parts[factors.n_blocks - 1].stop if factors.n_blocks else 0
    saved = time.monotonic()
    if begun:
        task.say(Finding(f"resumed from {partial}: {begun} of {len(structures)} structures done"), 0.1)
    task.say(f"rows of structure {begun} of {len(structures)}", 0.1 + 0.8 * begun / len(structures))
    for done in stream(model, structures, parts, task.reference, task.weighting, factors):
        task.say(f"rows of structure {done} of {len(structures)}", 0.1 + 0.8 * done / len(structures))
        if partial is not None and time.monotonic() - saved >= task.settings.save_every:
            save_partial(partial, factors, digest)
            saved = time.monotonic()
    if not any(factor.n_rows for factor in factors.by_label.values()):
        raise InputError("train: no rows to fit, all labels are missing or have weight 0")
    return factors


def _digest(task: _Task, parts: Sequence[slice]) -> str:
    """sha256 of everything the factors depend on."""
    total = hashlib.sha256()
    told: list[object] = [task.model.manifest.digest, compiler_digest()]
    told += [asdict(task.weighting), task.reference.energies, [[part.start, part.stop] for part in parts]]
    total.update(json.dumps(told).encode())
    for structure in task.labelled.train:
        atoms = structure.atoms
        for array in (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, structure.forces, structure.virial):
            total.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        total.update(repr((structure.kind, structure.energy)).encode())
    return total.hexdigest()


def _summary(solution: Solution, factors: Factors, settings: Settings) -> dict[str, float | int | str]:
    """What the report says of the solution."""
    return {
        "solver": settings.solver,
        "lambda": solution.regularisation,
        "noise": solution.noise,
        "effective_parameters": solution.effective,
        "n_kept": solution.n_kept,
        **{f"n_{label}_rows": factor.n_rows for label, factor in factors.by_label.items()},
    }
