"""`acegen bench`: the record is complete and consistent, tables and plots come out of it, bad input is one sentence.

No test looks at a time: machines are shared.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from acegen.bench.contenders import Seconds
from acegen.bench.measure import Timing, alternate
from acegen.bench.peak import Peak
from acegen.bench.peer_server import _with_ghosts
from acegen.bench.structures import Crystal, build_structure, choose_crystal
from acegen.cli.main import main
from acegen.errors import InputError

SPEC = """elements: [Cu, Au]
order: 2
degree: 4
cutoff: 4.5
pair: {degree: 3}
weights: {kind: random, seed: 1}
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "small.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="module")
def record(spec: Path) -> Path:
    """A record of two sizes, both precisions, one and two threads."""
    out = spec.with_name("record.json")
    options = ["--sizes", "8,40", "--precision", "float64,float32", "--threads", "1,2", "--repeats", "2"]
    assert main(["bench", str(spec), *options, "--json", str(out)]) == 0
    return out


def test_record_holds_every_run(record: Path) -> None:
    """One run per size, precision and number of threads; rates follow from times and counted operations."""
    found = json.loads(record.read_text())
    assert set(found) == {
        "format", "machine", "peak", "potential", "crystal", "kernels", "runs", "agreement", "notes"
    }  # fmt: skip
    assert {key for key, value in found["machine"].items() if value} >= {"cpu", "compiler", "flags", "date", "cores"}
    assert found["potential"]["species"] == ["Cu", "Au"] and found["potential"]["functions"] > 0
    assert [kernel["precision"] for kernel in found["kernels"]] == ["float64", "float32"]
    assert all(kernel["generate_seconds"] > 0 and kernel["compile_seconds"] > 0 for kernel in found["kernels"])
    sizes = sorted({run["n_atoms"] for run in found["runs"]})
    assert len(sizes) == 2
    kinds = [(run["n_atoms"], run["precision"], run["threads"]) for run in found["runs"]]
    expected = [(n, p, t) for n in sizes for p in ("float64", "float32") for t in (1, 2)]
    assert kinds == expected
    operations = dict(found["potential"]["operations"])
    for run in found["runs"]:
        assert len(run["samples"]) == 2 and run["us_per_atom_min"] <= run["us_per_atom"]
        assert run["clock"] == ("cpu" if run["threads"] == 1 else "wall")
        assert run["neighbours"] <= run["listed"]
        per_atom = operations["edge"] * run["neighbours"] + sum(v for k, v in operations.items() if k != "edge")
        assert run["gflops"] * run["us_per_atom"] == pytest.approx(2e-3 * per_atom, rel=0.02, abs=0.01)
        if run["threads"] == 1:
            assert run["peak_fraction"] == pytest.approx(run["gflops"] / found["peak"][run["precision"]], abs=1e-3)
    assert all(line["forces"] < 1e-4 and abs(line["energy"]) < 1e-4 for line in found["agreement"])


def test_table_and_plot_of_records(record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The Markdown table has a row per record and the machine; the plots are files of their kind, always the same."""
    picture, again = tmp_path / "plot.svg", tmp_path / "again.svg"
    assert main(["bench", "--table", str(record), str(record), "--plot", str(picture)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| small |") for line in lines) == 2
    tables = "\n".join(lines).split("Atom-steps per second by size")
    for one in tables:
        assert len({line.count("|") for line in one.splitlines() if line.startswith("|")}) == 1
    assert len(tables) == 2 and tables[1].count("| small, acegen float32, 2 threads |") == 1
    assert json.loads(record.read_text())["machine"]["cpu"] in "\n".join(lines)
    assert main(["bench", "--table", str(record), str(record), "--plot", str(again)]) == 0
    text = picture.read_text()
    assert "<svg" in text and "atom-steps per second" in text and text == again.read_text()
    assert main(["bench", "--table", str(record), "--plot", str(tmp_path / "plot.png")]) == 0
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"


def test_text_and_bundle(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bundle folder is measured as it is; the printed text names the machine and the kernel."""
    bundle = tmp_path / "small.acegen"
    assert main(["compile", str(spec), "-o", str(bundle)]) == 0
    capsys.readouterr()
    assert main(["bench", str(bundle), "--atoms", "8", "--repeats", "1", "--cached", "--lattice", "sc"]) == 0
    out = capsys.readouterr().out
    assert "machine:" in out and "GFLOP/s" in out and "crystal: sc" in out and "generate" not in out
    assert main(["bench", str(bundle), "--form", "flat"]) == 2
    assert "--form and --products need an input" in capsys.readouterr().err


def test_peer_that_cannot_evaluate_is_left_out(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """pyace reads no specifications: one note, the rest is measured."""
    options = ["--atoms", "8", "--repeats", "1", "--cached", "--json", "-"]
    assert main(["bench", str(spec), "--against", "pyace", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [run["evaluator"] for run in found["runs"]] == ["acegen"]
    assert found["notes"] == ["pyace evaluates PACE potentials, small.yaml is not one: left out"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.yaml"], "nothing.yaml: expected a specification, a potential or a bundle folder, found nothing"),
        ([], "expected an input, a bundle folder, or --table"),
        (["x", "--against", "lammps"], "unknown peer 'lammps', expected one of pyace, pyace-native, ace-jax"),
        (["x", "--precision", "float16"], "unknown precision 'float16', expected one of float64, float32"),
        (["x", "--threads", "0"], "expected an integer >= 1, found '0'"),
        (["x", "--plot", "x.pdf"], "expected a file name ending in .svg or .png"),
        (["--table", "nothing.json"], "nothing.json: cannot be read"),
        (["si.yaml", "--json", "none/record.json"], "none/record.json: cannot be written, there is no folder none"),
    ],
)
def test_bad_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and one line."""
    assert main(["bench", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_other_files_are_no_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Text and JSON of another kind are told apart from records."""
    path = tmp_path / "other.json"
    for text, message in (("hello", "found no JSON"), ("{}", "found another")):
        path.write_text(text)
        assert main(["bench", "--table", str(path)]) == 2
        assert message in capsys.readouterr().err


def test_missing_peer_is_one_sentence(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An interpreter without the peer says how to install it; one that cannot be run is named."""
    options = ["--atoms", "8", "--repeats", "1", "--cached", "--against", "ace-jax"]
    hiding = tmp_path / "python"
    hiding.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{sys.executable}" "$@"\n')
    hiding.chmod(0o755)
    (tmp_path / "ace_jax.py").write_text("raise ImportError('No module named ace_jax')\n")
    assert main(["bench", str(spec), *options, "--peer-python", str(hiding)]) == 2
    assert "pip install ace-jax" in capsys.readouterr().err
    assert main(["bench", str(spec), *options, "--peer-python", str(tmp_path / "none")]) == 2
    assert "cannot be run" in capsys.readouterr().err


def test_crystals() -> None:
    """Elements choose the lattice, sizes come close, occupation is in equal shares, distances stay sensible."""
    assert choose_crystal(["W"]).lattice == "bcc" and choose_crystal(["Cu"]) == Crystal("fcc", 3.61)
    assert choose_crystal(["Si", "Ge"]).lattice == "diamond" and choose_crystal(["Ni", "Ti"]).lattice == "bcc"
    assert choose_crystal(["Co", "Cr", "Fe", "Mn", "Ni"]).lattice == "fcc"
    for symbols, wanted in ((["Cu"], 2048), (["Si", "Ge"], 2048), (["W"], 512), (["Cu"], 1)):
        atoms = build_structure(symbols, choose_crystal(symbols), wanted)
        assert abs(len(atoms) - wanted) <= max(0.05 * wanted, 7) and atoms.pbc.all()
        counts = [atoms.get_chemical_symbols().count(symbol) for symbol in symbols]
        assert max(counts) - min(counts) <= 1
    assert atoms == build_structure(["Cu"], choose_crystal(["Cu"]), 1)


def test_alternation() -> None:
    """Every round samples each contender once, in order; the clock chosen is the one reported."""
    order: list[str] = []

    class Fake:
        def __init__(self, label: str) -> None:
            self.label = label

        def sample(self, calls: int) -> Seconds:
            order.append(self.label)
            return Seconds(cpu=1.0, wall=2.0)

    timings = alternate([Fake("A"), Fake("B")], ["cpu", "wall"], 3)
    assert "".join(order) == "AABB" + 3 * "AB"
    assert [timing.median for timing in timings] == [1.0, 2.0]


def test_peak_is_a_rate() -> None:
    """Both precisions give a positive, finite rate; the better sample is kept."""
    peak = Peak()
    peak.sample(1e-4)
    first = dict(peak.best)
    peak.sample(1e-4)
    assert all(0.0 < first[name] <= peak.best[name] < 1e6 for name in ("float64", "float32"))


def test_ghosts_carry_the_same_bonds(spec: Path) -> None:
    """The neighbour matrix with periodic images as atoms holds every bond vector of the graph."""
    from acegen.runtime.graph import GraphBatch

    atoms = build_structure(["Cu", "Au"], Crystal("fcc", 3.9), 16)
    graph = GraphBatch.from_atoms(atoms, 4.5, species=("Cu", "Au"))
    names = ("positions", "species", "first_edge", "edge_to", "edge_shift", "shifts")
    positions, species, owners, matrix, counts = _with_ghosts({name: getattr(graph, name) for name in names})
    centre = np.repeat(np.arange(graph.n_atoms), counts)
    row = np.arange(graph.n_edges) - graph.first_edge[centre]
    target = matrix[row, centre]
    expected = graph.positions[graph.edge_to] + graph.shifts[graph.edge_shift]
    assert np.abs(positions[target] - expected).max() == 0.0
    assert (owners[target] == graph.edge_to).all() and (species == graph.species[owners]).all()


def _peer_python(module: str) -> str:
    """An interpreter with the peer: ACEGEN_PEER_PYTHON or this one; skips the test when it has none."""
    python = os.environ.get("ACEGEN_PEER_PYTHON", sys.executable)
    if subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"{python} has no {module}")
    return python


@pytest.mark.peer
def test_pyace_agrees(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """pyace computes the same energies and forces, to the error of its tables, before it is timed."""
    source = shared / "zoo" / "NiTi-zbl-s1" / "NiTi-zbl-s1.yace"
    options = ["--atoms", "16", "--repeats", "1", "--cached", "--json", "-", "--peer-python", _peer_python("pyace")]
    assert main(["bench", str(source), "--against", "pyace", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    (line,) = found["agreement"]
    assert abs(line["energy"]) < 1e-8 and line["forces"] < 1e-6
    assert [run["evaluator"] for run in found["runs"]] == ["acegen", "pyace"] and found["runs"][1]["ratio"] > 0.0


@pytest.mark.peer
def test_ace_jax_agrees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A specification with preset ace_jax is the very same model there: same rows, energies and forces."""
    source = tmp_path / "same.yaml"
    source.write_text(
        "preset: ace_jax\nelements: [Si, Ge]\norder: 3\ndegree: 5\nreference_energies: {Si: -1.0, Ge: -2.0}\n"
        "weights: {kind: random, seed: 1}\n"
    )
    options = ["--atoms", "8", "--repeats", "1", "--cached", "--json", "-", "--peer-python", _peer_python("ace_jax")]
    assert main(["bench", str(source), "--against", "ace-jax", *options]) == 0
    (line,) = json.loads(capsys.readouterr().out)["agreement"]
    assert line["compared"] == "the same model" and line["rows"] == 73
    assert abs(line["energy"]) < 1e-9 and line["forces"] < 1e-7


def test_a_measurement_takes_five_samples_or_more(monkeypatch: pytest.MonkeyPatch, spec: Path) -> None:
    """Unless asked for fewer, each evaluator is sampled seven times; the native peer has a Python of its own."""
    from acegen.bench import session

    seen: list[session.Wanted] = []

    def keep(wanted: session.Wanted, progress: object) -> dict[str, object]:
        seen.append(wanted)
        raise InputError("enough")

    monkeypatch.setattr(session, "measure", keep)
    options = ["--against", "pyace,pyace-native", "--peer-python", "a", "--native-python", "b"]
    assert main(["bench", str(spec), *options]) == 2
    (wanted,) = seen
    assert wanted.repeats >= 5 and wanted.against == ("pyace", "pyace-native")
    assert (wanted.peer_python, wanted.native_python) == ("a", "b")
    timing = Timing(tuple(Seconds(cpu=c, wall=0.0) for c in (5.0, 1.0, 9.0, 2.0, 3.0)), "cpu", 1)
    assert timing.median == 3.0 and timing.fastest == 1.0


def test_peers_have_columns_only_where_they_ran(
    record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A native and a generic build of one peer stand side by side; a record without peers has no empty columns."""
    assert main(["bench", "--table", str(record)]) == 0
    assert "pyace" not in capsys.readouterr().out
    found = json.loads(record.read_text())
    largest = max(found["runs"], key=lambda run: run["n_atoms"])
    for peer, ratio in (("pyace", 12.5), ("pyace-native", 10.25)):
        run = {**largest, "evaluator": peer, "precision": "float64", "threads": 1, "us_per_atom": 30.0, "ratio": ratio}
        found["runs"].append(run)
    found["end_to_end"] = {
        "threads": {"threads": 2, "speedup": 1.97},
        "batch": {"ratio": 1.1, "build_seconds_batch": 0.004},
        "few": [{"atoms": 4, "seconds_kernel": 1e-5, "seconds_evaluate": 2e-5, "seconds_moved": 3e-5}],
        "ase": {"ratio": 1.2, "seconds_list": 0.006, "seconds_kernel": 0.003},
    }
    path = tmp_path / "peers.json"
    path.write_text(json.dumps(found))
    assert main(["bench", "--table", str(path)]) == 0
    text = capsys.readouterr().out
    assert "pyace µs/atom | × pyace | pyace-native µs/atom | × pyace-native" in text
    assert "| 30.0 * | 12.5 | 30.0 * | 10.2 |" in text
    assert "| small | 2: 1.97 | 1.10 | 4.0 ms | 10.0, +10.0, +20.0 | 1.20 | 2.00 |" in text
