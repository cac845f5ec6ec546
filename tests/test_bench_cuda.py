"""`acegen bench --device cuda`: complete, consistent records without a card; everything but the times is checked."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_card import FakeCard
from pair_cuda import write_cuda_bundle

from acegen.bench import cuda_roofs
from acegen.bench.cuda_card import _told_by_smi, card_line
from acegen.bench.cuda_clock import TimedBackend, kernel_seconds
from acegen.bench.cuda_floors import Ceilings, floor_of, reached, shared_bandwidth, stage_of
from acegen.bench.cuda_roofs import measure_roofs
from acegen.bench.cuda_session import Wanted, measure_on_device
from acegen.cli.bench_cuda_text import text_of
from acegen.cli.main import main
from acegen.plan.cuda_costs import Cost

LAUNCHES = ("pool", "product", "gradient", "gather", "sums")  # of the bundle, product for each of two species


@pytest.fixture
def card(monkeypatch) -> FakeCard:
    """A module that stands in for CuPy, with a card that is the host shim."""
    made = FakeCard()
    monkeypatch.setitem(sys.modules, "cupy", made)

    def cached_cubin(source, name, architecture, defines, major):
        path = Path(f"{len(made.sources)}.cubin")
        made.sources[str(path)] = "".join(f"#define {d.replace('=', ' ')}\n" for d in defines) + source
        return path

    monkeypatch.setattr("acegen.runtime.cuda.compile.cached_cubin", cached_cubin)
    monkeypatch.setattr("acegen.bench.cuda_card._told_by_smi", lambda card: {"clock_mhz": "1980", "driver": "580.1"})
    return made


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return write_cuda_bundle(tmp_path_factory.mktemp("bundles") / "morse.acegen")


@pytest.fixture
def record(card, bundle) -> dict:
    """Two sizes and a batch in both precisions."""
    options = {"cached": True, "floors": True, "batch": 3, "cpu_atoms": 64, "compared": 32, "seconds": 1e-3}
    wanted = Wanted(bundle, "cuda:1", (8, 40), ("float64", "float32"), repeats=2, **options)
    steps: list[str] = []
    found = measure_on_device(wanted, steps.append)
    assert len(steps) == wanted.steps
    return json.loads(json.dumps(found, allow_nan=False))


def test_record_is_complete_and_told(record, tmp_path, capsys):
    """Every size and precision has its kernels, lists, memory; rates follow from times; the device agrees."""
    assert record["kind"] == "cuda" and record["card"]["name"] == "Shim" and record["card"]["cuda_of_driver"] == "13.0"
    assert record["machine"]["date"] and all(rate > 0 for rate in record["roofs"].values())
    runs, batches = record["runs"], record["batches"]
    assert [(run["precision"], run["n_atoms"]) for run in runs] == [(f"float{n}", m) for n in (64, 32) for m in (8, 32)]
    for run in runs + batches:
        assert run["device"] == "cuda:1" and tuple(run["kernels"]) == LAUNCHES
        assert run["kernels_us_per_atom"] == pytest.approx(sum(run["kernels"].values()), abs=1e-5)
        assert run["kernels_atom_steps_per_s"] == pytest.approx(1e6 / run["kernels_us_per_atom"], rel=1e-3)
        assert run["atom_steps_per_s"] == pytest.approx(1e6 / run["us_per_atom"], rel=1e-3)
        assert all(run[name] > 0 for name in ("list_build_us", "list_refresh_us", "step_us", "memory_bytes"))
        assert len(run["samples"]) == 2 and run["us_per_atom_min"] <= run["us_per_atom"]
        assert run["gflops"] >= 0 and run["memory_predicted"] > 0
    assert [(one["n_systems"], one["n_atoms"]) for one in batches] == [(3, 24)] * 2
    assert [one["evaluator"] for one in record["agreement"]] == [f"acegen float{n} on cuda:1" for n in (64, 32)]
    assert record["agreement"][0]["forces"] < 1e-12 and record["agreement"][1]["forces"] < 1e-4
    assert [kernel["precision"] for kernel in record["kernels"]] == ["float64", "float32"]
    assert record["notes"] == [
        f"floors, float{n}: work is counted in the plan of an input, found a bundle folder: left out" for n in (64, 32)
    ]
    text = text_of(record)
    for part in ("Shim (sm_90, 1 multiprocessors", "1980 of ? MHz", "(measured)", "ns per atom by kernel", "1 thread,"):
        assert part in text
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record))
    assert main(["bench", "--table", str(path), str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| morse |") for line in lines) == 8
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 2
    assert card_line(record["card"]) in "\n".join(lines)
    assert main(["bench", "--table", str(path), "--plot", str(tmp_path / "plot.svg")]) == 2
    assert "expected a record of the CPU" in capsys.readouterr().err


def test_sizes_beyond_the_memory_are_left_out(card, bundle):
    """A note tells what was needed; the sizes that fit are measured."""
    wanted = Wanted(
        bundle, sizes=(10_000_000, 8), repeats=1, cached=True, batch=0, cpu_atoms=8, compared=8, seconds=1e-3
    )
    found = measure_on_device(wanted)
    assert [run["n_atoms"] for run in found["runs"]] == [8] and found["batches"] == []
    (note,) = found["notes"]
    assert note.startswith("10,000,000 atoms, float64: ") and "GB free: left out" in note


def test_every_launch_is_timed_and_none_outside(card):
    """Events come in pairs around launches inside `timed`, not around the delay; kernels of one name add up."""
    backend = TimedBackend("cuda:1")
    source = 'extern "C" __global__ void one(long long n, double *x) { if (n) x[0] += 1; }\n'
    source += 'extern "C" __global__ void two(long long n, double *x) { if (n) x[0] += 100; }\n'
    module, x = backend.load(source, "counts.cu"), backend.to_device(np.zeros(1))

    def work() -> None:
        for kernel in ("two", "one", "two"):
            backend.launch(module, kernel, 1, 1, (1, x))
        backend.launch(module, "one", 0, 1, (1, x))  # not started

    found = kernel_seconds(backend, work, 3, lambda: backend.launch(module, "two", 1, 1, (10, x)))
    assert list(found) == ["two", "one"] and all(seconds > 0 for seconds in found.values())
    assert backend.to_host(x)[0] == 4 * 201 + 3 * 100 and card.events == 3 * 3 * 2
    work()
    assert card.events == 18


def test_roofs_are_rates(card):
    """The kernels run, the copy copies, and what comes out is positive."""
    backend = TimedBackend("cuda:0")
    roofs = measure_roofs(backend, 1, seconds=1e-3, samples=1, largest=1 << 16)
    assert min(roofs.float64, roofs.float32, roofs.bandwidth, roofs.shared) > 0
    module = backend.load(Path(cuda_roofs.__file__).with_suffix(".cu").read_text(), "roofs")
    given, out = backend.to_device(np.arange(200.0)), backend.to_device(np.zeros(200))
    backend.launch(module, "copy_pairs", 1, 128, (100, given, out))
    np.testing.assert_array_equal(backend.to_host(out), np.arange(200.0))
    sums = backend.to_device(np.zeros(4))
    for kernel, tolerance in (("chains_double", 1e-12), ("chains_float", 1e-5)):
        backend.launch(module, kernel, 1, 4, (2, 0.999, sums))
        chain = 0.999 + np.arange(4)[:, None] + 0.999 * np.arange(8)
        for _ in range(2 * 8):
            chain = chain * 0.999 + 1e-9
        np.testing.assert_allclose(backend.to_host(sums), chain.sum(axis=1), rtol=tolerance)


def test_fractions_of_the_ceilings():
    """The ceiling that binds gives the least time; fractions are floors over measured times."""
    ceilings = Ceilings(1000.0, 2000.0, 100.0, shared_bandwidth(10, 1000.0))
    assert ceilings.shared == 1280.0
    cost = Cost("product", arithmetic=1000, shared=640, read=100, written=50)
    floor = floor_of(cost, ceilings, "float64")
    assert (floor.arithmetic, floor.shared, floor.memory) == pytest.approx((2e-3, 5e-4, 1.5e-3))
    assert floor.bound == "arithmetic" and floor.least == floor.arithmetic
    assert floor_of(cost, ceilings, "float32").bound == "memory"
    assert [stage_of(kernel) for kernel in ("pool", "product_0_1", "products")] == ["pool", "product", "product"]
    kernels = {"pool": 1.0, "product_0": 3e-3, "product_1": 1e-3}
    (line,) = reached((cost, Cost("sums")), kernels, ceilings, "float64")
    assert line["kernel"] == "product" and line["bound"] == "arithmetic"
    assert (line["peak_fraction"], line["shared_fraction"], line["bandwidth_fraction"]) == (0.5, 0.125, 0.375)


def test_what_the_driver_tells(tmp_path, monkeypatch):
    """Clocks and driver come from nvidia-smi, asked for the card by its place; without it they are left out."""
    program = tmp_path / "nvidia-smi"
    program.write_text(
        '#!/bin/sh\ncase "$1" in --id=0000:1A:00.0) echo "580.65.06, 1980, 1980, 3201, [N/A], Enabled";; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    clocks = {"clock_mhz": "1980", "clock_limit_mhz": "1980", "memory_clock_mhz": "3201"}
    assert _told_by_smi("0000:1A:00.0") == {"driver": "580.65.06", **clocks, "ecc": "Enabled"}
    assert _told_by_smi("other") == {}
    program.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _told_by_smi("0000:1A:00.0") == {}


def test_shared_reads_add_up_what_was_written(card):
    """Eight cells a round, each thread one further than its neighbour."""
    backend = TimedBackend("cuda:0")
    module = backend.load(Path(cuda_roofs.__file__).with_suffix(".cu").read_text(), "roofs")
    sums = backend.to_device(np.zeros(64))
    backend.launch(module, "shared_reads", 2, 32, (3, 0.5, sums))
    first = np.arange(64) % 32
    cells = first[:, None, None] + np.arange(3)[:, None] + 128 * np.arange(8)
    np.testing.assert_array_equal(backend.to_host(sums), 0.5 * cells.sum(axis=(1, 2)))


def test_command_passes_on_what_is_wanted(record, bundle, tmp_path, monkeypatch, capsys):
    """Options reach the measurement; the text, or JSON, is that of its record."""
    seen: list[Wanted] = []

    def measured(wanted: Wanted, progress: object) -> dict:
        seen.append(wanted)
        return record

    monkeypatch.setattr("acegen.bench.cuda_session.measure_on_device", measured)
    out = tmp_path / "record.json"
    command = ["bench", str(bundle), "--device", "cuda:1"]
    assert (
        main([*command, "--sizes", "8,64", "--threads", "1,2", "--floors", "--repeats", "3", "--json", str(out)]) == 0
    )
    assert json.loads(out.read_text()) == record and capsys.readouterr().out == text_of(record) + "\n"
    assert main([*command, "--precision", "float32", "--cached", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == record
    assert seen[0] == Wanted(bundle, "cuda:1", (8, 64), threads=(1, 2), repeats=3, floors=True)
    assert seen[1] == Wanted(bundle, "cuda:1", precisions=("float32",), cached=True)
