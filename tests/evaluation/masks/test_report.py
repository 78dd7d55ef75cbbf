"""The tables and metrics that the steps end in."""

from __future__ import annotations

import numpy as np

from weakseg.evaluation.masks.report import Measurement, Protocol, Report, drawn, foreground, own_miou
from weakseg.evaluation.masks.steps import Found

PROTOCOL = Protocol(square=4, batch=2, replicates=5, seed=0, tolerance=0.01)
LEFT = np.array([[1, 1, 0, 0]] * 4, np.uint8)


def test_foreground_joins_classes_and_keeps_ignored():
    assert foreground(np.array([[0, 1, 7, 255]], np.uint8)).tolist() == [[0, 1, 1, 255]]


def test_a_measurement_of_classes_sees_a_wrong_class():
    meter = Measurement(2, PROTOCOL)
    assert meter.add(Found(LEFT * 2), LEFT, None) == 1
    row = meter.row()
    assert row["miou"] == 1 and row["class_miou"] == 1 / 3 and row["images"] == 1
    assert "head_recall" not in row
    assert meter.class_rows() == [{"class_id": 0, "iou": 1.0}, {"class_id": 1, "iou": 0.0}, {"class_id": 2, "iou": 0.0}]


def test_what_is_undefined_is_left_out():
    meter = Measurement(1, PROTOCOL)
    meter.add(Found(np.zeros_like(LEFT)), np.zeros_like(LEFT), np.zeros((0, 4)))
    row = meter.row()
    assert row["miou"] == 1 and "foreground_iou" not in row and "class_miou" not in row


def report(**miou: float) -> Report:
    """Steps of the test split with given mean IoU, the same in ten replicates."""
    steps = [
        {"split": "test", "step": step, "miou": value, "published": 0.5, "dice": 0.9} for step, value in miou.items()
    ]
    replicates = {("test", step): np.full(10, value) for step, value in miou.items()}
    return Report(steps=steps, replicates=replicates)


def test_metrics_name_the_final_round_segmenter():
    found = report(seed=0.4, round0=0.6, round1=0.75, control=0.8).metrics("round1")
    assert found["test_segmenter_miou"] == 0.75 and found["test_round0_miou"] == 0.6
    assert found["test_segmenter_of_control"] == 0.75 / 0.8
    assert "test_seed_dice" not in found and found["test_control_dice"] == 0.9


def test_the_share_of_the_control_is_paired():
    one = report(round0=0.6, control=0.8)
    one.replicates["test", "round0"] = 0.75 * np.linspace(0.5, 1, 10)
    one.replicates["test", "control"] = np.linspace(0.5, 1, 10)
    found = one.metrics("round0")
    values = [found[f"test_segmenter_of_control_{end}"] for end in ("low", "high")]
    np.testing.assert_allclose(values, 0.75)


def test_no_share_of_a_control_that_found_nothing():
    assert "test_segmenter_of_control" not in report(round0=0.0, control=0.0).metrics("round0")


def test_drawn_ids_do_not_depend_on_their_order():
    ids = [f"{number:02d}" for number in range(30)]
    first = drawn(ids, 5, seed=3)
    assert first == drawn(ids[::-1], 5, seed=3) == sorted(first)
    assert drawn(ids, 99, seed=3) == ids and drawn([], 3, seed=0) == []


def test_own_miou_by_hand():
    assert own_miou(np.ones_like(LEFT), LEFT) == 0.25
