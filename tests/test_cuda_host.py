"""The host shim runs CUDA kernels as a card would, and finds what a card would not tell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from shim_sources import ADDRESSES, BAD, GOOD

from acegen.errors import BuildError, InputError
from acegen.record import Buffer, Launch, Record
from acegen.testing.host import ORDERS, HostModule, KernelFault, kernel_names, run_record, sanitizer_environment

ROOT = Path(__file__).resolve().parents[1]
FAST = ("-O0",)  # to compile


# One process for all cases: it loads the module, each case runs in a fork, for the first finding ends it.
_CASES = """
import os, sys
import numpy as np
from acegen.testing.host import HostModule
module = HostModule(sys.stdin.read(), sanitize=True)
for case in sys.argv[1:]:
    kernel, where = case.split(":")
    sys.stderr.write("case " + case + chr(10))
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        out = np.ones(64)
        module.launch(kernel, 2, 64, [out, int(where)], shared=64 * 8)
        os._exit(0 if out[0] < 9 or kernel == "overflow" else 9)
    print(case, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(scope="module")
def good(cache: None) -> HostModule:
    return HostModule(GOOD, FAST)


@pytest.fixture(scope="module")
def bad(cache: None) -> HostModule:
    return HostModule(BAD, FAST)


def test_kernels_and_their_parameters_are_found(good: HostModule) -> None:
    assert good.kernels == kernel_names(GOOD) == ("sums", "transpose", "lanes", "pairs")
    assert good.parameters("sums") == ("in f8", "out f8", "value i8")
    assert good.parameters("pairs") == ("in V16", "out f8")


@pytest.mark.parametrize("order", ORDERS)
def test_block_sum_through_dynamic_shared_memory(good: HostModule, order: str) -> None:
    values = np.arange(300.0)
    out = np.full(3, np.nan)
    good.launch("sums", 3, 128, [values, out, 300], shared=128 * 8, order=order)
    assert out.tolist() == [2 * values[k : k + 128].sum() for k in (0, 128, 256)]


def test_the_arithmetic_is_a_flag(cache: None) -> None:
    single = HostModule(GOOD, (*FAST, "-DREAL=float"))
    assert single.parameters("sums")[0] == "in f4"
    out = np.full(1, np.nan)
    single.launch("sums", 1, 128, [np.full(100, 0.1, np.float32), out, 100], shared=128 * 4)
    assert out[0] == pytest.approx(20.0, rel=1e-6)


@pytest.mark.parametrize("order", ORDERS)
def test_grids_and_blocks_have_several_dimensions(good: HostModule, order: str) -> None:
    matrix = np.arange(24 * 24, dtype=np.int32).reshape(24, 24)
    out = np.empty_like(matrix)
    good.launch("transpose", (3, 3), (8, 8), [matrix, out, 24], order=order)
    assert (out == matrix.T).all()


@pytest.mark.parametrize("order", ORDERS)
def test_shuffles_and_votes(good: HostModule, order: str) -> None:
    values = np.arange(64.0) ** 2
    out, bits = np.full((64, 3), np.nan), np.zeros((64, 2), np.int32)
    good.launch("lanes", 1, 64, [values, out, bits], order=order)
    t = np.arange(64)
    assert (out[:, 0] == np.repeat(values.reshape(2, 32).sum(axis=1), 32)).all()
    assert (out[:, 1] == values[t ^ 1]).all()
    assert (out[:, 2] == np.where(t % 8, values[t - 1], values)).all()
    votes = [sum(1 << k for k in range(32) if (32 * warp + k) % 3 == 0) for warp in (0, 1)]
    assert (bits[:, 0].view(np.uint32) == np.repeat(votes, 32)).all()
    assert (bits[:, 1] == 13).all()


def results(module: HostModule, kernel: str, n_blocks: int = 1) -> list[list[float]]:
    """Output of a kernel in the three orders."""
    found = []
    for order in ORDERS:
        out = np.full(64, -1.0)
        module.launch(kernel, n_blocks, 64, [out], order=order)
        found.append(out.tolist())
    return found


def test_a_missing_barrier_gives_nan(bad: HostModule) -> None:
    """In at least one order, whichever way the threads look at each other."""
    forward, reverse, random = np.array(results(bad, "reads_ahead"))
    assert np.isnan(forward).sum() == 63 and np.isnan(reverse).sum() == 1 and np.isnan(random).any()
    forward, reverse, random = np.array(results(bad, "reads_behind"))
    assert not np.isnan(forward).any() and np.isnan(reverse).sum() == 63 and np.isnan(random).any()


def test_a_race_changes_with_the_order(bad: HostModule) -> None:
    """Threads and blocks take their turns in the order asked for."""
    forward, reverse, random = results(bad, "last_one_wins", 3)
    assert forward[0] == 191 and reverse[0] == 0 and random[0] not in (0, 191)


def test_random_orders_are_repeatable(bad: HostModule) -> None:
    found = []
    for seed in (1, 1, 2):
        out = np.zeros(64)
        bad.launch("last_one_wins", 3, 64, [out], order="random", seed=seed)
        found.append(out[0])
    assert found[0] == found[1] != found[2]


def test_shared_memory_begins_as_nan_in_every_block(bad: HostModule) -> None:
    for found in np.array(results(bad, "never_written", 2)):
        assert np.flatnonzero(np.isnan(found)).tolist() == [7]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("kernel", "told"),
    [
        ("two_barriers", "divergent barrier: thread 0 waits at line"),
        ("lane_missing", "waits for lane 3, whose thread has ended"),
        ("half_a_warp", "warp primitives that never meet"),
        ("outside_mask", "reads lane 20, which mask 0000ffff has not"),
    ],
)
def test_divergence_is_reported(bad: HostModule, kernel: str, told: str, order: str) -> None:
    with pytest.raises(KernelFault, match=told):
        bad.launch(kernel, 1, 64, [np.zeros(64)], order=order)


@pytest.mark.parametrize("order", ORDERS)
def test_a_thread_that_ends_before_a_barrier_is_reported(bad: HostModule, order: str) -> None:
    out = np.zeros(64)
    with pytest.raises(KernelFault, match=r"of 64 threads 60 wait at line \d+, 4 have ended \(block [01],0,0\)"):
        bad.launch("left_early", 2, 64, [out, 60], order=order)
    bad.launch("left_early", 1, 64, [out, 64], order=order)  # and the module is good for another launch
    assert (out == 1).all()


def test_a_stack_that_overflows_is_reported(bad: HostModule) -> None:
    out = np.zeros(64)
    bad.launch("too_deep", 1, 64, [out, 10])
    with pytest.raises(KernelFault, match="thread 0: stack overflow"):
        bad.launch("too_deep", 1, (2, 1), [out, 68])


def test_impossible_launches_are_refused(good: HostModule) -> None:
    values, out = np.ones(4), np.ones(4)
    for grid, block, shared, told in (
        (1, 2048, 0, "a block of 2048 threads"),
        (0, 32, 0, "a grid without blocks"),
        ((1, 70000), 32, 0, "more blocks than a card takes"),
        (1, 32, 300_000, "300000 bytes of shared memory"),
    ):
        with pytest.raises(KernelFault, match=told):
            good.launch("sums", grid, block, [values, out, 4], shared=shared)


def test_arguments_must_fit_the_kernel(good: HostModule) -> None:
    """A card would read the wrong bytes and say nothing."""
    values, out = np.ones(32), np.ones(32)
    fixed = np.ones(32)
    fixed.flags.writeable = False
    for arguments, told in (
        ([values, out], "takes 3 arguments, found 2"),
        ([values.astype(np.float32), out, 32], "argument 0 is an array of float32, the kernel takes float64"),
        ([values[::2], out, 32], "argument 0 is strided"),
        ([values, fixed, 32], "argument 1 is read-only"),
        ([values, out, 3.5], "argument 2 is 3.5, the kernel takes an integer i8"),
        ([values, out, values], "argument 2 is ndarray, the kernel takes a number"),
        ([values, 3, 32], "argument 1 is int, the kernel takes an array"),
    ):
        with pytest.raises(InputError, match=told):
            good.launch("sums", 1, 32, arguments, shared=32 * 8)
    good.launch("sums", 1, 32, [fixed, out, 32], shared=32 * 8)
    with pytest.raises(InputError, match="'sum' is not one of sums, transpose"):
        good.launch("sum", 1, 32, [values])
    with pytest.raises(InputError, match="expected one of forward, reverse, random"):
        good.launch("sums", 1, 32, [values, out, 32], order="backward")


def test_sources_that_cannot_be_run_are_told(cache: None) -> None:
    with pytest.raises(BuildError, match="no kernel found"):
        HostModule("__global__ void mangled(double *x) {}")
    with pytest.raises(BuildError, match=r"error: .*unknown_name"):
        HostModule('extern "C" __global__ void one(double *x) { x[0] = unknown_name; }')
    with pytest.raises(BuildError, match="sanitizer_environment"):
        HostModule(GOOD, sanitize=True)


def test_sanitizers_find_wrong_addresses(cache: None) -> None:
    """Beyond the end of an array, of a static or dynamic shared array; vectors misaligned; integers that overflow."""
    told = {
        "beyond": "heap-buffer-overflow",
        "beyond_shared": "insufficient space",
        "beyond_dynamic": "heap-buffer-overflow",
        "misaligned": "misaligned address",
        "overflow": "signed integer overflow",
    }
    cases = [f"{kernel}:{where}" for kernel in told for where in (0, 1)]
    environment = {**os.environ, **sanitizer_environment(), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _CASES, *cases]
    result = subprocess.run(command, env=environment, input=ADDRESSES, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    codes = dict(line.split() for line in result.stdout.splitlines())
    texts = dict(part.split("\n", 1) for part in result.stderr.split("case ")[1:])
    assert list(codes) == list(texts) == cases
    for kernel, sentence in told.items():
        assert codes[f"{kernel}:0"] == "0" and texts[f"{kernel}:0"] == "", texts[f"{kernel}:0"]
        assert codes[f"{kernel}:1"] not in ("0", "9") and sentence in texts[f"{kernel}:1"]


def test_a_launch_list_runs_in_order_and_leaves_out_what_no_one_wants(cache: None) -> None:
    """Work arrays begin as NaN, null pointers stand for outputs that are not wanted, empty counts launch nothing."""
    source = r"""
    extern "C" __global__ void first(double *work, long long n_atoms)
    {
        long long k = (long long)blockIdx.x * blockDim.x + threadIdx.x;
        if (k < n_atoms - 1) work[k] = k;
    }
    extern "C" __global__ void second(const double *work, double *energies, double *virials, long long n_atoms)
    {
        long long k = (long long)blockIdx.x * blockDim.x + threadIdx.x;
        if (k < n_atoms) energies[k] = 2 * work[k];
        if (k < n_atoms && virials) virials[k] = 1;
    }
    extern "C" __global__ void third(double *forces) { forces[threadIdx.x] = 3; }
    """
    record = Record(
        source="demo.cu",
        real="double",
        n_species=1,
        n_basis=0,
        n_coefficients=0,
        buffers=(Buffer("work", "double", ("n_atoms", 1)),),
        launches=(
            Launch("first", "n_atoms", 4, 4, 0, ("work", "n_atoms")),
            Launch("second", "n_atoms", 4, 4, 0, ("work", "energies", "virials", "n_atoms")),
            Launch("third", "n_atoms", 32, 1, 0, ("forces",), "gradients"),
        ),
    )
    module, energies = HostModule(source, FAST), np.zeros(6)
    buffers = run_record(record, module, {"energies": energies}, {"n_atoms": 6})
    assert energies[:5].tolist() == [0, 2, 4, 6, 8] and np.isnan(energies[5]) and np.isnan(buffers["work"][5, 0])
    forces = np.zeros(1)
    run_record(record, module, {"energies": energies, "forces": forces}, {"n_atoms": 6}, order="reverse")
    assert forces[0] == 3
    run_record(record, module, {}, {"n_atoms": 0})
