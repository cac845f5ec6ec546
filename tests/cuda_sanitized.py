"""Runs saved launch lists under the sanitizers: started by the tests in a process of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from acegen.record import Record
from acegen.testing.host import HostModule, run_record


def main(folder: Path) -> None:
    """Run the case of a folder (see CudaSource.save) in random order and keep its outputs."""
    record = Record.from_json(json.loads((folder / "record.json").read_text()))
    sizes: dict[str, int] = json.loads((folder / "sizes.json").read_text())
    with np.load(folder / "graph.npz") as archive:
        arrays = dict(archive)
    shapes: dict[str, list[int]] = json.loads((folder / "outputs.json").read_text())
    outputs = {name: np.full(shape, 0.0 if name == "basis" else np.nan) for name, shape in shapes.items()}
    module = HostModule((folder / "kernels.cu").read_text(), ("-O0",), sanitize=True)
    run_record(record, module, {**arrays, **outputs}, sizes, "random")
    np.savez(folder / "outputs.npz", **outputs)
    print("no finding")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
