"""The report: what is there is shown, what is not is left out, nothing comes from outside, and the bytes are fixed."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from weakseg.artifacts import zips
from weakseg.errors import UserError
from weakseg.figures import page, report, tables
from weakseg.harness import files

OPEN = {"meta", "img", "br"}


class Balance(HTMLParser):
    """Raises on a tag that is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in OPEN and tag not in ("polyline",):
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("polyline",):
            assert self.stack.pop() == tag


def parse(text: str) -> str:
    parser = Balance()
    parser.feed(text)
    assert parser.stack == []
    return text


def write(folder: Path) -> list[Path]:
    scores, plots = folder / "metrics", folder / "plots"
    for name in ("resnet", "old"):
        files.save_json(scores / f"evaluate_classifier/{name}.json", {"test_accuracy": 0.875, "test_images": 1200})
    files.save_json(scores / "train_classifier/resnet.json", {"epochs": 3, "train_loss": 0.25})
    masks = {"test_segmenter_miou": 0.91, "test_segmenter_of_control": 0.965, "test_seed_miou": 0.6}
    files.save_json(scores / "evaluate_masks.json", masks)
    files.save_json(scores / "download.json", {"files": 2, "nested": {"left": "out"}})
    row = {"miou": 0.6, "miou_low": 0.5, "miou_high": 0.7, "published": 0.55, "images": 7, "head_recall": np.nan}
    steps = [
        {"split": "test", "step": step, **row} for step in ("all_background", "seed", "round0", "round1", "control")
    ]
    files.save_csv(plots / "evaluate_masks/steps.csv", steps)
    protocols = [
        {"split": "test", "step": step, "average": "image", "border": border, "size": "square", "miou": 0.5}
        for step in ("seed", "round1")
        for border in ("ignore", "class")
    ]
    files.save_csv(plots / "evaluate_masks/protocols.csv", protocols)
    files.save_csv(plots / "train_classifier/resnet.csv", [{"epoch": e, "loss": 1 / e} for e in (1, 2, 3)])
    files.save_csv(plots / "measure_erf/resnet.csv", [])
    zips.save_png(plots / "evaluate_masks/worst.png", np.zeros((4, 4, 3), np.uint8))
    return [scores, plots]


def test_everything_there_is_shown(tmp_path: Path):
    text = parse(report.render(report.collect(write(tmp_path), ["resnet"]), "A <report>"))
    for part in (
        "A &lt;report&gt;",
        "91.0 %",
        "96.5 %",
        "87.5 %",
        "1,200",
        "Segmenter, round 1",
        "data:image/png;base64,",
    ):
        assert part in text
    assert '<tr class="strong"><td>Segmenter, round 1' in text
    assert "polyline" in text and "50.0 % to 70.0 %" in text and "image, class, square" in text


def test_nothing_is_made_up(tmp_path: Path):
    text = report.render(report.collect(write(tmp_path), ["resnet"]), "Report")
    for absent in ("Localization", "Reconstruction", "head recall", ">old<", "nested", "nan", "None"):
        assert absent not in text


def test_an_empty_run_gives_an_empty_page(tmp_path: Path):
    text = parse(report.render(report.collect([tmp_path], []), "Report"))
    assert "<h2>" not in text and "table" not in re.sub(r"<style>.*</style>", "", text, flags=re.S)


def test_the_page_is_self_contained_and_the_same_twice(tmp_path: Path):
    folders = write(tmp_path)
    text = report.render(report.collect(folders, ["resnet"]), "Report")
    assert text == report.render(report.collect(folders, ["resnet"]), "Report")
    assert not re.search(r"(src|href)=\"(?!data:)", text) and "http" not in text


def test_a_folder_that_is_absent_is_named(tmp_path: Path):
    with pytest.raises(UserError, match="metrics does not exist"):
        report.collect([tmp_path / "metrics"], [])


def test_training_images_stand_in_where_no_test_image_has_a_mask():
    row = {"split": "train", "step": "seed", "miou": 0.5, "miou_low": 0.4, "miou_high": 0.6}
    material = report.Material(
        metrics={"evaluate_masks": {"": {"train_segmenter_miou": 0.7}}},
        tables={"evaluate_masks": {"steps": pd.DataFrame([row])}},
    )
    text = report.render(material, "Report")
    assert "mIoU of the segmenter on train images" in text and "Test images" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (3, "3"),
        (12345, "12,345"),
        (0.12349, "0.123"),
        (1e-5, "1.00e-05"),
        ("<b>", "&lt;b&gt;"),
    ],
)
def test_numbers(value: page.Value, text: str):
    assert page.number(value) == text


def test_percent_and_bar():
    assert (page.percent(0.125), page.percent(None), page.bar(None)) == ("12.5 %", "–", "–")
    assert "width:100.0%" in page.bar(1.5)


def test_curves_need_two_points_and_skip_what_is_not_finite():
    assert page.curves("loss", {"a": [1.0]}) == "" == page.curves("loss", {})
    chart = page.curves("loss", {"a": [1.0, float("nan"), 3.0], "b": [2.0, 2.0, 2.0]})
    assert chart.count("<polyline") == 2 and len(re.findall(r"\d+\.\d,\d+\.\d", chart)) == 5


def test_oracles_and_baselines_are_faint_and_all_decided_columns_are_dropped():
    row = {"split": "test", "miou": 0.5, "miou_low": 0.4, "miou_high": 0.6, "kept": 1.0, "miou_kept": 0.5}
    frame = pd.DataFrame([{**row, "step": step} for step in ("all_background", "seed", "seed_oracle", "round0")])
    text = tables.chain_table(frame)
    assert text.count('class="faint"') == 2 and text.count('class="strong"') == 1 and "decided" not in text
    assert "decided" in tables.chain_table(frame.assign(kept=[1, 1, 1, 0.9]))


def test_boxes_stand_beside_their_baselines():
    items = {
        "resnet": {"max_box_acc": 0.8, "random_max_box_acc": 0.3, "center_max_box_acc": 0.6, "full_max_box_acc": 0.2},
        "unet": {"max_box_acc": 0.7, "center_max_box_acc": 0.6, "pxap": 0.5},
    }
    text = tables.boxes_table(items)
    names = re.findall(r"<tr><td>(.*?)</td>", text)
    assert names == ["resnet", "resnet, random weights", "unet", "Gaussian in the center", "Whole image"]
    assert "<th>MaxBoxAcc</th><th>PxAP</th>" in text and tables.boxes_table({}) == ""
