"""Undeclared folders for resuming: `.cache/<stage>/<key>`; DVC deletes declared outputs before a rerun."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent.parent
ROOT = Path(".cache")


def _stamp(path: Path) -> list[Any]:
    """Name, size and modification time of a file, or of every file below a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [(file.as_posix(), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]


def key(settings: Any, inputs: Iterable[Path]) -> str:
    """Sixteen hex digits that change with the parameters, the library's code or an input."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for file in sorted(PACKAGE.rglob("*.py")):
        digest.update(file.read_bytes())
    for path in inputs:
        digest.update(json.dumps(_stamp(path)).encode())
    return digest.hexdigest()[:16]


@contextmanager
def folder(stage: str, settings: Any, inputs: Iterable[Path]) -> Iterator[Path]:
    """Give this run's own folder; it survives a kill or an error and goes when the stage is done."""
    path = ROOT / stage / key(settings, inputs)
    path.mkdir(parents=True, exist_ok=True)
    yield path
    shutil.rmtree(path)
