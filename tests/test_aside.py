"""Files written aside: whole or not at all, and nothing that is no ordinary file is ever replaced."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from acegen.aside import check_place, remove_leftovers, written_aside
from acegen.errors import InputError, PotentialError


def test_a_file_appears_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"one", b"two"):
        with written_aside(path) as file:
            file.write(content)
            assert not path.exists() or path.read_bytes() == b"one"
        assert path.read_bytes() == content
    with pytest.raises(ZeroDivisionError), written_aside(path) as file:
        file.write(b"three")
        raise ZeroDivisionError
    assert path.read_bytes() == b"two" and os.listdir(tmp_path) == ["file"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_is_told_with_the_file(tmp_path: Path, number: int) -> None:
    """Where it shows at once and where it shows when the last bytes are written; other errors stay what they are."""
    path = tmp_path / "file"
    with pytest.raises(InputError, match=rf"file: cannot be written \({os.strerror(number)}\)"), written_aside(path):
        raise OSError(number, os.strerror(number))
    with pytest.raises(OSError, match="No such file"), written_aside(path):
        (tmp_path / "none").read_bytes()
    assert os.listdir(tmp_path) == []
    if os.path.exists("/dev/full"):
        with pytest.raises(InputError, match="/dev/full: cannot be written"), written_aside(Path("/dev/full")) as file:
            file.write(b"some")
            file.flush()


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    """As every device does: it is written to, nothing is renamed over it."""
    path, read = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    with written_aside(path) as file:
        file.write(b"through")
    reader.join()
    assert read == [b"through"] and stat.S_ISFIFO(path.stat().st_mode)


def test_places_are_checked_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="is a folder, expected the name of a file to write"):
        check_place(tmp_path)
    with pytest.raises(PotentialError, match="cannot be written, there is no folder"):
        check_place(tmp_path / "none" / "file", PotentialError)
    check_place(Path("/dev/null"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="may not be written to"):
        check_place(tmp_path / "file")


def test_only_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    """By names that are exactly those of `written_aside`, and never while somebody may still write."""
    left, fresh = tmp_path / ".m.yaml-ab12_xyz", tmp_path / ".m.yaml-ab12_xyy"
    others = [tmp_path / name for name in (".m.yaml-ab12_xy", ".m.yaml-notes-ab12_xyz", ".mm.yaml-ab12_xyz", "m.yaml")]
    for path in (left, fresh, *others):
        path.write_text("some")
        if path != fresh:
            os.utime(path, (0, 0))
    remove_leftovers(tmp_path / "m.yaml")
    assert sorted(tmp_path.iterdir()) == sorted([fresh, *others])
