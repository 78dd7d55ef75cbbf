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


def replace_folder(staged: Path, out: Path) -> None:
    """Put the folder `staged` in the place of `out`, whatever `out` was."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        shutil.rmtree(out)
    shutil.move(staged, out)


@contextmanager
def together(*paths: Path) -> Iterator[list[Path]]:
    """Temporary names for several outputs, renamed to `paths` when all are written; on an error none changes."""
    folder = paths[0].parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".partial.") as temporary:
        staged = [Path(temporary) / f"{number}{path.suffix}" for number, path in enumerate(paths)]
        yield staged
        for source, target in zip(staged, paths, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                shutil.rmtree(target)
            source.replace(target)


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
