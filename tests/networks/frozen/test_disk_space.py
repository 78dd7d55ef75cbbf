"""The bound on kept features, and who makes room for whom."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from weakseg.errors import UserError
from weakseg.networks.frozen import disk_space


def keep(name: str, age: int, size: int = 100) -> Path:
    """A folder of features of so many bytes, used so many seconds after the beginning."""
    folder = disk_space.home() / name
    folder.mkdir(parents=True)
    (folder / "level1.f32").write_bytes(b"0" * size)
    os.utime(folder, (age, age))
    return folder


@pytest.mark.usefixtures("workplace")
def test_what_was_used_longest_ago_makes_room_and_no_more_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    old, older, own = keep("old", 2), keep("older", 1), keep("own", 0)
    monkeypatch.setenv("WEAKSEG_FEATURES_GB", str(250 / disk_space.GIGABYTE))
    assert disk_space.make_room(150, "own")
    assert old.exists() and not older.exists() and own.exists()


@pytest.mark.usefixtures("workplace")
def test_what_is_too_large_removes_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    old = keep("old", 1)
    monkeypatch.setenv("WEAKSEG_FEATURES_GB", "2")
    assert not disk_space.make_room(3 * disk_space.GIGABYTE, "new") and old.exists()
    assert "features would take 3.00 GB, and may take 2.00 (WEAKSEG_FEATURES_GB)" in capsys.readouterr().err


def test_the_bound_is_half_of_the_free_disk_or_what_is_said(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEAKSEG_FEATURES_GB", raising=False)
    assert disk_space.find_bound() == pytest.approx(0.5 * shutil.disk_usage(workplace).free, rel=0.05)
    monkeypatch.setenv("WEAKSEG_FEATURES_GB", "much")
    with pytest.raises(UserError, match="WEAKSEG_FEATURES_GB is 'much': set it to a number"):
        disk_space.make_room(1, "new")
