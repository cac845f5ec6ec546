"""Runs the forward mode of a bundle under the sanitizers: started by the tests in a process of its own."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from acegen.record import Record
from acegen.runtime.cuda.design import DesignProgram
from acegen.runtime.cuda.graph import upload
from acegen.runtime.cuda.host import HostBackend
from acegen.runtime.design import Design
from acegen.testing.host import HostModule


class Sanitized(HostBackend):
    """The shim with sanitizers."""

    def load(self, source: str, name: str, defines: Sequence[str] = ()) -> Any:
        del name
        return HostModule(source, ("-O0", *(f"-D{define}" for define in defines)), sanitize=True)


def main(bundle: Path, folder: Path) -> None:
    """Rows of the graph in graph.pickle, and its basis gradients, in random order; the rows are kept in rows.npz."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    record = Record.from_json(manifest["cuda_design"])
    graph = pickle.loads((folder / "graph.pickle").read_bytes())
    backend = Sanitized("random")
    n_parameters = sum(map(sum, manifest["n_basis_per_species"]))
    program = DesignProgram(record, (bundle / record.source).read_text(), backend, n_parameters)
    sent = upload(backend, graph, record.n_species)
    rows = {name: backend.allocate(shape, np.float64) for name, shape in program.shapes(graph).items()}
    program.rows(sent, Design(**rows))
    assert np.isfinite(program.gradients(sent)).all()
    np.savez(folder / "rows.npz", **rows)
    print("no finding")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
