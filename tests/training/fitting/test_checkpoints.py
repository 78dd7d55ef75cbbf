"""Checkpoints: two are kept, a damaged one gives way to the one before, nothing but tensors is unpickled."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from weakseg.training.fitting import checkpoints


def epochs(path: Path, most: int = 99) -> list[int]:
    return [state["epoch"] for state in checkpoints.newest(path, most)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three epochs were saved."""
    path = tmp_path / "checkpoint.pt"
    for epoch in (1, 2, 3):
        checkpoints.save(path, epoch, {"epoch": epoch, "weight": torch.full((100,), float(epoch))})
    return path


def test_the_two_newest_are_kept(path: Path) -> None:
    assert epochs(path) == [3, 2] and epochs(path, most=2) == [2] and epochs(path, most=1) == []
    assert len(list(path.parent.iterdir())) == 2


def test_a_shorter_run_begins_anew_and_its_own_are_kept(path: Path) -> None:
    checkpoints.save(path, 1, {"epoch": 1})
    assert epochs(path) == [1]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "pickled"])
def test_a_damaged_one_gives_way_to_the_one_before(path: Path, damage: str) -> None:
    _, newest = checkpoints.listed(path)[0]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    harmful = pickle.dumps(pytest.fail)
    newest.write_bytes({"cut": content[:-7], "flipped": content, "empty": b"", "pickled": harmful}[damage])
    assert epochs(path) == [2]


def test_a_pickle_with_the_right_digest_is_not_run(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple:
            return pytest.fail, ("unpickled",)

    path = tmp_path / "checkpoint.pt"
    checkpoints.save(path, 1, {"epoch": 1})
    checkpoints.save(path, 2, {"epoch": Harm()})
    assert epochs(path) == [1]


def test_two_files_do_not_mix(path: Path) -> None:
    other = path.with_name("checkpoint1.pt")
    checkpoints.save(other, 7, {"epoch": 7})
    assert epochs(path) == [3, 2] and epochs(other) == [7]
