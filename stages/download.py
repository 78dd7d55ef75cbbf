"""Bring a dataset's archives, or draw the embedded one; checksums are verified and broken transfers resume.

reads: the source
writes: the raw archives
scores: files and bytes
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from weakseg.data.sources import downloads
from weakseg.harness import resume
from weakseg.harness.files import replace_folder
from weakseg.harness.params import StageParams
from weakseg.harness.stage import run


class Params(StageParams):
    choices: ClassVar[dict[str, tuple[str, str]]] = {"data": ("datasets", "fetch")}
    data: str  # a file of weakseg/datasets
    source: str  # official, or a folder or address that holds the same archives; data folder: your own images


def main(params: Params, *, out: Path) -> dict[str, float]:
    fetch, options = params.choice("data")
    staged = downloads.staging(resume.ROOT / "download", params.data, params.source, options)
    fetch(params.source, staged, **options)
    replace_folder(staged, out)
    files = [path for path in out.rglob("*") if path.is_file()]
    return {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}


if __name__ == "__main__":
    run(main)
