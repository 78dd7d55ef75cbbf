"""List the code that each stage uses: what changes in a list reruns its stage, and nothing else does.

reads   the source files of stages, of studies, and of every room that can change a number
writes  a list for each stage, as sha256sum writes and checks it
scores  nothing
"""

from __future__ import annotations

from pathlib import Path

from weakseg.harness import files, source_code
from weakseg.harness.params import StageParams
from weakseg.harness.stage import run


class Params(StageParams):
    pass


def main(params: Params, *, out: Path) -> None:
    programs = [path for path in source_code.programs() if path != Path(__file__)]
    for path in programs:
        listed = (out / source_code.relative(path)).with_suffix(".txt")
        files.save_bytes(listed, source_code.listing(path).encode())


if __name__ == "__main__":
    run(main, torch=False)
