"""Arrange all figures, curves and pictures on one self-contained page.

reads   the folders of tables, plots and pictures
writes  report.html
scores  nothing
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from weakseg.figures import material, report
from weakseg.harness import files
from weakseg.harness.params import StageParams
from weakseg.harness.stage import run


class Params(StageParams):
    networks: dict[str, Any]  # what is left of other networks is not shown
    title: str


def main(params: Params, *, tables: Path, plots: Path, pictures: Path, out: Path) -> None:
    found = material.collect(params.networks, tables=tables, plots=plots, pictures=pictures)
    files.save_bytes(out, report.render(found, params.title).encode())


if __name__ == "__main__":
    run(main, torch=False)
