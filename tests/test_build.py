"""Build and cache: a library is compiled once, survives races, damage and odd machines, and fails with a sentence."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from acegen.build import cache, cc
from acegen.errors import BuildError

SOURCE = "int answer(void);\nint answer(void) { return %s; }\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A fresh cache for every test; only the answers about flags are kept, to stay fast."""
    monkeypatch.setenv("ACEGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ACEGEN_CC", raising=False)
    return tmp_path / "cache"


def write(tmp_path, text, name="answer.c"):
    path = tmp_path / name
    path.write_text(text)
    return path


def answer(library):
    return ctypes.CDLL(str(library)).answer()


def test_compiled_once_and_reused(tmp_path, monkeypatch):
    """The second call returns the same file without starting the compiler."""
    source = write(tmp_path, SOURCE % 42)
    library = cache.cached_library([source])
    assert answer(library) == 42
    monkeypatch.setattr(cache, "compile_library", lambda *_: pytest.fail("compiled again"))
    assert cache.cached_library([source]) == library


def test_key_covers_source_header_and_defines(tmp_path):
    """Another source, header or define gives another library."""
    header = write(tmp_path, "#define VALUE 1\n", "value.h")
    source = write(tmp_path, '#include "value.h"\n' + SOURCE % "VALUE + MORE")
    first = cache.cached_library([source], [header], ["MORE=1"])
    second = cache.cached_library([source], [header], ["MORE=2"])
    header.write_text("#define VALUE 10\n")
    third = cache.cached_library([source], [header], ["MORE=1"])
    assert [answer(first), answer(second), answer(third)] == [2, 3, 11]


def test_key_covers_processor_and_compiler(monkeypatch, tmp_path):
    """A cache folder shared by different machines or compilers never serves foreign machine code."""
    compiler = cc.find_compiler()
    source = write(tmp_path, SOURCE % 1)
    key = cache._key(compiler, (), [source], [])
    newer = cc.Compiler(compiler.command, compiler.path, compiler.version + " newer")
    assert cache._key(newer, (), [source], []) != key
    monkeypatch.setattr(cache, "cpu_features", lambda: "another processor")
    assert cache._key(compiler, (), [source], []) != key


def test_several_sources_make_one_library(tmp_path):
    """Sources are compiled separately and linked together."""
    one = write(tmp_path, "int half(void);\nint half(void) { return 21; }\n", "half.c")
    two = write(tmp_path, "int half(void);\n" + SOURCE % "2 * half()")
    assert answer(cache.cached_library([one, two])) == 42


@pytest.mark.parametrize("harm", ["truncated", "flipped", "empty", "missing", "pointer"])
def test_damaged_library_is_rebuilt(tmp_path, folder, harm):
    """Whatever happened to the cached files, the library that comes back works."""
    source = write(tmp_path, SOURCE % 7)
    library = cache.cached_library([source])
    content = library.read_bytes()
    if harm == "truncated":
        library.write_bytes(content[: len(content) // 2])
    elif harm == "flipped":
        library.write_bytes(content[:2000] + bytes([content[2000] ^ 1]) + content[2001:])
    elif harm == "empty":
        library.write_bytes(b"")
    elif harm == "missing":
        library.unlink()
    else:
        next(folder.glob("[0-9a-f]*.json")).write_text('{"library": 3')
    rebuilt = cache.cached_library([source])
    assert rebuilt.read_bytes() == content
    assert answer(rebuilt) == 7


def test_damaged_flag_memory_is_ignored(tmp_path, folder):
    """A broken flags file is probed again, not trusted."""
    compiler = cc.find_compiler()
    folder.mkdir()
    flags = cache.cached_flags(compiler, folder)
    (path,) = folder.glob("flags-*.json")
    path.write_text('["-O0"')
    assert cache.cached_flags(compiler, folder) == flags
    assert json.loads(path.read_text()) == list(flags)


def test_flags_never_change_the_process(folder):
    """-ffast-math would flush denormals in the whole process; the flags must keep IEEE results."""
    flags = cc.probe_flags(cc.find_compiler())
    assert "-O2" in flags
    assert not any("fast-math" in flag or flag == "-Ofast" for flag in flags)


def test_two_processes_build_at_once(tmp_path, folder):
    """Processes racing for one entry all succeed, with one library and no left-overs."""
    source = write(tmp_path, SOURCE % 5)
    code = (
        "import ctypes, pathlib, sys; from acegen.build import cached_library; "
        f"l = cached_library([pathlib.Path({str(source)!r})]); print(ctypes.CDLL(str(l)).answer(), l)"
    )
    racers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [racer.communicate()[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert {words[0] for words in said} == {"5"}
    assert {words[1] for words in said} == {str(path) for path in folder.glob("*.so")}
    kinds = {path.suffix for path in folder.iterdir()}
    assert kinds == {".so", ".json", ".log"}


def test_compile_error_names_first_error_and_log(tmp_path):
    """The sentence shows the compiler's first error, and the log it names holds the command."""
    source = write(tmp_path, "int answer(void) { return oops; }\n")
    with pytest.raises(BuildError, match=r"(?s)the C compiler .* failed, full log in .*oops") as caught:
        cache.cached_library([source])
    log = Path(str(caught.value).split("full log in ")[1].split(":\n")[0])
    assert str(source) in log.read_text()


def test_link_error_is_reported(tmp_path, monkeypatch):
    """A missing function is a BuildError too."""
    source = write(tmp_path, "int other(void);\n" + SOURCE % "other()")
    monkeypatch.setattr(cc, "BASE_FLAGS", (*cc.BASE_FLAGS, "-Wl,--no-undefined"))
    with pytest.raises(BuildError, match="undefined reference"):
        cache.cached_library([source])


def test_missing_source_is_a_sentence(tmp_path):
    """A source that is not there is named."""
    with pytest.raises(BuildError, match=r"nothing\.c: cannot read the C source"):
        cache.cached_library([tmp_path / "nothing.c"])


def test_no_compiler_is_a_sentence(tmp_path, monkeypatch):
    """Without any compiler the message says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CC", "")
    monkeypatch.setattr(cc.importlib.util, "find_spec", lambda name: None)
    cc._find_compiler.cache_clear()
    with pytest.raises(BuildError, match="no C compiler found: install gcc or clang"):
        cc.find_compiler()
    cc._find_compiler.cache_clear()


def test_compiler_order(tmp_path, monkeypatch):
    """ACEGEN_CC wins over CC, CC over gcc; a wrong ACEGEN_CC is an error, a wrong CC is passed over."""
    fake = tmp_path / "mycc"
    fake.write_text("#!/bin/sh\necho mine 1.0 $2\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CC", f"{fake} usual")
    assert cc.find_compiler().command == (str(fake), "usual")
    monkeypatch.setenv("ACEGEN_CC", f"{fake} wanted")
    assert cc.find_compiler().version == "mine 1.0 --version"
    assert cc.find_compiler().command == (str(fake), "wanted")
    monkeypatch.setenv("ACEGEN_CC", "no-such-compiler")
    with pytest.raises(BuildError, match="ACEGEN_CC: expected a C compiler command, found 'no-such-compiler'"):
        cc.find_compiler()
    monkeypatch.delenv("ACEGEN_CC")
    monkeypatch.setenv("CC", "no-such-compiler")
    assert cc.find_compiler().command[0] != "no-such-compiler"


def test_commands_that_are_no_compiler(tmp_path, monkeypatch):
    """An open quotation, and a program that ends well and writes nothing, are sentences."""
    monkeypatch.setenv("ACEGEN_CC", "gcc '-O2")
    with pytest.raises(BuildError, match='ACEGEN_CC: expected a C compiler command, found "gcc \'-O2"'):
        cc.find_compiler()
    monkeypatch.setenv("ACEGEN_CC", "true")
    with pytest.raises(BuildError, match=r"ended without an error and wrote no library, full log in .*\.log"):
        cache.cached_library([write(tmp_path, SOURCE % 1)])


def test_full_disk_names_the_cache(tmp_path, monkeypatch, folder):
    """No room in the cache: the folder and the variable that moves it are named."""
    source = write(tmp_path, SOURCE % 1)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "_write_whole", full)
    with pytest.raises(BuildError, match=rf"cache folder {folder}: .* \(No space left .*; set ACEGEN_CACHE"):
        cache.cached_library([source])


def test_cache_warning_points_at_the_caller(tmp_path, monkeypatch):
    """The warning of a cache that cannot be written shows the line outside acegen, however deep the call."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ACEGEN_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path))
    with pytest.warns(RuntimeWarning, match="cannot be written") as seen:
        cache.cached_library([write(tmp_path, SOURCE % 4)])
    assert seen[0].filename == __file__


def test_unwritable_cache_falls_back(tmp_path, monkeypatch):
    """A cache that cannot be written is replaced by a private temporary folder, and a warning says so."""
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("ACEGEN_CACHE", str(blocked / "cache"))
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path))
    with pytest.warns(RuntimeWarning, match=r"cannot be written .* set ACEGEN_CACHE"):
        folder = cache.cache_folder()
    assert folder.parent == tmp_path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    source = write(tmp_path, SOURCE % 3)
    assert answer(cache.cached_library([source])) == 3


def test_planted_temporary_folder_is_refused(tmp_path):
    """A fallback folder others may write is not used: libraries in it would be loaded."""
    planted = tmp_path / f"acegen-{os.getuid()}"
    planted.mkdir()
    planted.chmod(0o777)
    assert cache._private_temporary(tmp_path) != planted


def test_build_imports_no_compiler_tower():
    """The build needs neither SymPy, Jinja, YAML nor NumPy."""
    code = "import sys, acegen.build; print([m for m in ('sympy','jinja2','yaml','numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
