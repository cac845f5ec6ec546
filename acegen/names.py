"""Names a bundle cannot have: its files <name>.c and <name>.h would hide a header of C or another of its own files."""

from __future__ import annotations

_HEADERS = frozenset(
    "alloca assert complex ctype endian errno features fenv float inttypes iso646 limits locale malloc math memory "
    "mm_malloc omp sched setjmp signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn "
    "string strings tgmath threads time uchar unistd wchar wctype".split()
)
_OWN = frozenset(("selftest", "main"))


def reserved(name: str) -> bool:
    """Whether a bundle of that name would not compile; letters of either case, as some file systems see them."""
    word = name.lower()
    return word in _HEADERS or word in _OWN or word.endswith("intrin")
