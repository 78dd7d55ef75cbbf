"""The cards: the final segmenter against the control, and the best network by each score."""

from __future__ import annotations

import pandas as pd

from weakseg.figures import headline
from weakseg.figures.headline import Card
from weakseg.figures.material import Material


def chain(split: str, **scores: float) -> list[dict]:
    interval = {"miou_low": 0.125, "miou_high": 0.875}
    return [{"split": split, "step": step, "miou": value, **interval} for step, value in scores.items()]


def of_steps(*parts: list[dict]) -> Material:
    return Material(tables={"evaluate_masks": {"steps": pd.DataFrame([row for rows in parts for row in rows])}})


def test_cards_of_the_masks_are_of_the_last_round_on_test_images():
    material = of_steps(
        chain("train", seed=0.9, round0=0.9, round1=0.9, control=0.9),
        chain("test", seed=0.25, round0=0.3, round1=0.6, control=0.8),
    )
    note = "95 % of images: 12.5 to 87.5 %"
    assert headline.list_cards(material) == [
        Card("60.0 %", "mIoU of the segmenter on test images", note),
        Card("75.0 %", "of the same network trained on true masks", "whose mIoU is 80.0 %"),
        Card("25.0 %", "mIoU of the plain activation map on test images", note),
    ]


def test_training_images_stand_in_where_no_test_image_has_a_mask():
    (card,) = headline.list_cards(of_steps(chain("train", seed=0.5)))
    assert card.caption == "mIoU of the plain activation map on train images"


def test_a_control_that_learned_nothing_gives_no_share():
    assert len(headline.list_cards(of_steps(chain("test", round0=0.5, control=0.0)))) == 1


def test_the_best_network_and_all_of_them():
    metrics = {"evaluate_classifier": {"a": {"test_accuracy": 0.5}, "b": {"test_accuracy": 0.75}, "c": {}}}
    material = Material(figures=metrics | {"evaluate_boxes": {"a": {"max_box_acc": 0.25}}})
    assert headline.list_cards(material) == [
        Card("75.0 %", "test accuracy of b", "the best of 2 networks"),
        Card("25.0 %", "MaxBoxAcc of a"),
    ]
    (table,) = headline.list_networks(material)
    assert table.head == ["", "test accuracy", "MaxBoxAcc"]
    assert [[cell.text for cell in row.cells] for row in table.rows] == [["50.0 %", "25.0 %"], ["75.0 %", "–"]]


def test_nothing_left_nothing_shown():
    assert headline.list_cards(Material()) == headline.list_networks(Material()) == []
