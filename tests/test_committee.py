"""Committees: deviations equal those of separate evaluations, whatever the threads, the blocks and the way in."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import ase
import numpy as np
import pytest
from ase.io import read, write
from kernels import Kernels
from spec_texts import SPECS, write_spec
from structures import cluster, lattice

import acegen
from acegen.cli.main import main
from acegen.errors import InputError, LoadError, SpecError
from acegen.runtime import rows
from acegen.runtime.committee import members_of as of_manifest
from acegen.runtime.graph import GraphBatch
from acegen.runtime.kernel import Scratch
from acegen.runtime.model import Model

N_MEMBERS = 5
NAMES = ("energy", "forces", "energy_std", "forces_std")
CLOSE = 1e-13  # of the largest energy or force of any member


def members_of(model: Model, seed: int = 1) -> list[list[np.ndarray]]:
    """Weights that differ by a tenth from those of the model."""
    stream = np.random.default_rng(seed)
    return [[w * (1.0 + 0.1 * stream.normal(size=w.shape)) for w in model.weights] for _ in range(N_MEMBERS)]


@pytest.fixture(scope="module", params=["order4", "glorot3"])
def model(request: pytest.FixtureRequest, spec_folder: Path, kernels: Kernels) -> Model:
    """A model of its own: one species with order 4, three species with shared channels."""
    made = kernels(write_spec(spec_folder, request.param))
    own = pickle.loads(pickle.dumps(made))
    own.committee = members_of(own)
    return own


@pytest.fixture(scope="module")
def frames(model: Model) -> list[ase.Atoms]:
    """Periodic, open, lone and empty structures, more atoms than fill one block of lanes."""
    return [lattice(model, (3, 3, 2), 1), cluster(model, 2), ase.Atoms(), ase.Atoms(model.species[-1])]


@pytest.fixture(scope="module")
def separate(model: Model, frames: list[ase.Atoms]) -> dict[str, np.ndarray]:
    """energy, forces and virial of the mean first, then of every member, one evaluation after the other."""
    names = ("energy", "forces", "virial")
    mean = model.weights
    results = [model.evaluate(frames, names)]
    for member in model.committee:
        model.weights = member
        results.append(model.evaluate(frames, names))
    model.weights = mean
    return {name: np.array([getattr(result, name) for result in results]) for name in names}


def close(found: np.ndarray, expected: np.ndarray, scale: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=CLOSE * np.abs(scale).max())


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_one_pass_equals_separate_evaluations(
    model: Model, frames: list[ase.Atoms], separate: dict[str, np.ndarray], threads: int
) -> None:
    """Mean and sample standard deviations to rounding, with any number of threads."""
    many = frames * 4  # enough atoms that threads are started
    model.threads = threads
    out = model.evaluate(many, (*NAMES, "virial"))
    model.threads = 1
    for name in ("energy", "forces", "virial"):
        close(getattr(out, name), np.concatenate([separate[name][0]] * 4), separate[name])
    for name in ("energy", "forces"):
        expected = np.std(separate[name][1:], axis=0, ddof=1)
        close(getattr(out, f"{name}_std"), np.concatenate([expected] * 4), separate[name])
    assert out.forces_std.shape == out.forces.shape and out.energy_std.shape == out.energy.shape
    assert list(vars(out)) == [*NAMES, "virial"]


def test_kernel_refuses_a_committee_of_nobody(model: Model, frames: list[ase.Atoms]) -> None:
    """No member, or fewer, is return code 3, before any memory is touched; the workspace is that of one."""
    kernel = model.kernel
    assert (
        kernel.committee_bytes(9, 5, 0, 1) == kernel.committee_bytes(9, 5, -1, 1) == kernel.committee_bytes(9, 5, 1, 1)
    )
    nobody = np.zeros((0, model.manifest.n_coefficients))
    scratch = Scratch()
    with pytest.raises(LoadError, match="returned 3"):
        kernel.committee(GraphBatch.from_atoms(frames[0], model), ("energy",), nobody, 1, scratch)


@pytest.mark.parametrize(
    "names",
    [
        ("energy_std",),
        ("forces_std",),
        ("energy", "energy_std"),
        ("forces_std", "virial"),
        ("energies", "forces_std", "virials", "basis", "edge_gradients"),
        ("energy_std", "energies", "forces"),
    ],
)
def test_any_choice_of_properties(
    model: Model, frames: list[ase.Atoms], separate: dict[str, np.ndarray], names: tuple[str, ...]
) -> None:
    """What is asked for comes in that order, deviations are the same and other outputs those of the model alone."""
    out = model.evaluate(frames, names)
    assert tuple(vars(out)) == names
    plain = tuple(name for name in names if not name.endswith("_std"))
    alone = model.evaluate(frames, plain) if plain else None
    for name in names:
        if name.endswith("_std"):
            values = separate[name.removesuffix("_std")]
            close(getattr(out, name), np.std(values[1:], axis=0, ddof=1), values)
        else:
            found, expected = getattr(out, name), getattr(alone, name)
            np.testing.assert_allclose(found, expected, rtol=0.0, atol=CLOSE * np.abs(expected).max())


@pytest.mark.parametrize("rows_at_once", [1, 7])
def test_blocks_of_rows_change_nothing(
    model: Model,
    frames: list[ase.Atoms],
    separate: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    rows_at_once: int,
) -> None:
    """Energies of members are made of rows of B, a block of atoms at a time in large batches."""
    monkeypatch.setattr(rows, "BLOCK_BYTES", 8 * model.n_basis * rows_at_once)
    out = model.evaluate(frames, ("energy_std", "energy"))
    close(out.energy_std, np.std(separate["energy"][1:], axis=0, ddof=1), separate["energy"])
    close(out.energy, separate["energy"][0], separate["energy"])


def test_threads_give_the_same_to_the_last_bit(model: Model, frames: list[ase.Atoms]) -> None:
    """Twice the same number of threads; a batch gives what its structures give alone."""
    model.threads = 2
    one, other = (model.evaluate(frames * 4, NAMES) for _ in range(2))
    model.threads = 1
    for name in NAMES:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    whole = model.evaluate(frames, NAMES)
    single = [model.evaluate(atoms, NAMES) for atoms in frames]
    np.testing.assert_allclose(whole.energy_std, np.concatenate([out.energy_std for out in single]), rtol=1e-9)
    np.testing.assert_allclose(whole.forces_std, np.concatenate([out.forces_std for out in single]), rtol=1e-9)


STALE = "the committee of model '.*' belongs to other weights: assign model.committee after model.weights"


def test_other_weights_refuse_the_committee(model: Model, frames: list[ase.Atoms]) -> None:
    """Deviations of weights the members were not given for are refused, also after pickling, until told to stay."""
    before, mean = model.evaluate(frames, NAMES), model.weights
    model.weights = [2.0 * w for w in mean]
    for one in (model, pickle.loads(pickle.dumps(model))):
        for names in (("energy_std",), ("forces", "forces_std")):
            with pytest.raises(InputError, match=STALE):
                one.evaluate(frames, names)
    alone = model.evaluate(frames, ("energy", "forces"))
    model.committee = model.committee
    for one in (model, pickle.loads(pickle.dumps(model))):
        after = one.evaluate(frames, NAMES)
        for name in ("energy_std", "forces_std"):
            np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
        close(after.forces, alone.forces, alone.forces)
    assert not np.array_equal(after.energy, before.energy)
    model.weights, model.committee = mean, model.committee


def test_committee_of_the_bundle_belongs_to_its_weights(spec: Path) -> None:
    """None gives it back, but not to other weights; the old weights put back bring back its deviations."""
    model = acegen.load(spec, threads=1)
    atoms, mean = lattice(model, (2, 2, 2), 1), model.weights
    own = model.evaluate(atoms, "energy_std").energy_std
    model.weights, model.committee = [1.5 * w for w in mean], None
    for one in (model, pickle.loads(pickle.dumps(model))):
        with pytest.raises(InputError, match=STALE):
            one.evaluate(atoms, "energy_std")
    model.weights = mean
    np.testing.assert_allclose(model.evaluate(atoms, "energy_std").energy_std, own, rtol=1e-9)


def test_single_precision(spec_folder: Path, kernels: Kernels) -> None:
    """float32 kernels have committees too: deviations within 1e-5 of the largest force."""
    path = write_spec(spec_folder, "order4")
    single = pickle.loads(pickle.dumps(kernels(path, precision="float32")))
    single.committee = members_of(single)
    double = pickle.loads(pickle.dumps(kernels(path)))
    double.committee = single.committee
    atoms = lattice(double, (3, 3, 2), 1)
    found, expected = single.evaluate(atoms, NAMES), double.evaluate(atoms, NAMES)
    assert np.abs(found.forces_std - expected.forces_std).max() <= 1e-5 * np.abs(expected.forces).max()
    assert np.abs(found.energy_std - expected.energy_std).max() <= 1e-5 * np.abs(expected.energy).max()


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory, spec_folder: Path, kernels: Kernels) -> Path:
    """A specification whose weights file holds a committee; its weights are not declared replaceable."""
    folder = tmp_path_factory.mktemp("committee")
    plain = kernels(write_spec(spec_folder, "order4"))
    arrays = {"weights_0": plain.weights[0]}
    arrays["committee_0"] = np.array([member[0][:, 0] for member in members_of(plain)])
    np.savez(folder / "w.npz", **arrays)
    text = SPECS["order4"].replace("{kind: random, seed: 4}", "{kind: file, file: w.npz}")
    (folder / "fitted.yaml").write_text(text.replace("weights_replaceable: true", "") + "name: order4\n")
    return folder / "fitted.yaml"


def test_committees_come_from_the_weights_file_and_travel(spec: Path, tmp_path: Path) -> None:
    """Through the bundle, pickling and assignment; None goes back to that of the bundle."""
    bundle = acegen.compile(spec, tmp_path / "fitted.acegen")
    assert "a committee" in (bundle.path / "README.md").read_text()
    model = bundle.load(threads=1)
    atoms = lattice(model, (2, 2, 2), 1)
    with np.load(spec.with_name("w.npz")) as archive:
        np.testing.assert_array_equal([member[0][:, 0] for member in model.committee], archive["committee_0"])
    own = model.evaluate(atoms, NAMES)
    model.committee = [[3.0 * w for w in member] for member in model.committee]
    for other in (model, pickle.loads(pickle.dumps(model))):
        np.testing.assert_allclose(other.evaluate(atoms, "forces_std").forces_std, 3.0 * own.forces_std, rtol=1e-9)
    model.committee = None
    np.testing.assert_array_equal(model.evaluate(atoms, "forces_std").forces_std, own.forces_std)
    atoms.calc = model.calculator()
    assert "forces_std" not in atoms.calc.results
    np.testing.assert_allclose(atoms.calc.get_property("forces_std", atoms), own.forces_std, rtol=1e-9)
    assert atoms.calc.get_property("energy_std", atoms) == pytest.approx(own.energy_std[0], rel=1e-9)


def test_command_line_writes_deviations(spec: Path, tmp_path: Path) -> None:
    model = acegen.load(spec, threads=1)
    write(tmp_path / "in.xyz", [lattice(model, (1, 2, 2), seed) for seed in (1, 2)], format="extxyz")
    out = tmp_path / "out.xyz"
    names = "energy,energy_std,forces_std"
    assert main(["eval", str(spec), str(tmp_path / "in.xyz"), "-o", str(out), "--properties", names]) == 0
    expected = model.evaluate(read(tmp_path / "in.xyz", ":"), ("energy_std", "forces_std"))
    found = read(out, ":")
    np.testing.assert_allclose([atoms.info["energy_std"] for atoms in found], expected.energy_std, rtol=1e-9)
    arrays = np.concatenate([atoms.arrays["forces_std"] for atoms in found])
    np.testing.assert_allclose(arrays, expected.forces_std, rtol=1e-9)


def test_models_without_a_committee_say_so(spec_folder: Path, kernels: Kernels) -> None:
    """No committee; weights that are compiled in; potentials that are not linear."""
    plain = kernels(write_spec(spec_folder, "order4"))
    with pytest.raises(InputError) as caught:
        plain.evaluate(ase.Atoms("Si"), "forces_std")
    assert str(caught.value) == (
        "energy_std, forces_std: model 'order4' has no committee: fit one, or assign model.committee"
    )
    assert plain.committee is None and "energy_std" not in plain.calculator().implemented_properties
    fixed = kernels(write_spec(spec_folder, "order5"))
    with pytest.raises(InputError, match="committee: the weights of 'order5' are compiled in; set `weights_replace"):
        fixed.committee = members_of(fixed)
    curved = replace(plain.manifest, linear=False)
    with pytest.raises(InputError, match="committee: expected a model that is linear in its weights, 'order4' has an"):
        of_manifest(members_of(plain), curved, None, None)


WRONG = [
    ([], "committee: expected two members or more, found 0"),
    ("fitted.npz", "committee: expected two members or more, found 'fitted.npz'"),
    ([[np.zeros((3, 1))]] * 2, "committee: member 0: weights[0]: expected shape [{n}, 1], found [3, 1]"),
    ([[], []], "committee: member 0: weights: expected 1 arrays, one per species, found 0"),
]


@pytest.mark.parametrize(("given", "message"), WRONG, ids=range(len(WRONG)))
def test_wrong_committees_get_one_sentence(spec: Path, given: object, message: str) -> None:
    model = acegen.load(spec, threads=1)
    with pytest.raises(InputError) as caught:
        model.committee = given
    assert str(caught.value) == message.replace("{n}", str(model.n_basis))


def test_wrong_arrays_in_weights_files_are_refused(spec: Path, tmp_path: Path) -> None:
    with np.load(spec.with_name("w.npz")) as archive:
        arrays = dict(archive)
    (tmp_path / "fitted.yaml").write_text(spec.read_text())
    for wrong, found in ((arrays["committee_0"][:1], r"\[1, \d+\]"), (np.zeros((4, 2)), r"\[4, 2\]")):
        np.savez(tmp_path / "w.npz", **(arrays | {"committee_0": wrong}))
        with pytest.raises(
            SpecError, match=rf"array 'committee_0': expected \[.*\] \(members, basis .*, found {found}"
        ):
            acegen.load(tmp_path / "fitted.yaml")


def test_atoms_at_one_place_are_refused(spec: Path) -> None:
    """As in every evaluation: the structure and the pair are named."""
    model = acegen.load(spec, threads=1)
    broken = [lattice(model, (2, 2, 2), 1), ase.Atoms("Si2", positions=np.zeros((2, 3)))]
    for names in (("forces_std",), ("energy_std",)):
        with pytest.raises(InputError, match=r"structure 1: .* not finite; its atoms 0 and 1 are 0 angstrom apart"):
            model.evaluate(broken, names)
