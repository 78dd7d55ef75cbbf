"""Checkpoints of a training run: the two newest, each with its digest in its name, so that a damaged one is told."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch

from weakseg.harness import digests

DAMAGE = (OSError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile)


def _digest(path: Path) -> str:
    return digests.read_through(path)[:16]


def listed(path: Path) -> list[tuple[int, Path]]:
    """(epochs done, file) of the checkpoints of `path`, newest first by their number, whatever the clock says."""
    found = [(file.name.split("."), file) for file in path.parent.glob(f"{path.stem}.*.*{path.suffix}")]
    numbered = [(int(parts[-3]), file) for parts, file in found if parts[-3].isdecimal()]
    return sorted(numbered, reverse=True)


def _write(state: dict[str, Any], file: BinaryIO) -> None:
    """`torch.save`; what it makes of a full disk, an error about a place in the file, is the disk's own error again."""
    try:
        torch.save(state, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def save(path: Path, epochs: int, state: dict[str, Any]) -> None:
    """Write `<stem>.<epochs>.<digest><suffix>`; of the others the one before stays.

    Those of as many epochs or more go: they were damaged, or of a longer run.
    """
    temporary = path.with_suffix(".partial")
    try:
        with temporary.open("wb") as file:
            _write(state, file)
        new = path.with_name(f"{path.stem}.{epochs:06}.{_digest(temporary)}{path.suffix}")
        temporary.replace(new)
    finally:
        temporary.unlink(missing_ok=True)
    before = [old for number, old in listed(path) if number < epochs]
    for old in {file for _, file in listed(path)} - {new, *before[:1]}:
        old.unlink()


def newest(path: Path, most: int) -> Iterator[dict[str, Any]]:
    """The states of whole checkpoints with at most that many epochs, newest first; damaged ones are left out.

    Nothing is unpickled but tensors and plain values.
    """
    for epochs, file in listed(path):
        if epochs > most or file.name.split(".")[-2] != _digest(file):
            continue
        try:
            yield torch.load(file, weights_only=True)
        except DAMAGE:
            continue
