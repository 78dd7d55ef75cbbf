"""The oracle threshold and the head-bias meter, by hand and against a search by force."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from weakseg.evaluation.masks.activation import HeadBias, ThresholdSweep


def test_best_threshold_by_hand():
    sweep = ThresholdSweep(0.0, 1.0, bins=10)
    sweep.add(np.array([[0.05, 0.35, 0.35, 0.95]]), np.array([[0, 0, 1, 1]], np.uint8))
    threshold, miou = sweep.result()
    assert threshold == pytest.approx(0.1)
    assert miou == pytest.approx(float((Fraction(1, 2) + Fraction(2, 3)) / 2))


def test_best_threshold_equals_a_search_by_force():
    generator = np.random.default_rng(0)
    scores, truth = generator.random((30, 30)), generator.choice([0, 1, 3, 255], (30, 30)).astype(np.uint8)
    scores[truth == 1] += 0.3
    sweep = ThresholdSweep(0.0, 1.3, bins=130)
    for part in (slice(0, 15), slice(15, 30)):
        sweep.add(scores[part], truth[part])
    back, front = scores[truth == 0], scores[(truth == 1) | (truth == 3)]
    values = []
    for cut in np.arange(1, 131) / 100:
        hit, missed, extra, right = (front >= cut).sum(), (front < cut).sum(), (back >= cut).sum(), (back < cut).sum()
        values.append((hit / (hit + missed + extra) + right / (right + missed + extra)) / 2)
    threshold, miou = sweep.result()
    assert miou == pytest.approx(max(values), abs=1e-9)
    assert threshold == pytest.approx((np.argmax(values) + 1) / 100)


def test_scores_outside_the_range_go_to_the_ends():
    sweep = ThresholdSweep(-1.0, 1.0, bins=4)
    sweep.add(np.array([[-9.0, 9.0]]), np.array([[0, 1]], np.uint8))
    assert sweep.result() == (-0.5, 1.0)


def test_without_foreground_no_threshold():
    sweep = ThresholdSweep(0.0, 1.0)
    sweep.add(np.array([[0.5]]), np.array([[0]], np.uint8))
    assert np.isnan(sweep.result()).all()


def test_head_bias_by_hand():
    truth = np.array([[1, 1, 1, 1], [0, 1, 1, 255]], np.uint8)
    found = np.array([[1, 0, 1, 0], [0, 0, 255, 1]], np.uint8)
    meter = HeadBias()
    meter.add(found, truth, np.array([[0, 0, 2, 1]]), np.array([[4.0, 0, 1, 1], [9, 1, 1, 9]]))
    result = meter.result()
    assert result["head_recall"] == pytest.approx(1 / 2)
    assert result["body_recall"] == pytest.approx(1 / 4)
    assert result["head_area"] == pytest.approx(2 / 6)
    assert result["head_share"] == pytest.approx(4 / 8)


def test_head_bias_averages_images_and_leaves_out_missing_parts():
    meter = HeadBias()
    all_head = np.ones((2, 2), np.uint8)
    meter.add(all_head, all_head, np.array([[0, 0, 2, 2]]))
    meter.add(np.zeros((2, 2), np.uint8), all_head, np.array([[0, 0, 1, 2], [-5, 0, 1, 1]]))
    result = meter.result()
    assert result == {"head_recall": 0.5, "body_recall": 0.0, "head_area": 0.75, "head_share": 1.0}


def test_head_bias_of_nothing_is_empty():
    assert HeadBias().result() == {}
