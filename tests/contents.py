"""What lies under a path, whether it is one file or a folder of shards."""

from __future__ import annotations

from pathlib import Path


def content(path: Path) -> dict[str, bytes]:
    """Bytes of every file below a folder by its name there, or of the one file."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in found if not file.is_dir()}
