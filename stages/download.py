"""Bring a dataset's archives, or draw the embedded one; checksums are verified and broken transfers resume.

reads   the source
writes  the raw archives
scores  files and bytes
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from weakseg.harness import files, resume
from weakseg.harness.choices import Choice
from weakseg.harness.params import Of, StageParams
from weakseg.harness.stage import Outcome, run


class Params(StageParams):
    data: Annotated[Choice, Of("datasets", "fetch")]
    source: str  # official, or a folder or address that holds the same archives; data folder: your own images


def main(params: Params, *, checked: Path, out: Path) -> Outcome:
    files.existing(checked)
    with resume.folder(__file__, params.model_dump(), []) as folder:
        staged = folder / "raw"
        staged.mkdir(exist_ok=True)
        params.data(params.source, staged)
        files.replace_folder(staged, out)
    found = [path for path in out.rglob("*") if path.is_file()]
    return Outcome(scores={"files": len(found), "bytes": sum(path.stat().st_size for path in found)})


if __name__ == "__main__":
    run(main, torch=False)
