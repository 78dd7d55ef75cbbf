"""The scores of one step, by hand."""

from __future__ import annotations

import numpy as np

from weakseg.evaluation.masks.measurement import Measurement, own_miou
from weakseg.evaluation.masks.recipe import MaskProtocol
from weakseg.evaluation.masks.steps import StepMask

PROTOCOL = MaskProtocol(square=4, protocol_batch=2, replicates=5, seed=0, tolerance=0.01)
LEFT = np.array([[1, 1, 0, 0]] * 4, np.uint8)


def test_a_measurement_of_classes_sees_a_wrong_class():
    meter = Measurement(2, PROTOCOL)
    assert meter.add(StepMask(LEFT * 2), LEFT, None) == 1 / 3
    row = meter.row()
    assert row["foreground_miou"] == 1 and row["miou"] == 1 / 3 and row["images"] == 1
    assert "head_recall" not in row
    assert meter.class_rows() == [{"class_id": 0, "iou": 1.0}, {"class_id": 1, "iou": 0.0}, {"class_id": 2, "iou": 0.0}]


def test_what_is_undefined_is_left_out():
    meter = Measurement(1, PROTOCOL)
    meter.add(StepMask(np.zeros_like(LEFT)), np.zeros_like(LEFT), np.zeros((0, 4)))
    row = meter.row()
    assert row["miou"] == 1 and "foreground_iou" not in row and "foreground_miou" not in row


def test_own_miou_by_hand():
    assert own_miou(np.ones_like(LEFT), LEFT, 1) == own_miou(np.full_like(LEFT, 3), LEFT, 1) == 0.25


def test_own_miou_of_several_classes_asks_for_the_class():
    assert own_miou(LEFT * 2, LEFT * 2, 2) == 1
    assert own_miou(LEFT, LEFT * 2, 2) == 1 / 3  # background right, class 1 extra, class 2 missed
