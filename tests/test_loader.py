"""acegen.load and acegen.compile: inputs are compiled once, again when anything they depend on changes."""

from __future__ import annotations

import errno
import subprocess
import sys
import types

import pytest
from pair_kernel import NAME, write_bundle

import acegen
from acegen import loader
from acegen.errors import LoadError

SPEC = 'elements: [Cu]\ncutoff: 4\norder: 1\ndegree: 3\nweights: {{kind: file, file: "{weights}"}}\n'


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A stand-in compiler that writes the pair kernel and counts its calls."""
    monkeypatch.setenv("ACEGEN_CACHE", str(tmp_path / "cache"))
    calls = []

    def compile_bundle(source, out, precision=None, targets=("c",)):
        calls.append((source.name, precision))
        write_bundle(out)

    module = types.ModuleType("acegen.compiler")
    module.compile_bundle = compile_bundle
    monkeypatch.setitem(sys.modules, "acegen.compiler", module)
    return calls


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "pair.yaml"
    path.write_text(SPEC.format(weights="pair.npz"))
    (tmp_path / "pair.npz").write_bytes(b"one")
    return path


def test_input_is_compiled_once(compiler, spec):
    """A second load finds the bundle in the cache."""
    assert acegen.load(spec).name == NAME
    assert acegen.load(spec).name == NAME
    assert compiler == [("pair.yaml", None)]


def test_everything_that_matters_compiles_again(compiler, spec, monkeypatch):
    """Input, files it mentions, precision and the compiler itself are in the key."""
    acegen.load(spec)
    spec.with_name("pair.npz").write_bytes(b"two")
    acegen.load(spec)
    spec.write_text(spec.read_text() + "# more\n")
    acegen.load(spec)
    assert acegen.load(spec, precision="float32").precision == "float32"
    monkeypatch.setattr(loader, "compiler_digest", lambda: "newer templates")
    acegen.load(spec)
    acegen.load(spec)
    assert len(compiler) == 5


@pytest.mark.parametrize("name", ["my weights.npz", "gewichte-ä.npz", "a(1).npz", "w@1.npz", "sub dir/w.npz"])
def test_changed_array_files_are_noticed(compiler, tmp_path, name):
    """Whatever an array file is called: new content means a new bundle; for radial weights too."""
    named = tmp_path / name
    named.parent.mkdir(exist_ok=True)
    radial = SPEC.format(weights=name) + f'radial: {{weights: {{kind: file, file: "r {named.name}"}}}}\n'
    for text, changed in ((SPEC.format(weights=name), named), (radial, tmp_path / f"r {named.name}")):
        compiler.clear()
        named.write_bytes(b"one")
        changed.write_bytes(b"one")
        (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
        for content in (b"one", b"one", b"two", b"two"):
            changed.write_bytes(content)
            acegen.load(tmp_path / "s.yaml")
        assert len(compiler) == 2


def test_cache_hit_needs_no_compiler_tower(specs, tmp_path, monkeypatch):
    """Finding a compiled specification reads its YAML and nothing else of the compiler."""
    monkeypatch.setenv("ACEGEN_CACHE", str(tmp_path / "cache"))
    acegen.load(specs / "si_pair.yaml")
    code = f"import sys, acegen; acegen.load({str(specs / 'si_pair.yaml')!r}); print('sympy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "False", run.stderr


def test_wrong_arguments_of_load_are_sentences(spec, tmp_path):
    """Path and precision of another kind are refused by name."""
    for wrong in (None, 5, b"x"):
        with pytest.raises(LoadError, match="path: expected a text or a path, found"):
            acegen.load(wrong)
    for precision in (32, "double"):
        with pytest.raises(LoadError, match="precision: expected 'float64', 'float32' or None, found"):
            acegen.load(spec, precision=precision)


def test_full_cache_is_named(compiler, spec, tmp_path, monkeypatch):
    """When the disk is full the message names the cache folder and the variable, not a scratch folder."""

    def fail(source, out, precision=None, targets=("c",)):
        full = OSError(errno.ENOSPC, "No space left on device")
        raise acegen.SpecError(f"{out}: cannot be written (No space left on device)") from full

    monkeypatch.setattr(sys.modules["acegen.compiler"], "compile_bundle", fail)
    with pytest.raises(acegen.BuildError, match=r"cache folder .*bundles: cannot .* \(No space left.* ACEGEN_CACHE"):
        acegen.load(spec)


def test_damaged_bundle_in_the_cache_is_written_again(compiler, spec, tmp_path):
    """A bundle that lost or changed a file is replaced."""
    acegen.load(spec)
    (kept,) = (tmp_path / "cache" / "bundles").iterdir()
    (kept / f"{NAME}.c").write_text("damaged")
    assert acegen.load(spec).name == NAME
    assert len(compiler) == 2
    assert [path.name for path in (tmp_path / "cache" / "bundles").iterdir()] == [kept.name]


def test_failed_compilation_leaves_nothing(compiler, spec, tmp_path, monkeypatch):
    """An error of the compiler passes through, and no half-written bundle stays."""

    def fail(source, out, precision=None, targets=("c",)):
        out.mkdir()
        raise acegen.SpecError("pair.yaml: wrong")

    monkeypatch.setattr(sys.modules["acegen.compiler"], "compile_bundle", fail)
    with pytest.raises(acegen.SpecError, match=r"pair\.yaml: wrong"):
        acegen.load(spec)
    assert list((tmp_path / "cache" / "bundles").iterdir()) == []


def test_compile_writes_a_bundle_that_loads(compiler, spec, tmp_path, monkeypatch):
    """acegen.compile writes where it is told, by default beside the caller, and returns the bundle."""
    bundle = acegen.compile(spec, out=tmp_path / "out.acegen")
    assert bundle.path == tmp_path / "out.acegen"
    assert bundle.manifest.name == NAME
    assert bundle.load().species == acegen.load(bundle.path).species == ("Cu", "Au")
    monkeypatch.chdir(tmp_path)
    assert str(acegen.compile(spec).path) == "pair.acegen"
    with pytest.raises(LoadError, match=r"absent\.yaml: expected a bundle folder, a specification or a potential"):
        acegen.compile(tmp_path / "absent.yaml")


def test_digest_covers_code_and_is_stable():
    """The compiler's own digest does not change between calls."""
    assert loader.compiler_digest() == loader.compiler_digest.__wrapped__()
