"""The generated CUDA kernels agree with the C backend and with the zoo, in whatever order their threads run.

float64: 1e-12 of the largest value of each output, in the host shim (acegen/testing); float32: 1e-6 of site energies,
1e-5 of forces and virials.  `pytest -s` prints how close each potential came.  The tests marked `gpu` are the same
cases on a card.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import ase
import numpy as np
import pytest
from cuda_cases import (
    LIGHT,
    PROPERTIES,
    CudaSource,
    Outputs,
    deviations,
    expected,
    run_on_host,
    small_batch,
)
from kernels import Kernels
from spec_texts import SPECS, write_spec
from structures import edge_vectors, lattice
from zoo import KINDS, Frame, frames, quirk, zoo_file

import acegen
from acegen import GraphBatch
from acegen.runtime.model import Model
from acegen.testing.host import ORDERS, HostModule, sanitizer_environment

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = tuple(sorted(path.stem for path in (ROOT / "examples" / "specs").glob("*.yaml")))
CHEAP = ("W-small-s2", "AlNi-mixed-s2")
POTENTIALS = (*(f"{kind}-s1" for kind in KINDS), *CHEAP, *EXAMPLES, *SPECS)
# The kernels of the other corner cases are the same text but for numbers.
CORNERS = (
    "acejl_one_sided",
    "acejl_pair",
    "asymmetric_bonds",
    "base",
    "cheb_linear",
    "core_underflow",
    "density_with_rin",
    "extra_radparameters",
    "fs_negative_rho",
    "fs_shifted_negative_rho",
    "legacy_no_inner_keys",
    "rank1_beyond_bond_nradbase",
    "test_sbessel",
    "test_zero",
    "zbl_dcut_in_zero",
    "zbl_wide",
)
SINGLE = ("W-small-s1", "NiTi-zbl-s1", "cuau", "tabulated")
DOUBLE_LIMIT = 1e-12
FORCE_LIMIT = 1e-10  # of the zoo, as for the C kernels
SINGLE_LIMITS = {"energy": 1e-6, "energies": 1e-6}  # all others 1e-5


class Sources:
    """Generated CUDA and its modules in the shim; g++ works in the background, in the order of the tests."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._made: dict[tuple[Path, str], tuple[CudaSource, Future[HostModule]]] = {}

    def start(self, path: Path, precision: str = "float64") -> None:
        """Generate, and begin to build."""
        if (path, precision) not in self._made:
            source = CudaSource.of(path, precision)
            self._made[path, precision] = source, self._pool.submit(HostModule, source.text, LIGHT)

    def __call__(self, path: Path, precision: str = "float64") -> tuple[CudaSource, HostModule]:
        self.start(path, precision)
        source, module = self._made[path, precision]
        return source, module.result()

    def close(self) -> None:
        """Forget what has not begun, wait for the rest."""
        self._pool.shutdown(cancel_futures=True)


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
    print(f"\n{'CUDA kernels':28}" + "".join(f"{name:>15}" for name in PROPERTIES))
    for name, row in table.items():
        print(f"{name:28}" + "".join(f"{row[key]:15.1e}" if key in row else " " * 15 for key in PROPERTIES))


def path_of(name: str, request: pytest.FixtureRequest) -> Path:
    """File of a potential of the zoo, an example specification or a small one."""
    if name in SPECS:
        return write_spec(request.getfixturevalue("spec_folder"), name)
    if name in EXAMPLES:
        found: Path = request.getfixturevalue("specs") / f"{name}.yaml"
        return found
    return zoo_file(request.getfixturevalue("shared"), name)


@pytest.fixture(scope="module", autouse=True)
def started(request: pytest.FixtureRequest, kernels: Kernels, sources: Sources) -> None:
    """Build the kernels of all selected tests in the background, in their order."""
    for item in request.session.items:
        if item.path == request.path and isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            values = item.callspec.params
            on_card = item.get_closest_marker("gpu") is not None
            if "name" in values and not on_card:
                path = path_of(values["name"], request)
                kernels.start(path, "float64")
                sources.start(path, values.get("precision", "float64"))
            elif "quirk_name" in values:
                sources.start(quirk_file(request.getfixturevalue("shared"), values["quirk_name"]))


@dataclass(frozen=True, eq=False)
class Case:
    """A potential: its CUDA in the shim and its C kernel in double precision."""

    source: CudaSource
    module: HostModule
    model: Model

    def run(self, graph: GraphBatch, order: str = "forward", properties: tuple[str, ...] = PROPERTIES) -> Outputs:
        return run_on_host(self.source, self.module, graph, order, properties)

    def check(self, graph: GraphBatch) -> dict[str, float]:
        """Errors against C; other orders give the very same bits."""
        found = self.run(graph)
        errors = deviations(found, expected(self.model, graph))
        assert all(error <= DOUBLE_LIMIT for error in errors.values()), errors
        for order in ORDERS[1:]:
            other = self.run(graph, order)
            for name in PROPERTIES:
                assert found[name].tobytes() == other[name].tobytes(), f"{name} depends on the order of threads"
        return errors


@pytest.fixture
def case(request: pytest.FixtureRequest, sources: Sources, kernels: Kernels) -> Case:
    """The case of a test's parameters `name` and `precision`."""
    values = request.node.callspec.params
    path = path_of(values["name"], request)
    return Case(*sources(path, values.get("precision", "float64")), kernels(path, "float64"))


def quirk_file(shared: Path, name: str) -> Path:
    return shared / "zoo" / "quirks" / f"{name}.yace"


def check_exact(source: CudaSource, module: HostModule, frame: Frame) -> None:
    """Energies, forces and virial of a reference structure."""
    graph = GraphBatch.from_atoms(frame.atoms, source.cutoff, species=source.species)
    found = run_on_host(source, module, graph, properties=("energies", "forces", "virial"))
    wanted = {"energies": frame.energies, "forces": frame.forces, "virial": frame.virial[None]}
    errors = deviations(found, wanted)
    assert errors["energies"] <= DOUBLE_LIMIT and max(errors.values()) <= FORCE_LIMIT, errors


@pytest.mark.parametrize("name", POTENTIALS)
def test_against_c(case: Case, closeness: dict[str, dict[str, float]], name: str) -> None:
    """All outputs on a batch of a crystal, a lone atom and a cluster, in three orders."""
    closeness[name] = case.check(small_batch(case.model))


@pytest.mark.parametrize("name", [name for name in POTENTIALS if name.endswith("-s1")])
def test_against_the_zoo(case: Case, shared: Path, name: str) -> None:
    check_exact(case.source, case.module, frames(shared / "zoo" / name)[0])


@pytest.mark.parametrize("quirk_name", CORNERS)
def test_corner_cases(sources: Sources, shared: Path, quirk_name: str) -> None:
    """Every radial basis, inner mode, core repulsion and embedding of the corner cases."""
    check_exact(*sources(quirk_file(shared, quirk_name)), quirk(shared, quirk_name))


@pytest.mark.parametrize("precision", ["float32"])
@pytest.mark.parametrize("name", SINGLE)
def test_single_precision(case: Case, closeness: dict[str, dict[str, float]], name: str, precision: str) -> None:
    """Arithmetic in float, sums in double; against the C kernel in double."""
    graph = small_batch(case.model)
    # functions of order 1 are folded into the radial part, so the basis has fewer columns
    properties = tuple(key for key in PROPERTIES if key != "basis")
    errors = deviations(case.run(graph, "random", properties), expected(case.model, graph, properties))
    closeness[f"{name} {precision}"] = errors
    assert all(error <= SINGLE_LIMITS.get(key, 1e-5) for key, error in errors.items()), errors


@pytest.mark.parametrize("name", ["W-small-s1"])
def test_the_arithmetic_is_chosen_when_compiling(case: Case, name: str) -> None:
    """-DREAL=float of the source in double gives single precision too."""
    module = HostModule(case.source.text, (*LIGHT, "-DREAL=float"))
    graph = small_batch(case.model)
    errors = deviations(run_on_host(case.source, module, graph, real="float"), expected(case.model, graph))
    assert all(1e-12 < errors[key] < 1e-5 for key in ("energies", "forces", "virial")), errors


@pytest.mark.parametrize("name", ["NiTi-zbl-s1"])
def test_sanitizers_find_nothing(case: Case, tmp_path: Path, name: str) -> None:
    """Addresses, alignment and undefined arithmetic, in a process of its own; same numbers as without."""
    graph = small_batch(case.model)
    case.source.save(tmp_path, graph)
    environment = {
        **os.environ,
        **sanitizer_environment(),
        "PYTHONPATH": os.pathsep.join(map(str, [ROOT, ROOT / "tests"])),
    }
    command = [sys.executable, str(ROOT / "tests" / "cuda_cases.py"), str(tmp_path)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and result.stdout == "no finding\n" and result.stderr == "", result.stderr
    with np.load(tmp_path / "outputs.npz") as found:
        errors = deviations(dict(found), expected(case.model, graph))
    assert all(error <= DOUBLE_LIMIT for error in errors.values()), errors


@pytest.mark.parametrize("name", ["W-small-s1", "cuau"])
def test_more_neighbours_than_any_chunk(case: Case, name: str) -> None:
    """One atom in a tiny cell sees itself some 500 times."""
    graph = GraphBatch.from_atoms(lattice(case.model, (1, 1, 1), spacing=0.2), case.model)
    assert graph.n_edges > 400
    case.check(graph)


@pytest.mark.parametrize("name", ["W-small-s1", "cuau"])
def test_more_atoms_than_a_tile(case: Case, name: str) -> None:
    graph = GraphBatch.from_atoms(lattice(case.model, (4, 4, 5), pbc=False), case.model)
    found = case.run(graph)
    errors = deviations(found, expected(case.model, graph))
    assert all(error <= DOUBLE_LIMIT for error in errors.values()), errors


@pytest.mark.parametrize("name", ["W-small-s1", "cuau"])
def test_edge_vectors_instead_of_positions(case: Case, name: str) -> None:
    graph = small_batch(case.model)
    other = replace(graph, positions=None, edge_vectors=edge_vectors(graph), prepared={})
    errors = deviations(case.run(other), expected(case.model, graph))
    assert all(error <= DOUBLE_LIMIT for error in errors.values()), errors


@pytest.mark.parametrize("name", ["W-small-s1", "cuau"])
def test_every_output_may_be_left_out(case: Case, name: str) -> None:
    """What is wanted alone is the same to the last bit."""
    graph = small_batch(case.model)
    together = case.run(graph)
    for key in PROPERTIES:
        alone = case.run(graph, properties=(key,))
        assert alone[key].tobytes() == together[key].tobytes(), key


@pytest.mark.parametrize("name", ["W-small-s1", "cuau"])
def test_a_structure_does_not_depend_on_its_batch(case: Case, name: str) -> None:
    crystal, other = lattice(case.model, (2, 2, 2), 3), lattice(case.model, (2, 2, 2), 8)
    alone = case.run(GraphBatch.from_atoms(crystal, case.model))
    batch = case.run(GraphBatch.from_atoms([other, crystal], case.model))
    for key in ("energy", "energies", "forces", "virial", "virials", "basis"):
        rows = len(alone[key])
        assert batch[key][-rows:].tobytes() == alone[key].tobytes(), key


@pytest.mark.parametrize("name", ["W-small-s1", "NiTi-zbl-s1", "cuau"])
def test_atoms_without_neighbours(case: Case, name: str) -> None:
    """No edge at all, and no atom at all."""
    symbols = [symbol for symbol in case.model.species for _ in range(2)]
    apart = ase.Atoms(symbols, [(50.0 * k, 0, 0) for k in range(len(symbols))])
    graph = GraphBatch.from_atoms(apart, case.model)
    assert graph.n_edges == 0
    case.check(graph)
    nothing = case.run(GraphBatch.from_atoms(ase.Atoms(), case.model))
    assert nothing["energy"].tolist() == [0.0] and not nothing["virial"].any() and nothing["forces"].shape == (0, 3)


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


@pytest.fixture(scope="session")
def card() -> None:
    """Skips without CuPy and a device."""
    try:
        import cupy

        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy's own classes are not known without it
        pytest.skip(f"no CUDA device: {error}")
    if count == 0:
        pytest.skip("no CUDA device")


@pytest.mark.gpu
@pytest.mark.parametrize("name", POTENTIALS)
def test_on_a_card(card: None, request: pytest.FixtureRequest, kernels: Kernels, name: str) -> None:
    """The cases of the shim through CuPy; twice, for the same bits."""
    path = path_of(name, request)
    model, on_card = kernels(path, "float64"), acegen.load(path, device="cuda", precision="float64")
    graph = small_batch(model)
    found, again = expected(on_card, graph), expected(on_card, graph)
    errors = deviations(found, expected(model, graph))
    assert all(error <= DOUBLE_LIMIT for error in errors.values()), errors
    assert all(found[key].tobytes() == again[key].tobytes() for key in PROPERTIES)


@pytest.mark.gpu
@pytest.mark.parametrize("name", SINGLE)
def test_single_precision_on_a_card(card: None, request: pytest.FixtureRequest, kernels: Kernels, name: str) -> None:
    path = path_of(name, request)
    model, on_card = kernels(path, "float64"), acegen.load(path, device="cuda", precision="float32")
    graph = small_batch(model)
    properties = tuple(key for key in PROPERTIES if key != "basis")
    errors = deviations(expected(on_card, graph, properties), expected(model, graph, properties))
    assert all(error <= SINGLE_LIMITS.get(key, 1e-5) for key, error in errors.items()), errors
