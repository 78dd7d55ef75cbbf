"""Whole files: written under a temporary name, renamed when they are complete, checked when they are read."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weakseg.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def put(staged: Path, out: Path) -> None:
    """Rename a file or folder to `out`, on the same file system, whatever stood there.

    A folder cannot take the place of another at once: the old one is renamed, the new one takes its place, and only
    then the old one is removed. So a kill leaves under `out` one that is whole, or between the renames none.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    old = out.with_name(f".{out.name}.old")
    remove(old)
    if out.exists() and (out.is_dir() or staged.is_dir()):
        out.rename(old)
    staged.replace(out)
    remove(old)


def replace_folder(staged: Path, out: Path) -> None:
    """Put the folder `staged`, of whatever file system, in the place of `out`, whatever `out` was."""
    with replacing_folder(out) as temporary:
        temporary.rmdir()
        shutil.move(staged, temporary)


@contextmanager
def together(*paths: Path) -> Iterator[list[Path]]:
    """Temporary names for several outputs, renamed to `paths` when all are written; on an error none changes."""
    folder = paths[0].parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial.") as temporary:
        staged = [Path(temporary) / f"{number}{path.suffix}" for number, path in enumerate(paths)]
        yield staged
        for source, target in zip(staged, paths, strict=True):
            put(source, target)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path`; put it in the place of `path` on success, remove it on any error."""
    temporary = path.with_name(f".{path.name}.partial")
    remove(temporary)  # what a killed run left
    temporary.mkdir(parents=True)
    try:
        yield temporary
        put(temporary, path)
    finally:
        remove(temporary)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` on success, delete it on any error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def reserve(path: Path) -> None:
    """Take the room of a file with holes on the disk now: a full disk is an OSError here, a crash (SIGBUS) later."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def save_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def save_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys; NaN is refused, so that no metric is silently undefined."""
    save_bytes(path, (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())


def load_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(existing(path).read_text(encoding="utf-8"))


def save_csv(path: Path, rows: pd.DataFrame | list[dict[str, Any]], columns: list[str] | None = None) -> None:
    """Write a table with full float precision and no index; `columns` head it even where there is no row."""
    import pandas as pd

    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows, columns=columns)
    save_bytes(path, frame.to_csv(index=False, lineterminator="\n").encode())


def existing(path: Path) -> Path:
    """`path` itself; UserError when there is no such file."""
    if not path.exists():
        raise UserError(f"{path} does not exist: run the stage that writes it (dvc repro)")
    return path
