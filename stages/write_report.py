"""Arrange all metrics, curves and pictures on one self-contained page.

reads   the folders of metrics and plots
writes  report.html
scores  nothing
"""

from __future__ import annotations

from pathlib import Path

from weakseg.figures import report
from weakseg.harness import files
from weakseg.harness.params import StageParams
from weakseg.harness.stage import run


class Params(StageParams):
    """Section write_report."""

    backbones: list[str]  # top level of params.yaml; what is left of other backbones is not shown
    title: str


def main(params: Params, *, scores: Path, plots: Path, out: Path) -> None:
    material = report.collect([scores, plots], params.backbones)
    files.save_bytes(out, report.render(material, params.title).encode())


if __name__ == "__main__":
    run(main)
