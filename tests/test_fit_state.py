"""The state of an interrupted fit, and places that are none for a model: told in one sentence, never a traceback."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fits import COPPER, emt_labelled

import acegen
from acegen.cli.main import main
from acegen.errors import InputError


@pytest.fixture
def copper(tmp_path: Path) -> Path:
    """A specification of few functions."""
    path = tmp_path / "cu.yaml"
    path.write_text(COPPER)
    return path


def damaged(path: Path, damage: str) -> None:
    """Spoil a state on disk."""
    with np.load(path) as archive:
        arrays = dict(archive)
    if damage == "text":
        path.write_bytes(b"PK not really")
    elif damage == "one array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif damage == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        changes = {
            "nan": ("energy_triangle", np.full_like(arrays["energy_triangle"], np.nan)),
            "shape": ("forces_waiting_0", np.zeros((3, 2))),
            "words": ("energy_rows", np.array("many")),
            "blocks": ("n_blocks", np.array(99)),
            "below": ("n_blocks", np.array(-1)),
            "cube": ("virial_triangle", np.zeros((2, 2, 2))),
            "rows": ("energy_rows", np.array([1, 2])),
        }
        name, array = changes[damage]
        with path.open("wb") as file:
            np.savez(file, **{**arrays, name: array})


@pytest.mark.parametrize(
    "damage", ["text", "one array", "half", "nan", "shape", "words", "blocks", "below", "cube", "rows"]
)
def test_a_damaged_state_is_told_and_not_taken(copper: Path, tmp_path: Path, damage: str) -> None:
    frames = [emt_labelled(k, "Cu4") for k in range(3)]
    partial, told = tmp_path / "model.partial", []
    choices: dict[str, Any] = {"block_bytes": 1, "save_every": 0.0, "active_set": False, "committee": 0}
    whole = acegen.fit(copper, frames, partial=partial, **choices)
    damaged(partial, damage)
    again = acegen.fit(copper, frames, partial=partial, progress=lambda text, _: told.append(text), **choices)
    assert f"{partial}: no state of a fit to go on from: begun anew" in told
    np.testing.assert_array_equal(again.weights[0], whole.weights[0])


@pytest.mark.parametrize("name", ["model.partial", "model.npz"])
def test_a_folder_in_the_way_is_told_before_the_work(
    copper: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).mkdir()
    assert main(["fit", str(copper), str(tmp_path / "none.xyz"), "-o", str(tmp_path / "model")]) == 2
    assert f"{name}: is a folder, expected the name of a file" in capsys.readouterr().err


def test_a_model_is_not_written_to_devices(copper: Path, tmp_path: Path) -> None:
    fitted = acegen.fit(copper, emt_labelled(1, "Cu4"), active_set=False, committee=0)
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/null"), Path("/dev/model"), tmp_path / "pipe"):
        with pytest.raises(InputError, match="is a device or pipe, expected the name of a file to write"):
            fitted.save(path)
