"""The compile function of the device runtime: which compiler, which architecture, what the cache keeps."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pair_cuda import SOURCE

from acegen.errors import BuildError
from acegen.runtime.cuda import compile as compiling
from acegen.runtime.cuda.compile import CudaCompiler, best_architecture, cached_cubin, find_cuda_compiler
from acegen.runtime.cuda.nvrtc import CompilationError, Nvrtc, find_nvrtc

ARCHITECTURES = "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120"

# Stands in for nvcc: knows some architectures, copies the source and the flags, fails when the source says so.
FAKE = """#!{python}
import pathlib, sys
words = sys.argv[1:]
if words == ["--version"]:
    print("Cuda compilation tools, release 13.0, V13.0.88")
elif words == ["--list-gpu-code"]:
    print("{architectures}".replace(" ", "\\n"))
else:
    out, source = words[words.index("-o") + 1], words[words.index("-o") - 1]
    text = pathlib.Path(source).read_text()
    with open({calls!r}, "a") as file:
        file.write(" ".join(words[:words.index("-o") - 1]) + "\\n")
    if "#error" in text:
        sys.exit(pathlib.Path(source).name + "(7): error: #error directive: no\\n 1 error detected")
    pathlib.Path(out).write_text("cubin of " + text)
"""


@pytest.fixture
def nvcc(tmp_path, monkeypatch):
    """A stand-in for nvcc; the value is the list of its calls, as a function."""
    calls = tmp_path / "calls"
    calls.touch()
    path = tmp_path / "nvcc"
    path.write_text(FAKE.format(python=sys.executable, architectures=ARCHITECTURES, calls=str(calls)))
    path.chmod(0o755)
    monkeypatch.setenv("ACEGEN_NVCC", str(path))
    monkeypatch.setenv("ACEGEN_CACHE", str(tmp_path / "cache"))
    return lambda: calls.read_text().splitlines()


def test_a_source_is_compiled_once(nvcc, tmp_path):
    """The key covers source, definitions and architecture; a damaged cubin is made anew."""
    first = cached_cubin("text", "a.cu", "sm_90", ("REAL=float",))
    assert first.suffix == ".cubin" and first.read_text() == "cubin of text"
    assert cached_cubin("text", "a.cu", "sm_90", ("REAL=float",)) == first
    assert nvcc() == ["-cubin -arch=sm_90 -std=c++17 -DREAL=float"]
    others = [
        cached_cubin("text 2", "a.cu", "sm_90", ("REAL=float",)),
        cached_cubin("text", "a.cu", "sm_80", ("REAL=float",)),
        cached_cubin("text", "a.cu", "sm_90", ("REAL=double",)),
    ]
    assert len({first, *others}) == 4 and len(nvcc()) == 4
    first.write_text("damaged")
    assert cached_cubin("text", "a.cu", "sm_90", ("REAL=float",)).read_text() == "cubin of text"
    assert len(nvcc()) == 5
    changed = Path(os.environ["ACEGEN_NVCC"])
    changed.write_text(changed.read_text().replace("V13.0.88", "V13.1.5"))
    compiling._nvcc_version.cache_clear()
    cached_cubin("text", "a.cu", "sm_90", ("REAL=float",))
    assert len(nvcc()) == 6


def test_failures_show_the_first_error_and_the_log(nvcc, tmp_path):
    with pytest.raises(
        BuildError, match=r"nvcc V13\S+ failed, full log in .*\.log:\n    a.cu\(7\): error: #error"
    ) as told:
        cached_cubin("#error no", "a.cu", "sm_90")
    log = Path(str(told.value).split("full log in ")[1].split(":\n")[0])
    assert "1 error detected" in log.read_text()
    assert not list((tmp_path / "cache").glob("*.cubin"))


def test_the_device_decides_the_architecture(nvcc):
    """The device's own, else an older one of its generation, whose code it runs; else a sentence."""
    compiler = find_cuda_compiler()
    assert best_architecture("sm_90", compiler) == "sm_90"
    assert best_architecture("sm_89", compiler) == "sm_86"
    assert best_architecture("sm_103", compiler) == "sm_100"
    with pytest.raises(BuildError, match=r"the device is sm_70, nvcc V13\S+ writes for sm_75 to sm_120"):
        best_architecture("sm_70", compiler)
    with pytest.raises(BuildError, match="architecture: expected a name like 'sm_90', found 'gfx90a'"):
        best_architecture("gfx90a", compiler)


def test_compilers_are_tried_in_order(nvcc, monkeypatch, tmp_path):
    """ACEGEN_NVCC, then NVRTC of the CUDA version of CuPy, then nvcc, then a sentence that says what to install."""
    asked = []

    def found(major):
        asked.append(major)
        return Nvrtc("libnvrtc.so.12", (12, 9), None) if major == 12 else None

    monkeypatch.setattr(compiling, "find_nvrtc", found)
    assert find_cuda_compiler(12).nvcc and not asked
    monkeypatch.delenv("ACEGEN_NVCC")
    assert find_cuda_compiler(12).version == "NVRTC 12.9"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_cuda_compiler(13).version.startswith("nvcc V13")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(compiling, "find_nvrtc", lambda major: None)
    for major, sentence in ((12, r"acegen\[cuda12\].*nvidia-cuda-nvrtc-cu12"), (13, r"acegen\[cuda13\]")):
        with pytest.raises(BuildError, match=rf"no CUDA compiler found: pip install '{sentence}"):
            find_cuda_compiler(major)
    monkeypatch.setenv("ACEGEN_NVCC", "nowhere")
    with pytest.raises(BuildError, match="ACEGEN_NVCC: expected the command of nvcc, found 'nowhere'"):
        find_cuda_compiler()


@pytest.mark.parametrize("compiler", ["nvrtc", "nvcc"])
def test_real_compilers_write_cubins(compiler):
    """NVRTC and nvcc take the same source and flags, without a device; errors carry the compiler's words."""
    if compiler == "nvrtc":
        nvrtc = find_nvrtc()
        if nvrtc is None:
            pytest.skip("NVRTC is not installed: pip install nvidia-cuda-nvrtc")
        found = CudaCompiler("NVRTC", nvrtc=nvrtc)
    else:
        path = shutil.which("nvcc")
        if path is None:
            pytest.skip("nvcc is not installed")
        found = CudaCompiler("nvcc", nvcc=path)
    assert {80, 90} <= set(found.architectures())
    cubin = found.compile(SOURCE, "morse.cu", ("-arch=sm_90", *compiling.FLAGS, "-DREAL=float"))
    assert cubin[:4] == b"\x7fELF" and b"gather" in cubin
    with pytest.raises(CompilationError, match=r"bad.cu\(1\): error"):
        found.compile("this is no CUDA\n", "bad.cu", ("-arch=sm_90", *compiling.FLAGS))


def test_nvrtc_loads_without_the_rest_of_acegen():
    """Finding NVRTC imports neither CuPy nor the compiler of acegen."""
    code = (
        "import sys, acegen.runtime.cuda.compile as c; c.find_nvrtc(); "
        "print({'cupy', 'sympy', 'jinja2'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
