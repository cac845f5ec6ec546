"""Floor 0: where the templates lie: in the package of an installation, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path


def templates_folder() -> Path:
    """Folder of the templates that belong to this copy of acegen.

    A path and no import: with the folder of a checkout as the current one its `acegen` hides an installed acegen,
    whose templates may be others.
    """
    package = Path(__file__).resolve().parent
    inside = package / "templates"
    return inside if inside.is_dir() else package.parent / "templates"
