"""write_report writes one page, the same bytes each time."""

from __future__ import annotations

from pathlib import Path

from stages import write_report
from weakseg.harness import files


def test_one_page(tmp_path: Path):
    files.save_json(tmp_path / "metrics/evaluate_classifier/resnet.json", {"test_accuracy": 0.5})
    (tmp_path / "plots").mkdir()
    params = write_report.Params(backbones=["resnet"], title="Run of today")
    paths = {"scores": tmp_path / "metrics", "plots": tmp_path / "plots", "out": tmp_path / "report/report.html"}
    assert write_report.main(params, **paths) is None
    first = paths["out"].read_bytes()
    assert b"Run of today" in first and b"50.0 %" in first
    write_report.main(params, **paths)
    assert paths["out"].read_bytes() == first
