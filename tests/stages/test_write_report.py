"""write_report writes one page, the same bytes each time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stages import write_report
from tests import closure
from tests.parameters import entries
from weakseg.harness import files, source_code


def test_one_page(workplace: Path, stage_params: Callable) -> None:
    paths = {name: workplace / name for name in ("tables", "plots", "pictures")}
    for folder in paths.values():
        folder.mkdir()
    files.save_csv(paths["tables"] / "evaluate_classifier/resnet.csv", [{"name": "accuracy", "value": 0.5}])
    paths |= {"out": Path("report/report.html")}
    params = stage_params(write_report, title="Run of today", others={"networks": entries("resnet")})
    assert write_report.main(params, **paths) is None
    first = paths["out"].read_bytes()
    assert b"Run of today" in first and b"<td>0.500</td>" in first
    write_report.main(params, **paths)
    assert paths["out"].read_bytes() == first


def test_the_template_is_code_of_this_stage_alone() -> None:
    template = "weakseg/figures/report.html"
    programs = {path.stem for path in source_code.programs() if template in source_code.listing(path)}
    assert programs == {"write_report"}
    assert not source_code.package_data(closure.ROOT / "weakseg/figures/topics.py")
