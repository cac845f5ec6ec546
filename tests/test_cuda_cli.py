"""`device="cuda"` from the command line and from bundles; the host shim stands in for the device."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from ase.io import read, write
from pair_cuda import SOURCE, record, write_cuda_bundle
from pair_kernel import DEPTH, structures

import acegen
from acegen.cli.main import main
from acegen.errors import LoadError
from acegen.record import Record
from acegen.runtime.cuda.host import HostBackend
from acegen.runtime.load import load_bundle, read_manifest


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_cuda_bundle(tmp_path_factory.mktemp("bundles") / "morse.acegen")


@pytest.fixture(autouse=True)
def shim(monkeypatch):
    """Every CUDA device is the host shim."""
    monkeypatch.setattr("acegen.runtime.cuda.backend.cuda_backend", lambda device: HostBackend())


def test_verify_checks_the_device(bundle, capsys):
    """All checks of a bundle but those of the C side; the device against the CPU, and twice the same bits."""
    assert main(["verify", str(bundle), "--device", "cuda", "--json"]) == 0
    checks = {check["check"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    for name in (
        "host = cpu: forces",
        "numbers that differ in a second run",
        "batch = one by one",
        "single-site entry",
        "neighbours searched here = on the host",
        "float32: forces",
    ):
        assert checks[name]["verdict"] == "good", checks[name]
    assert checks["numbers that differ in a second run"]["measured"] == 0.0
    assert "threads 1 = 2 = 3" not in checks and "selftest.c" not in checks


def test_verify_needs_no_card(specs, capsys, monkeypatch):
    """--device host runs every check of a device on the generated kernels, the second run in random order."""
    monkeypatch.undo()  # the real choice of a device
    assert main(["verify", str(specs / "si_pair.yaml"), "--device", "host", "--json"]) == 0
    checks = {check["check"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["reference: basis"]["verdict"] == checks["host = cpu: basis"]["verdict"] == "good"
    assert checks["numbers that differ in a second run"]["measured"] == 0.0


def test_verify_fails_a_wrong_kernel(tmp_path, capsys):
    """Small errors of the device alone are found, each by the check that names it, and the exit code tells."""
    source = SOURCE
    for right, wrong in (
        ("double energy = E0[species[i]]", "double energy = 1e-9 + E0[species[i]]"),
        ("edge_gradients[3 * e + a] = g;", "edge_gradients[3 * e + a] = 1.000001 * g;"),
        ("w[3 * a + b] -= g * r[b]", "w[3 * a + b] -= 1.000001 * g * r[b]"),
    ):
        assert right in source
        source = source.replace(right, wrong)
    folder = write_cuda_bundle(tmp_path / "wrong", source)
    assert main(["verify", str(folder), "--device", "cuda", "--json"]) == 1
    verdicts = {one["check"]: one["verdict"] for one in json.loads(capsys.readouterr().out)["checks"]}
    assert [verdicts[f"host = cpu: {what}"] for what in ("site energies", "forces", "virial")] == ["failed"] * 3
    assert verdicts["host = cpu: basis"] == "good"


def test_launch_lists_that_name_unknown_arrays_are_refused(tmp_path):
    """Before anything is launched, with the kernel and the name."""
    raw = record().to_json()
    raw["launches"][0]["arguments"][3] = "edge_images"
    with pytest.raises(LoadError, match=r"morse.cu: kernel pool needs 'edge_images', which is unknown"):
        load_bundle(write_cuda_bundle(tmp_path / "other", cuda=raw), device="cuda")


def test_eval_writes_what_the_cpu_gives(bundle, tmp_path):
    frames = [atoms for atoms in structures() if len(atoms) and atoms.cell.rank in (0, 3)]
    write(tmp_path / "in.xyz", frames)
    for device in ("cpu", "cuda"):
        command = ["eval", str(bundle), str(tmp_path / "in.xyz"), "-o", str(tmp_path / f"{device}.xyz")]
        assert main([*command, "--device", device]) == 0
    for one, other in zip(read(tmp_path / "cpu.xyz", ":"), read(tmp_path / "cuda.xyz", ":"), strict=True):
        np.testing.assert_allclose(other.get_forces(), one.get_forces(), atol=1e-13)


def test_bundles_carry_the_launch_list(bundle):
    """The record comes back from the manifest as it was."""
    assert Record.from_json(read_manifest(bundle).cuda) == record()


def test_models_can_be_pickled(bundle):
    """With replaced weights, which the copy has too."""
    model = load_bundle(bundle, device="cuda:0")
    model.weights = [2.0 * DEPTH[0], 3.0 * DEPTH[1]]
    copy = pickle.loads(pickle.dumps(model))
    atoms = structures()[0]
    np.testing.assert_array_equal(copy.evaluate(atoms).forces, model.evaluate(atoms).forces)


def test_damaged_bundles_are_told(tmp_path):
    """Another version of the record, an edited or a missing source."""
    old = write_cuda_bundle(tmp_path / "old", cuda={**record().to_json(), "format": 0})
    with pytest.raises(LoadError, match="CUDA record: format 0 found, expected 1: compile the bundle again"):
        load_bundle(old, device="cuda")
    assert load_bundle(old).device == "cpu"
    edited = write_cuda_bundle(tmp_path / "edited")
    (edited / "morse.cu").write_text("nothing")
    with pytest.raises(LoadError, match=r"morse.cu: edited since it was generated"):
        load_bundle(edited, device="cuda")
    (edited / "morse.cu").unlink()
    with pytest.raises(LoadError, match=r"morse.cu: cannot be read"):
        load_bundle(edited, device="cuda")


def test_inputs_are_compiled_for_the_device(specs, tmp_path, monkeypatch):
    """acegen.load and acegen.compile write the CUDA source where it is wanted, and C alone elsewhere."""
    monkeypatch.setattr("acegen.runtime.cuda.program.Program.__init__", lambda self, record, source, *rest: None)
    model = acegen.load(specs / "si_pair.yaml", device="cuda")
    assert model.device == "host" and model.manifest.cuda["source"] == "si_pair.cu"
    assert main(["compile", str(specs / "si_pair.yaml"), "-o", str(tmp_path / "c"), "--source-only"]) == 0
    command = ["compile", str(specs / "si_pair.yaml"), "-o", str(tmp_path / "all"), "--target", "all"]
    assert main([*command, "--source-only"]) == 0
    assert main([*command, "--check"]) == 0
    assert not (tmp_path / "c" / "si_pair.cu").exists() and (tmp_path / "all" / "si_pair.cu").exists()
    assert (tmp_path / "all" / "si_pair_design.cu").exists() and not (tmp_path / "c" / "si_pair_design.cu").exists()
    for name in ("si_pair.c", "si_pair.h", "weights.npz"):
        assert (tmp_path / "c" / name).read_bytes() == (tmp_path / "all" / name).read_bytes()
    assert read_manifest(tmp_path / "c").cuda is None
    assert not {"cuda", "cuda_design"} & set(json.loads((tmp_path / "c" / "manifest.json").read_text()))
    assert read_manifest(tmp_path / "all").cuda_design["source"] == "si_pair_design.cu"
