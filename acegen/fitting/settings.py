"""The choices of a fit: every field is a keyword argument of `acegen.fit`."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from acegen.errors import InputError

Solver = Literal["bayesian", "ridge", "tsvd", "ard"]
SOLVERS: tuple[Solver, ...] = get_args(Solver)


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of the labels; None: found by trying the known ones, in each file anew."""

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    virial: str | None = None
    kind: str | None = None  # of the type of a structure, such as config_type


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides a fit beside the specification and the structures."""

    keys: Keys = field(default_factory=Keys)
    # reference energies: "auto", "isolated", "lsq", "spec", or eV by symbol
    e0: str | Mapping[str, float] = "auto"
    # of the rows by type of structure, such as {"default": {"E": 30, "F": 1, "V": 1}, "liquid": {"E": 10}}
    weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    prior: float = 4.0  # power p of the smoothness prior; 0: none
    solver: Solver = "bayesian"
    regularisation: float | None = None  # lambda of "ridge"; None: of largest evidence
    tolerance: float | None = None  # of "tsvd": smallest singular value kept, in largest ones; None: 1e-9
    holdout: float = 0.0  # fraction of the training structures kept out of the fit for testing, chosen by `seed`
    seed: int = 0
    committee: int = 8  # posterior samples kept beside the weights
    active_set: bool = True  # choose the environments that the extrapolation grade refers to
    block_bytes: int = 64 * 2**20  # design-matrix rows in memory at a time, unless one structure alone has more
    save_every: float = 20.0  # s between two states on disk


def make_settings(choices: Mapping[str, Any]) -> Settings:
    """Settings of keyword arguments.

    Raises:
        InputError: an unknown name, or a value out of its range.
    """
    known = [one.name for one in fields(Settings)]
    for name in choices:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise InputError(f"fit: unknown argument {name!r}, {hint}")
    own = dict(choices)
    if isinstance(own.get("keys"), Mapping):
        try:
            own["keys"] = Keys(**own["keys"])
        except TypeError:
            names = ", ".join(one.name for one in fields(Keys))
            raise InputError(f"keys: expected some of {names}, found {', '.join(map(str, own['keys']))}") from None
    settings = Settings(**own)
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    """Refuse values of a wrong kind and numbers out of their range."""
    keys = settings.keys
    if not isinstance(keys, Keys) or not all(isinstance(getattr(keys, one.name), str | None) for one in fields(Keys)):
        raise InputError(f"keys: expected a mapping such as {{'energy': 'REF_energy'}}, found {keys!r}")
    if not isinstance(settings.e0, str | Mapping):
        raise InputError(f"e0: expected a word or energies by symbol, found {settings.e0!r}")
    if not isinstance(settings.active_set, bool):
        raise InputError(f"active_set: expected True or False, found {settings.active_set!r}")
    if settings.solver not in SOLVERS:
        raise InputError(f"solver: found {settings.solver!r}, expected one of {', '.join(SOLVERS)}")
    for name, low in (("committee", 0), ("seed", 0), ("block_bytes", 1)):
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise InputError(f"{name}: expected a whole number >= {low}, found {value!r}")
    if settings.committee == 1:
        raise InputError("committee: expected 0, or two members or more, found 1")
    for name, low_number, high in (
        ("prior", 0.0, 20.0),
        ("holdout", 0.0, 1.0),
        ("save_every", 0.0, math.inf),
    ):
        number = getattr(settings, name)
        if not _is_within(number, low_number, high):
            raise InputError(f"{name}: expected a number in {low_number:g}..{high:g}, found {number!r}")
    tolerance = settings.tolerance
    if tolerance is not None and (settings.solver != "tsvd" or not _is_within(tolerance, 0.0, 1.0)):
        raise InputError(
            f"tolerance: expected a number in 0..1 with solver 'tsvd', found {tolerance!r} with {settings.solver!r}"
        )
    lam = settings.regularisation
    sane = lam is None or (_is_within(lam, 0.0, math.inf) and (lam == 0.0 or 1e-30 <= lam <= 1e30))
    if lam is not None and (settings.solver != "ridge" or not sane):
        raise InputError(
            f"regularisation, lambda: expected 0 or a number in 1e-30..1e30 with solver 'ridge', found {lam!r} with "
            f"{settings.solver!r}"
        )


def _is_within(value: object, low: float, high: float) -> bool:
    """Whether it is a number >= low and < high."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value < high
