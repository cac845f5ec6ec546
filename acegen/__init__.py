"""acegen: a code-generating compiler for the Atomic Cluster Expansion."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acegen.errors import AcegenError, BuildError, InputError, LoadError, PotentialError, SpecError
    from acegen.fitting.fit import fit
    from acegen.fitting.fitted import Fitted
    from acegen.loader import Bundle, compile, export, load
    from acegen.runtime.evaluation import Evaluation
    from acegen.runtime.graph import GraphBatch
    from acegen.runtime.model import Model

__version__ = "0.1.0"

__all__ = [
    "AcegenError",
    "BuildError",
    "Bundle",
    "Evaluation",
    "Fitted",
    "GraphBatch",
    "InputError",
    "LoadError",
    "Model",
    "PotentialError",
    "SpecError",
    "__version__",
    "compile",
    "export",
    "fit",
    "load",
]

# Resolved on first use (PEP 562): the runtime alone must not load SymPy, nor the compiler cffi.
_HOMES = {
    "AcegenError": "acegen.errors",
    "BuildError": "acegen.errors",
    "InputError": "acegen.errors",
    "LoadError": "acegen.errors",
    "PotentialError": "acegen.errors",
    "SpecError": "acegen.errors",
    "Bundle": "acegen.loader",
    "compile": "acegen.loader",
    "export": "acegen.loader",
    "fit": "acegen.fitting.fit",
    "Fitted": "acegen.fitting.fitted",
    "load": "acegen.loader",
    "Evaluation": "acegen.runtime.evaluation",
    "GraphBatch": "acegen.runtime.graph",
    "Model": "acegen.runtime.model",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'acegen' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
