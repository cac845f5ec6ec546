"""Stage 6, output: `Evaluation`, the properties that were asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NoReturn

from acegen.errors import InputError
from acegen.manifest import EVALUATE
from acegen.runtime.arrays import FloatArray

FORWARD = "basis_gradients"  # comes from the forward-mode kernel
PROPERTIES = (*(argument.name for argument in EVALUATE if argument.intent == "out"), FORWARD)
DERIVED = ("gamma", "energy_std", "forces_std")  # made of what kernels return
DEFAULT_PROPERTIES = ("energy", "forces", "virial")


class Evaluation:
    """Results of one call, float64; only the properties that were asked for are there.

    energy [n_systems] eV; energies [n_atoms] eV; forces [n_atoms, 3] eV/A; virial [n_systems, 3, 3] eV;
    virials [n_atoms, 3, 3] eV of each centre; basis [n_atoms, n_basis];
    edge_gradients [n_edges, 3] eV/A, dE_i/dr_ij in the caller's order of the edges;
    basis_gradients [n_edges, 3, n_basis] 1/A, dB_b(i)/dr_ij in the same order;
    gamma [n_atoms], extrapolation grade: up to about 1 within the training data, several and more far from it;
    energy_std [n_systems] eV, forces_std [n_atoms, 3] eV/A: sample standard deviation (n - 1) over the members of the
    committee, about their own mean.
    """

    energy: FloatArray
    energies: FloatArray
    forces: FloatArray
    virial: FloatArray
    virials: FloatArray
    basis: FloatArray
    edge_gradients: FloatArray
    gamma: FloatArray
    energy_std: FloatArray
    forces_std: FloatArray
    basis_gradients: FloatArray

    def __init__(self, results: dict[str, FloatArray]) -> None:
        self.__dict__.update(results)

    def __getattr__(self, name: str) -> NoReturn:
        if name in PROPERTIES or name in DERIVED:
            known = ", ".join(self.__dict__)
            raise AttributeError(f"{name!r} was not evaluated (only {known}): ask with properties=({name!r}, ...)")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"Evaluation({', '.join(f'{name}{list(array.shape)}' for name, array in self.__dict__.items())})"


def checked_properties(properties: str | Iterable[str], derived: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Names to evaluate, each known and once; `derived`: those that may be asked for beyond the outputs of kernels."""
    if properties is DEFAULT_PROPERTIES:
        return DEFAULT_PROPERTIES
    if not isinstance(properties, Iterable):
        raise InputError(f"properties: expected a sequence of names, found {properties!r}")
    names = (properties,) if isinstance(properties, str) else tuple(properties)
    known = (*PROPERTIES, *derived)
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"properties: expected a sequence of names, found {name!r} in it")
        if name not in known:
            if "," in name:
                raise InputError(f"properties: expected a sequence of names, found the one text {name!r}")
            if name in DERIVED:
                raise InputError(f"properties: {name!r} is made of outputs of the kernels, expected one of those")
            near = difflib.get_close_matches(name, known, 1)
            hint = f", did you mean {near[0]!r}?" if near else f", expected some of {', '.join(known)}"
            raise InputError(f"properties: {name!r} is unknown{hint}")
    return tuple(dict.fromkeys(names))
