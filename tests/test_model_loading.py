"""Loading a bundle: edited or damaged ones are refused, choices are checked, nothing of the compiler is imported."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from pair_kernel import CUTOFF, NAME, write_bundle

import acegen
from acegen.errors import InputError, LoadError
from acegen.manifest import EVALUATE, Manifest
from acegen.runtime import GraphBatch, load_bundle
from acegen.runtime.kernel import declarations, pointer, shape_of


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundles") / "morse.acegen")


@pytest.fixture(scope="module", autouse=True)
def one_cache(tmp_path_factory):
    """One fresh cache for the module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACEGEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def model(bundle):
    return load_bundle(bundle)


def test_model_says_what_it_is(model):
    """Names and sizes come from the manifest."""
    assert (model.name, model.species, model.cutoff, model.n_basis) == (NAME, ("Cu", "Au"), CUTOFF, 2)
    assert model.cutoffs.tolist() == [[CUTOFF, CUTOFF], [CUTOFF, CUTOFF]]
    assert isinstance(model.manifest, Manifest) and "morse" in repr(model)


def test_edited_bundles_are_refused(tmp_path):
    """Missing, edited, foreign and newer files: one sentence each, before anything is compiled."""
    with pytest.raises(LoadError, match=r"nowhere: expected a bundle folder with manifest\.json, found none"):
        load_bundle(tmp_path / "nowhere")
    with pytest.raises(LoadError, match="nowhere: expected a bundle folder, a specification or a potential"):
        acegen.load(tmp_path / "nowhere")
    edited = write_bundle(tmp_path / "edited")
    with (edited / f"{NAME}.c").open("a") as file:
        file.write("/* mine */\n")
    with pytest.raises(LoadError, match=r"morse\.c: edited since it was generated .* compile the bundle again"):
        load_bundle(edited)
    (edited / f"{NAME}.c").unlink()
    with pytest.raises(LoadError, match=r"morse\.c: cannot be read \(No such file"):
        load_bundle(edited)
    newer = write_bundle(tmp_path / "newer", format=2)
    with pytest.raises(LoadError, match="format 2, expected 1: compile the bundle again"):
        load_bundle(newer)
    (newer / "manifest.json").write_text("{")
    with pytest.raises(LoadError, match=r"manifest\.json: not a manifest this version reads"):
        load_bundle(newer)
    unlisted = write_bundle(tmp_path / "unlisted", files=())
    with pytest.raises(LoadError, match=r"source morse\.c has no checksum"):
        load_bundle(unlisted)


@pytest.mark.parametrize(("key", "value"), [("cutoff", 1.0), ("cutoff", "x"), ("n_basis", 1), ("name", "evil;")])
def test_edited_manifest_is_refused(tmp_path, key, value):
    """The manifest carries its own checksum: sizes and cutoffs are never believed against the kernel."""
    path = write_bundle(tmp_path / "edited") / "manifest.json"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, key: value}))
    with pytest.raises(LoadError, match=r"manifest\.json: not a manifest .* it was edited.*compile the bundle again"):
        load_bundle(path.parent)
    path.write_text(json.dumps(raw))
    assert load_bundle(path.parent).name == NAME


def test_kernel_names_are_identifiers(tmp_path):
    """A name that is no C identifier never reaches the declarations."""
    with pytest.raises(LoadError, match="name: expected a C identifier, found 'evil;'"):
        load_bundle(write_bundle(tmp_path / "evil", name="evil;"))


def test_wrong_choices_are_refused(bundle):
    """Unknown device, precision and target."""
    with pytest.raises(LoadError, match="device: expected 'cpu', 'cuda' or"):
        load_bundle(bundle, device="gpu")
    with pytest.raises(LoadError, match="precision: expected 'float64' or 'float32', found 'float16'"):
        load_bundle(bundle, precision="float16")
    with pytest.raises(LoadError, match="targets: expected some of 'c', 'cuda', found 'rust'"):
        acegen.compile("si.yaml", targets=("c", "rust"))


def test_wrong_library_is_refused(tmp_path):
    """A library without the functions of the manifest's name is named."""
    folder = write_bundle(tmp_path / "other", name="other")
    with pytest.raises(LoadError, match="cannot load kernel 'other'"):
        load_bundle(folder)


def test_damaged_weights_are_refused(tmp_path):
    """A weights file that is no archive is named."""
    folder = write_bundle(tmp_path / "damaged")
    (folder / "weights.npz").write_bytes(b"PK damaged")
    manifest = Manifest.from_json((folder / "manifest.json").read_text())
    checksum = hashlib.sha256(b"PK damaged").hexdigest()
    files = tuple((name, checksum if name == "weights.npz" else old) for name, old in manifest.files)
    (folder / "manifest.json").write_text(replace(manifest, files=files).to_json())
    with pytest.raises(LoadError, match=r"weights\.npz: cannot read the weights"):
        load_bundle(folder)


def test_pointer_checks_follow_the_table():
    """dtype, shape, contiguity and missing arrays are checked against the argument, whose name is in the message."""
    table = {argument.name: argument for argument in EVALUATE}
    sizes = {"n_edges": 4, "n_systems": 2}
    assert shape_of(table["first_atom"], sizes) == (3,)
    assert shape_of(table["virial"], sizes) == (2, 3, 3)
    with pytest.raises(
        InputError, match=r"'edge_vectors' is float32 \[4, 3\], the kernel needs float64 \[4, 3\] = \[n_edges, 3\]"
    ):
        pointer("morse", table["edge_vectors"], np.zeros((4, 3), np.float32), sizes)
    with pytest.raises(InputError, match=r"'edge_to' is int32 \[5\], the kernel needs int32 \[4\]"):
        pointer("morse", table["edge_to"], np.zeros(5, np.int32), sizes)
    with pytest.raises(InputError, match="'edge_vectors' is strided, the kernel needs a C-contiguous array"):
        pointer("morse", table["edge_vectors"], np.zeros((4, 6))[:, ::2], sizes)
    with pytest.raises(InputError, match="argument 'edge_to' is missing"):
        pointer("morse", table["edge_to"], None, sizes)
    assert "int morse_evaluate(" in declarations("morse")


def test_runtime_imports_no_compiler_tower():
    """import acegen.runtime loads neither SymPy, Jinja nor YAML; import acegen alone loads not even NumPy."""
    code = "import sys, {}; print([m for m in ('sympy','jinja2','yaml','ase',{}) if m in sys.modules])"
    for module, more in (("acegen.runtime", "'scipy'"), ("acegen", "'numpy','cffi'")):
        run = subprocess.run([sys.executable, "-c", code.format(module, more)], capture_output=True, text=True)
        assert run.stdout.strip() == "[]", run.stderr


def test_public_names():
    """acegen offers its names lazily, and no others."""
    assert acegen.GraphBatch is GraphBatch
    assert set(acegen.__all__) <= set(dir(acegen))
    assert all(getattr(acegen, name) is not None for name in acegen.__all__)
    with pytest.raises(AttributeError, match="module 'acegen' has no attribute 'Potato'"):
        _ = acegen.Potato
