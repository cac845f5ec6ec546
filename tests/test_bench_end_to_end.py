"""The measurement of what is around the kernel: complete, consistent, and told in words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from acegen.bench.end_to_end import KernelCall, end_to_end, text_of
from acegen.bench.structures import build_structure, choose_crystal
from acegen.runtime import GraphBatch, load_bundle

BUNDLE = Path(__file__).parents[1] / "generated" / "si_pair"


@pytest.fixture(scope="module", autouse=True)
def one_cache(tmp_path_factory):
    """One fresh cache for the module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACEGEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_record_and_text():
    """Every part has its numbers, ratios are those of the seconds, and the record is plain JSON."""
    one, two = (load_bundle(BUNDLE, threads=n) for n in (1, 2))
    steps: list[str] = []
    crystal = choose_crystal(one.species)
    record = end_to_end(one, two, crystal, repeats=1, progress=steps.append, n_atoms=128, n_structures=27)
    assert len(steps) == 4
    assert json.loads(json.dumps(record)) == record
    assert record["threads"]["threads"] == 2
    assert record["batch"]["structures"] * record["batch"]["atoms_each"] == record["batch"]["atoms_large"] == 216
    assert record["ase"]["lists"] == 1  # small moves keep the list
    step = record["ase"]
    assert step["ratio"] == pytest.approx(step["seconds_forces"] / step["seconds_kernel"])
    assert len(text_of(record).splitlines()) == 3 + len(record["few"])


def test_kernel_call_is_the_evaluation():
    """The C call alone fills the same results."""
    model = load_bundle(BUNDLE, threads=1)
    graph = GraphBatch.from_atoms(build_structure(model.species, choose_crystal(model.species), 16), model)
    call = KernelCall(model, graph)
    call()
    np.testing.assert_array_equal(call.results["forces"], model.evaluate(graph).forces)
