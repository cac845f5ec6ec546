"""Stage 1 for fitted PACE potentials: a `.yace`, `.yaml` or `.ace` file in, the internal Potential out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from acegen.errors import PotentialError
from acegen.pace.ace_text import read_ace_text
from acegen.pace.assemble import make_potential
from acegen.pace.bbasis import read_bbasis
from acegen.pace.records import Records
from acegen.pace.yace import read_yace
from acegen.potential import Potential

_READERS: dict[str, Callable[[Path, str], Records]] = {
    ".yace": read_yace,
    ".yaml": read_bbasis,
    ".yml": read_bbasis,
    ".ace": read_ace_text,
}


def read_pace(path: Path) -> Potential:
    """Read a PACE potential; the file name's ending says which format it is.

    Args:
        path: a `.yace` (C-tilde), `.yaml`/`.yml` (B-basis) or `.ace` (text) file.

    Returns:
        The internal model, in eV and angstrom.

    Raises:
        PotentialError: when the file cannot be read, is malformed, or asks for something unknown.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise PotentialError(f"{path.name}: expected a file ending in {', '.join(_READERS)}, found {path.suffix!r}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PotentialError(f"{path.name}: cannot be read as text: {error}") from None
    return make_potential(reader(path, text), path)
