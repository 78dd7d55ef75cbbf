"""Which levels agree, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from weakseg.masks.distillation import level_choice


def test_mutual_agreement_prefers_what_the_others_say_too() -> None:
    rng = np.random.default_rng(0)
    good = rng.random((6, 8, 8)) > 0.5
    near, far = good.copy(), rng.random((6, 8, 8)) > 0.5
    near[:, 0] = ~near[:, 0]
    scores = level_choice.mutual_agreement([good, near, far])
    assert scores[2] < min(scores[:2])
    assert scores[0] == pytest.approx((level_choice.mask_iou(good, near) + level_choice.mask_iou(good, far)) / 2)
    assert level_choice.mutual_agreement([good]) == [0] and level_choice.mutual_agreement([]) == []


def test_mask_iou_by_hand() -> None:
    one, other = np.array([True, True, False, False]), np.array([True, False, False, False])
    assert level_choice.mask_iou(one, other) == (1 / 2 + 2 / 3) / 2
    assert level_choice.mask_iou(one, one) == 1 and level_choice.mask_iou(one[:0], one[:0]) == 1
