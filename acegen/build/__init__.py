"""Build: C sources to cached shared libraries; imports neither the compiler tower nor NumPy."""

from acegen.build.cache import cache_folder, cached_library
from acegen.build.cc import Compiler, find_compiler

__all__ = ["Compiler", "cache_folder", "cached_library", "find_compiler"]
