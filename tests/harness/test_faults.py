"""Faults of the machine: the sentences of real ones; bugs keep their traceback."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from weakseg.harness import faults, files, workers


def sentence(error: BaseException) -> str:
    found = faults.explain(error)
    assert found is not None and ":" in found and "\n" not in found
    return found


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk() -> None:
    with pytest.raises(OSError) as caught, Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"x")
    assert "the disk is full: free some room" in sentence(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="writes where nobody may")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    place = Path("/sys/kernel/weakseg")
    with pytest.raises(OSError) as caught:
        files.save_bytes(place / "x", b"x")
    assert caught.value.errno in faults.REMEDIES
    assert str(place) in sentence(caught.value)


DYING = """
import os, signal, sys
from torch.utils.data import DataLoader, Dataset
from weakseg.harness import command

class Dying(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return index

sys.exit(command.attempt("stage", lambda: list(DataLoader(Dying(), num_workers=1))))
"""


def test_a_data_loading_process_that_dies() -> None:
    """In a process of its own: torch raises where the signal finds it, which must not be in pytest."""
    done = subprocess.run([sys.executable, "-c", DYING], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"stage: {workers.DIED}\n")


def test_memory_that_is_short() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert "lower batch_size" in sentence(caught.value)


def test_a_bug_is_none_of_them() -> None:
    for error in (
        ValueError("x"),
        EOFError(),
        RuntimeError("shapes"),
        FileNotFoundError(errno.ENOENT, "no such file", "x"),
    ):
        assert faults.explain(error) is None
