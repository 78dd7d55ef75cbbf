"""The report: what is there is shown, what is not is left out, nothing comes from outside, and the bytes are fixed."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image

from weakseg.artifacts.formats import zips
from weakseg.figures import material, report
from weakseg.harness import files

VOID = {"meta", "img", "br"}


class Balance(HTMLParser):
    """Raises on a tag that is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag


def parse(text: str) -> str:
    parser = Balance()
    parser.feed(text)
    assert parser.stack == []
    return text


def write(folder: Path) -> material.Material:
    """A small run, with the leavings of an earlier network, as the report reads it."""
    plots, lists, pictures = (folder / name for name in ("plots", "tables", "pictures"))
    for each in (plots, lists, pictures):
        each.mkdir(exist_ok=True)
    figures = {
        "evaluate_classifier/resnet": {"test_accuracy": 0.875, "test_images": 1200},
        "evaluate_classifier/old": {"test_accuracy": 0.875},
        "train_classifier/resnet": {"epochs": 3, "train_loss": 0.25},
        "evaluate_masks": {"miou": 0.6},
        "download": {"files": 2},
    }
    for place, values in figures.items():
        rows = [{"name": name, "value": value} for name, value in values.items()]
        files.save_csv(lists / f"{place}.csv", rows)
    row = {"split": "test", "miou": 0.6, "miou_low": 0.5, "miou_high": 0.7, "published": 0.55, "head_recall": np.nan}
    steps = [row | {"step": step} for step in ("all_background", "seed", "round0", "round1", "control")]
    files.save_csv(lists / "evaluate_masks/steps.csv", steps)
    protocols = [
        {"split": "test", "step": step, "average": "image", "border": border, "size": "square", "miou": 0.5}
        for step in ("seed", "round1")
        for border in ("ignore", "class")
    ]
    files.save_csv(lists / "evaluate_masks/protocols.csv", protocols)
    files.save_csv(plots / "train_classifier/resnet.csv", [{"epoch": e, "loss": 1 / e} for e in (1, 2, 3)])
    files.save_csv(plots / "measure_erf/resnet.csv", [])
    zips.save_png(pictures / "evaluate_masks/worst.png", np.zeros((4, 4, 3), np.uint8))
    return material.collect(["resnet"], plots=plots, tables=lists, pictures=pictures)


def test_everything_there_is_shown(tmp_path: Path):
    text = parse(report.render(write(tmp_path), "A <report>"))
    for part in ("A &lt;report&gt;", "87.5 %", "1,200", "test images", "Segmenter, round 1", "image, class, square"):
        assert part in text
    assert '<tr class="strong">\n<td>Segmenter, round 1</td>' in text and "<td>50.0 to 70.0 %</td>" in text
    assert "The worst masks of the final segmenter" in text and "data:image/png;base64," in text
    assert '<img alt="loss" src="data:image/svg+xml;base64,' in text and "<h3>Download</h3>" in text


def test_nothing_is_made_up(tmp_path: Path):
    text = report.render(write(tmp_path), "Report")
    for absent in ("Localization", "Reconstruction", "head recall", ">old<", "nested", "nan", "None"):
        assert absent not in text


def test_an_empty_run_gives_an_empty_page():
    text = parse(report.render(material.Material(), "Report"))
    assert text.startswith("<!doctype html>\n")
    assert "<h2>" not in text and "<table" not in text and "<nav" not in text and 'class="card' not in text


def test_the_page_is_self_contained_and_the_same_twice(tmp_path: Path):
    text = report.render(write(tmp_path), "Report")
    assert text == report.render(write(tmp_path), "Report")
    assert not re.search(r'(src|href)="(?!data:|#)', text) and "http" not in text and "@import" not in text
    anchors = set(re.findall(r'href="#(\w+)"', text))
    assert anchors == set(re.findall(r'<section id="(\w+)"', text)) and "evaluate_masks" in anchors


def test_names_are_text_and_no_markup():
    found = material.Material(figures={"train_classifier": {"<i>net": {"a<b": "<script>"}}})
    text = parse(report.render(found, "Report"))
    assert "&lt;i&gt;net" in text and "a&lt;b" in text and "&lt;script&gt;" in text and "<script" not in text


def test_figures_are_folded_below_a_table_of_their_own_and_open_alone():
    figures = {"distill_cams": {"": {"rounds": 9}}}
    tables = {stage.name: stage.tables for stage in report.compose(material.Material(figures), "Report").sections}
    assert [(table.title, table.folded) for table in tables["distill_cams"]] == [("", False)]


def test_large_pictures_are_packed_and_small_ones_stay():
    noise = np.random.default_rng(0).integers(0, 256, (240, 300, 3), dtype=np.uint8)
    small, large = zips.png_bytes(noise[:20, :20]), zips.png_bytes(noise)
    assert report.pack(small) == ("png", small)
    kind, data = report.pack(large)
    assert kind == "webp" and len(data) < len(large) and report.pack(large) == (kind, data)
    assert PIL.Image.open(io.BytesIO(data)).size == (300, 240)
    address = report.embed("noise", kind, data).address
    assert base64.b64decode(address.removeprefix("data:image/webp;base64,")) == data


def test_a_table_that_each_network_has_is_listed_for_each():
    frame = pd.DataFrame([{"map": "label", "iou": 0.5, "largest": 0.75, "top1": None}])
    found = material.Material(tables={"evaluate_boxes": {"resnet/accuracy": frame, "slak/accuracy": frame}})
    (section,) = report.compose(found, "Report").sections
    assert [(table.title, table.folded) for table in section.tables] == [
        ("resnet: accuracy", True),
        ("slak: accuracy", True),
    ]
    parse(report.render(found, "Report"))


def test_the_text_says_which_mean_the_masks_are_scored_by():
    row = {"split": "test", "step": "seed", "miou": 0.5, "miou_low": 0.4, "miou_high": 0.6}
    for steps, words in (
        (row, "of foreground and background over"),
        (row | {"foreground_miou": 0.7}, "every class over"),
    ):
        found = material.Material(tables={"evaluate_masks": {"steps": pd.DataFrame([steps])}})
        (text,) = (section.text for section in report.compose(found, "x").sections if section.name == "evaluate_masks")
        assert words in text
