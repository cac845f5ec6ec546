"""The generated CUDA kernels agree with the C backend and with the zoo, in whatever order their threads run.

float64: 1e-12 of the largest value of each output, in the host shim (acegen/testing); float32: 1e-6 of site energies,
1e-5 of forces and virials.  `pytest -s` prints how close each potential came.  With `--every-kernel` these are all
potentials of the zoo, its corner cases and all specifications, else a choice of them; marked `gpu`, the same cases on
a card.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import ase
import numpy as np
import pytest
from cuda_built import DOUBLE_LIMIT, Case, Sources
from cuda_cases import LIGHT, PROPERTIES, CudaSource, deviations, expected, run_on_host, small_batch
from cuda_potentials import (
    CORNERS,
    FEW,
    KINDS_ONCE,
    NOT_SINGLE,
    PUBLISHED,
    SINGLE,
    SOME,
    names_for,
    path_of,
    references,
)
from kernels import Kernels
from structures import edge_vectors, lattice

import acegen
from acegen import GraphBatch
from acegen.errors import AcegenError
from acegen.runtime.cuda.backend import cuda_backend
from acegen.testing.host import HostModule, sanitizer_environment

ROOT = Path(__file__).resolve().parents[1]
FORCE_LIMIT = 1e-10  # of the zoo, as for the C kernels
SINGLE_LIMITS = {"energy": 1e-6, "energies": 1e-6}  # all others 1e-5
# functions of order 1 are folded into the radial part in single precision, so the basis has fewer columns
SINGLE_PROPERTIES = tuple(key for key in PROPERTIES if key != "basis")
CHOSEN = {
    "test_against_c": SOME,
    "test_against_the_zoo": (*KINDS_ONCE, *CORNERS),
    "test_single_precision": SINGLE,
    "test_sanitizers_find_nothing": ("cuau",),
    "test_odd_structures": FEW,
    "test_a_structure_does_not_depend_on_its_batch": FEW,
    "test_every_output_may_be_left_out": FEW,
    "test_many_tiny_structures": ("W-small-s1", "cuau"),
}
ON_A_CARD = tuple(name for name in CHOSEN if name not in ("test_sanitizers_find_nothing",))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Names of potentials, and the shim or a card, for the tests of the table above."""
    test = metafunc.function.__name__
    if test not in CHOSEN:
        return
    metafunc.parametrize("name", names_for(metafunc.config, CHOSEN[test]))
    if test in ON_A_CARD:
        metafunc.parametrize("device", ["host", pytest.param("cuda", marks=pytest.mark.gpu)])


@pytest.fixture(scope="module")
def sources(cache: None) -> Iterator[Sources]:
    """Generated CUDA by file and precision."""
    made = Sources()
    yield made
    made.close()


@pytest.fixture(scope="module")
def closeness() -> Iterator[dict[str, dict[str, float]]]:
    """Measured agreement by case, printed at the end."""
    table: dict[str, dict[str, float]] = {}
    yield table
    print(f"\n{'CUDA kernels':44}" + "".join(f"{name:>15}" for name in PROPERTIES))
    for name, row in table.items():
        print(f"{name:44}" + "".join(f"{row[key]:15.1e}" if key in row else " " * 15 for key in PROPERTIES))


@pytest.fixture(scope="module", autouse=True)
def started(request: pytest.FixtureRequest, kernels: Kernels, sources: Sources) -> None:
    """Build the kernels of all selected tests in the background, in their order; all of them at once, when few."""
    wanted = dict.fromkeys(
        (item.callspec.params["name"], item.callspec.params.get("precision", "float64"), needs_c(item))
        for item in request.session.items
        if item.path == request.path and isinstance(item, pytest.Function) and hasattr(item, "callspec")
        if "name" in item.callspec.params and item.callspec.params.get("device") != "cuda"
    )
    for name, precision, with_c in wanted:
        if not missing(name, request):
            path = path_of(name, request)
            if with_c:
                kernels.start(path, "float64")
            sources.start(path, precision)


def needs_c(item: pytest.Function) -> bool:
    """False for tests against reference values alone."""
    return item.function.__name__ != "test_against_the_zoo"


def missing(name: str, request: pytest.FixtureRequest) -> bool:
    """True when the file of the potential is not on this machine: its tests are skipped."""
    try:
        path_of(name, request)
    except pytest.skip.Exception:
        return True
    return False


@pytest.fixture(scope="session")
def card() -> None:
    """Skips without CuPy and a device."""
    try:
        cuda_backend("cuda")
    except AcegenError as error:
        pytest.skip(f"no CUDA device: {error}")


@pytest.fixture
def case(request: pytest.FixtureRequest, sources: Sources, kernels: Kernels) -> Case:
    """The case of a test's parameters `name`, `precision` and `device`."""
    values = request.node.callspec.params
    precision = values.get("precision", "float64")
    path = path_of(values["name"], request)
    if values.get("device") == "cuda":
        request.getfixturevalue("card")
    c = kernels(path, "float64") if needs_c(request.node) else None
    if values.get("device") != "cuda":
        return Case(*sources(path, precision), c)
    return Case(CudaSource.of(path, precision), acegen.load(path, device="cuda", precision=precision), c)


def test_against_c(case: Case, closeness: dict[str, dict[str, float]], name: str, device: str) -> None:
    """All outputs on a batch of a crystal, a lone atom and a cluster, in three orders."""
    closeness[f"{name} {device}"] = case.check(small_batch(case.model))


def test_against_the_zoo(case: Case, request: pytest.FixtureRequest, name: str, device: str) -> None:
    """Energies, forces and virial of reference structures: every radial basis, inner mode, core and embedding.

    Threads in the reverse order give the very same bits.
    """
    every = request.config.getoption("every_kernel")
    frames = references(name, request.getfixturevalue("shared"))
    if not frames:
        pytest.skip("no reference structures of a specification")
    for frame in frames if every else frames[:1]:
        graph = GraphBatch.from_atoms(frame.atoms, case.source.cutoff, species=case.source.species)
        found = case.run(graph, properties=("energies", "forces", "virial"))
        wanted = {"energies": frame.energies, "forces": frame.forces}
        wanted |= {} if frame.virial is None else {"virial": frame.virial[None]}
        errors = deviations({key: found[key] for key in wanted}, wanted)
        again = case.run(graph, "reverse", ("energies", "forces", "virial"))
        assert all(again[key].tobytes() == found[key].tobytes() for key in found), "depends on the order of threads"
        limit = DOUBLE_LIMIT if name != PUBLISHED else FORCE_LIMIT  # sums of 1e5 eV cancel to 1 eV
        assert errors["energies"] <= limit and max(errors.values()) <= FORCE_LIMIT, errors


@pytest.mark.parametrize("precision", ["float32"])
def test_single_precision(
    case: Case, closeness: dict[str, dict[str, float]], name: str, device: str, precision: str
) -> None:
    """Arithmetic in float, sums in double; against the C kernel in double."""
    graph = small_batch(case.model)
    errors = deviations(case.run(graph, "random", SINGLE_PROPERTIES), expected(case.model, graph, SINGLE_PROPERTIES))
    closeness[f"{name} {device} {precision}"] = errors
    factor = NOT_SINGLE.get(name, 1.0)
    assert all(error <= factor * SINGLE_LIMITS.get(key, 1e-5) for key, error in errors.items()), errors


@pytest.mark.parametrize("name", ["W-small-s1"])
def test_the_arithmetic_is_chosen_when_compiling(case: Case, name: str) -> None:
    """-DREAL=float of the source in double gives single precision too."""
    module = HostModule(case.source.text, (*LIGHT, "-DREAL=float"))
    graph = small_batch(case.model)
    errors = deviations(run_on_host(case.source, module, graph, real="float"), expected(case.model, graph))
    assert all(1e-12 < errors[key] < 1e-5 for key in ("energies", "forces", "virial")), errors


def test_sanitizers_find_nothing(case: Case, tmp_path: Path, name: str) -> None:
    """Addresses, alignment and undefined arithmetic, in a process of its own; same numbers as without."""
    began = time.perf_counter()
    graph = small_batch(case.model)
    case.source.save(tmp_path, graph)
    environment = {**os.environ, **sanitizer_environment(), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "tests" / "cuda_sanitized.py"), str(tmp_path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and result.stdout == "no finding\n" and result.stderr == "", result.stderr
    with np.load(tmp_path / "outputs.npz") as found:
        errors = deviations(dict(found), expected(case.model, graph))
    assert all(error <= DOUBLE_LIMIT for error in errors.values()), errors
    print(f"sanitizers: {name} {time.perf_counter() - began:.1f} s")


def test_odd_structures(case: Case, name: str, device: str) -> None:
    """One atom in a tiny cell that sees itself some 500 times; 33 atoms of one species; atoms far apart; none."""
    model = case.model
    tiny = GraphBatch.from_atoms(lattice(model, (1, 1, 1), spacing=0.2), model)
    assert tiny.n_edges > 400
    case.check(tiny, cancelling=True)
    ribbon = lattice(model, (3, 11, 1), pbc=(False, True, False), species=model.species[-1:])
    case.check(GraphBatch.from_atoms(ribbon, model))
    apart = ase.Atoms(
        [s for s in model.species for _ in range(2)], [(50.0 * k, 0, 0) for k in range(2 * len(model.species))]
    )
    alone = GraphBatch.from_atoms(apart, model)
    assert alone.n_edges == 0
    case.check(alone)
    nothing = case.run(GraphBatch.from_atoms(ase.Atoms(), model))
    assert nothing["energy"].tolist() == [0.0] and not nothing["virial"].any() and nothing["forces"].shape == (0, 3)
    assert case.run(GraphBatch.from_atoms([], model))["energy"].shape == (0,)


def test_many_tiny_structures(case: Case, name: str, device: str) -> None:
    """1,000 pairs of atoms at all distances in one batch.

    Some come near a zero of the density, where embeddings may be sharp: derivatives are held to the limit of the zoo.
    """
    stream = np.random.Generator(np.random.Philox(12))
    reach = 1.1 * case.model.cutoff
    symbols = itertools.cycle(itertools.product(case.model.species, repeat=2))
    near = 0.3 * float(case.model.cutoffs.min())
    pairs = [ase.Atoms(next(symbols), [(0, 0, 0), (stream.uniform(near, reach), 0, 0)]) for _ in range(1000)]
    graph = GraphBatch.from_atoms(pairs, case.model)
    errors = deviations(case.run(graph), expected(case.model, graph))
    assert max(errors[key] for key in ("energy", "energies", "basis")) <= DOUBLE_LIMIT, errors
    assert max(errors.values()) <= FORCE_LIMIT, errors


@pytest.mark.parametrize("name", ["W-small-s1", "cuau"])
def test_more_atoms_than_a_tile(case: Case, name: str) -> None:
    graph = GraphBatch.from_atoms(lattice(case.model, (4, 4, 5), pbc=False), case.model)
    errors = deviations(case.run(graph), expected(case.model, graph))
    assert all(error <= DOUBLE_LIMIT for error in errors.values()), errors


@pytest.mark.parametrize("name", ["W-small-s1", "cuau"])
def test_edge_vectors_instead_of_positions(case: Case, name: str) -> None:
    graph = small_batch(case.model)
    other = replace(graph, positions=None, edge_vectors=edge_vectors(graph), prepared={})
    errors = deviations(case.run(other), expected(case.model, graph))
    assert all(error <= DOUBLE_LIMIT for error in errors.values()), errors


def test_every_output_may_be_left_out(case: Case, name: str, device: str) -> None:
    """What is wanted alone is the same to the last bit."""
    graph = small_batch(case.model)
    together = case.run(graph)
    for key in PROPERTIES:
        alone = case.run(graph, properties=(key,))
        assert alone[key].tobytes() == together[key].tobytes(), key


def test_a_structure_does_not_depend_on_its_batch(case: Case, name: str, device: str) -> None:
    """A batch gives what its structures give one by one, to the last bit."""
    frames = [lattice(case.model, (2, 2, 2), seed) for seed in (8, 3)]
    frames.append(lattice(case.model, (1, 3, 2), 5, pbc=False))
    batch = case.run(GraphBatch.from_atoms(frames, case.model))
    alone = [case.run(GraphBatch.from_atoms(frame, case.model)) for frame in frames]
    for key in ("energy", "energies", "forces", "virial", "virials", "basis", "edge_gradients"):
        joined = np.concatenate([one[key] for one in alone])
        assert batch[key].tobytes() == joined.tobytes(), key


@pytest.mark.parametrize("name", ["order4", "glorot3"])
def test_weights_are_an_argument(case: Case, kernels: Kernels, request: pytest.FixtureRequest, name: str) -> None:
    """Coefficients of other weights, without compiling again."""
    model = acegen.load(kernels.bundle(path_of(name, request), precision="float64"), threads=1)
    stream = np.random.Generator(np.random.Philox(11))
    model.weights = [array * stream.uniform(0.5, 2.0, array.shape) for array in model.weights]
    graph = small_batch(model)
    found = run_on_host(case.source, case.module, graph, coefficients=model.coefficients)
    errors = deviations(found, expected(model, graph))
    assert all(error <= DOUBLE_LIMIT for error in errors.values()), errors
    assert deviations(found, case.run(graph))["energies"] > 1e-3
