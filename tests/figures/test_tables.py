"""Tables as plain data: which rows, in which order, with which marks."""

from __future__ import annotations

import pandas as pd

from weakseg.figures import tables
from weakseg.figures.tables import Cell


def texts(row: tables.Row) -> list[str]:
    return [cell.text for cell in row.cells]


def test_bars_stay_within_their_frame():
    assert tables.show_bar(0.5) == Cell("50.0 %", 50.0) and tables.show_bar(0) == Cell("0.0 %", 0.0)
    assert tables.show_bar(1.5).filled == 100 and tables.show_bar(-1).filled == 0
    assert tables.show_bar(None) == tables.show_bar(float("nan")) == tables.show_bar("half") == Cell("–")


def test_items_stand_side_by_side():
    (table,) = tables.compare_items({"a": {"test_accuracy": 0.5, "images": 3}, "b": {"images": 4, "rounds": 1}})
    assert table.head == ["", "a", "b"] and not table.folded
    assert [(row.name, texts(row)) for row in table.rows] == [
        ("test accuracy", ["0.500", "–"]),
        ("images", ["3", "4"]),
        ("rounds", ["–", "1"]),
    ]
    assert tables.compare_items({}) == tables.compare_items({"a": {}}) == []


def test_oracles_and_baselines_are_faint_and_all_decided_columns_are_dropped():
    row = {"split": "test", "miou": 0.5, "miou_low": 0.4, "miou_high": 0.6, "kept": 1.0, "miou_kept": 0.5}
    steps = ("all_background", "seed", "seed_oracle", "round0", "round1", "control")
    frame = pd.DataFrame([{**row, "step": step, "head_recall": float("nan")} for step in steps])
    table = tables.list_chain(frame, "Test images")
    assert [row.mark for row in table.rows] == ["faint", "", "faint", "", "strong", "faint"]
    assert table.head == ["", "mIoU", "95 % of images"]
    assert table.rows[1].cells == [Cell("50.0 %", 50.0), Cell("40.0 to 60.0 %")]
    frame.loc[3, "kept"] = 0.9
    assert tables.list_chain(frame, "").head[3:] == ["of decided pixels", "decided"]
    several = tables.list_chain(frame.assign(foreground_miou=0.7), "").head
    assert several[1] == "mIoU of background and classes" and "mIoU of foreground" in several


def test_protocols_keep_their_order_and_prefer_test_images():
    keys = [(step, border) for step in ("seed", "round1") for border in ("ignore", "class")]
    frame = pd.DataFrame(
        {"split": split, "step": step, "average": "image", "border": border, "size": "square", "miou": 0.25 * number}
        for split in ("train", "test")
        for number, (step, border) in enumerate(keys)
    )
    table = tables.list_protocols(frame, "Protocols")
    assert table.head == ["average, border, size", "Activation map", "Segmenter, round 1"] and table.folded
    assert [(row.name, texts(row)) for row in table.rows] == [
        ("image, ignore, square", ["0.0 %", "50.0 %"]),
        ("image, class, square", ["25.0 %", "75.0 %"]),
    ]


def test_boxes_stand_beside_their_baselines():
    items = {
        "resnet": {
            "max_box_acc": 0.8,
            "predicted_max_box_acc": 0.7,
            "random_max_box_acc": 0.3,
            "center_max_box_acc": 0.6,
            "full_max_box_acc": 0.2,
        },
        "unet": {"max_box_acc": 0.7, "center_max_box_acc": 0.6, "pxap": 0.5, "images": 7},
    }
    (table,) = tables.compare_boxes(items)
    names = ["resnet", "resnet, map of the predicted class", "resnet, random weights", "unet"]
    names += ["Gaussian in the center", "Whole image"]
    assert [row.name for row in table.rows] == names and table.head == ["", "MaxBoxAcc", "PxAP"]
    assert texts(table.rows[3]) == ["70.0 %", "50.0 %"] and tables.compare_boxes({}) == []


def test_rows_are_listed_as_they_are():
    frame = pd.DataFrame({"network": ["a", "b"], "parameters": [1200, 3], "max_box_acc": [0.5, float("nan")]})
    table = tables.list_rows(frame, "All")
    assert table.head == ["network", "parameters", "MaxBoxAcc"] and table.folded
    assert [(row.name, texts(row)) for row in table.rows] == [("a", ["1,200", "0.500"]), ("b", ["3", "–"])]
