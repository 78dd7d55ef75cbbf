"""PxAP worked by hand, and against a direct reading of the definition."""

from __future__ import annotations

import numpy as np
import pytest

from weakseg.errors import UserError
from weakseg.evaluation.boxes.pxap import PixelPrecision

THRESHOLDS = np.arange(0, 1, 0.01)


def test_perfect_map_has_area_one():
    pixels = PixelPrecision(THRESHOLDS)
    pixels.add(np.array([[1.0, 0.0]]), np.array([[3, 0]], np.uint8))
    assert pixels.result() == 1.0


def test_inverted_map_by_hand():
    pixels = PixelPrecision(THRESHOLDS)
    pixels.add(np.array([[1.0, 0.0, 0.0, 0.0]]), np.array([[0, 1, 1, 0]], np.uint8))
    assert pixels.result() == pytest.approx(2 / 4)


def test_flat_map_gives_the_share_of_foreground():
    pixels = PixelPrecision(THRESHOLDS)
    pixels.add(np.zeros((2, 4)), np.array([[1, 0, 0, 0], [1, 0, 0, 0]], np.uint8))
    assert pixels.result() == 0.25


def test_ignored_pixels_are_left_out():
    pixels = PixelPrecision(THRESHOLDS)
    pixels.add(np.array([[1.0, 0.9, 0.0]]), np.array([[1, 255, 0]], np.uint8))
    assert pixels.result() == 1.0
    assert pixels.counts.sum() == 2


def test_equals_the_definition_on_random_maps():
    generator = np.random.default_rng(0)
    pixels, scores, truth = PixelPrecision(THRESHOLDS), [], []
    for _ in range(4):
        one, mask = generator.random((9, 7)), generator.integers(0, 2, (9, 7)).astype(np.uint8)
        pixels.add(one, mask)
        scores.append(one)
        truth.append(mask)
    values, positive = np.concatenate(scores).ravel(), np.concatenate(truth).ravel() > 0
    area, before = 0.0, 0.0
    for threshold in np.append(THRESHOLDS, 1.0)[::-1]:
        chosen = values >= threshold
        recall = (chosen & positive).sum() / positive.sum()
        if chosen.any():
            area += (chosen & positive).sum() / chosen.sum() * (recall - before)
        before = recall
    assert pixels.result() == pytest.approx(area, abs=1e-12)


def test_mask_of_another_size_is_brought_to_the_map():
    pixels = PixelPrecision(THRESHOLDS)
    pixels.add(np.array([[1.0, 0.0]]), np.repeat(np.array([[1, 0]], np.uint8), 5, axis=1))
    assert pixels.result() == 1.0


def test_no_foreground_is_a_user_error():
    pixels = PixelPrecision(THRESHOLDS)
    pixels.add(np.zeros((2, 2)), np.zeros((2, 2), np.uint8))
    with pytest.raises(UserError, match="no foreground pixel"):
        pixels.result()
