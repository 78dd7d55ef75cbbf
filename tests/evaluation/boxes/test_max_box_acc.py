"""Boxes and MaxBoxAcc: values by hand, the published loop count for count, and every degenerate map."""

from __future__ import annotations

import typing

import numpy as np
import pytest

from benchmarks import localization
from tests.evaluation.boxes import drawn_scores
from weakseg.errors import UserError
from weakseg.evaluation.boxes import max_box_acc, regions

IOUS = localization.IOUS
THRESHOLDS = localization.THRESHOLDS


def assert_same_as_loop(maps: list[np.ndarray]) -> None:
    generator = np.random.default_rng(0)
    for scores in maps:
        low = generator.integers(0, min(scores.shape) - 1, (2, 2))
        truth = np.concatenate([low, low + generator.integers(0, min(scores.shape) // 2, (2, 2))], axis=1)
        ours = max_box_acc.max_box_acc([scores], [truth], THRESHOLDS, IOUS, "reference")
        assert (ours.largest == localization.plain_counts([scores], [truth], True)).all()
        assert (ours.any == localization.plain_counts([scores], [truth], False)).all()


@pytest.mark.parametrize("name", drawn_scores.special_maps())
def test_reference_counts_equal_the_published_loop_on(name: str):
    assert_same_as_loop([drawn_scores.special_maps()[name]])


@pytest.mark.parametrize("kind", [drawn_scores.rings, drawn_scores.lines])
def test_reference_counts_equal_the_published_loop_on_drawn(kind):
    assert_same_as_loop([kind(32, seed) for seed in range(8)])


@pytest.mark.parametrize("cells", [3, 7, 14])
def test_reference_counts_equal_the_published_loop_on_smooth_maps(cells: int):
    assert_same_as_loop(localization.smooth_maps(2, cells, cells))


def test_iou_by_hand():
    one, other = np.array([[1, 2, 5, 6]]), np.array([[3, 1, 4, 5]])
    assert max_box_acc.iou(one, other, "reference").item() == pytest.approx(8 / 27)
    assert max_box_acc.iou(one, other, "exact").item() == pytest.approx(3 / 17)
    nothing = np.zeros((1, 4), int)
    assert max_box_acc.iou(nothing, nothing, "reference").item() == 1
    assert max_box_acc.iou(nothing, nothing, "exact").item() == 0


def test_true_boxes_on_the_grid():
    box = np.array([[1, 2, 4, 3]])
    assert max_box_acc.scale_boxes(box, 20, 10, 10, "reference").tolist() == [[1, 1, 4, 1]]
    assert max_box_acc.scale_boxes(box, 20, 10, 10, "exact").tolist() == [[1, 1, 4, 1.5]]


def half_maps() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Two maps whose truth is met at different thresholds only."""
    low, high = np.zeros((10, 10)), np.zeros((10, 10))
    low[2:8, 2:8], low[4:6, 4:6] = 0.4, 1.0
    high[:, :], high[2:8, 2:8], high[0, 0] = 0.6, 1.0, 0.0
    return [low, high], [np.array([[2, 2, 8, 8]])] * 2


def test_one_threshold_for_the_whole_set():
    maps, truths = half_maps()
    accuracy = max_box_acc.max_box_acc(maps, truths, np.arange(0, 1, 0.1), IOUS, "exact")
    assert accuracy.result()["max_box_acc"] == 0.5
    each = [
        max_box_acc.max_box_acc([m], [t], np.arange(0, 1, 0.1), IOUS, "exact")
        for m, t in zip(maps, truths, strict=True)
    ]
    assert [item.result()["max_box_acc"] for item in each] == [1, 1]
    assert accuracy.result()["optimal_threshold"] == 0.0


def test_v2_chooses_a_threshold_for_each_overlap_and_any_region():
    scores = np.zeros((10, 10))
    scores[0:4, 0:4], scores[6:9, 6:9] = 1.0, 0.9
    result = max_box_acc.max_box_acc([scores], [np.array([[6, 6, 9, 9]])], np.arange(0, 1, 0.1), IOUS, "exact").result()
    assert result["max_box_acc"] == 0 and result["max_box_acc_v2"] == 1


def test_top1_needs_the_class_right():
    maps, truths = half_maps()
    accuracy = max_box_acc.BoxAccuracy(np.arange(0, 1, 0.1), IOUS, "exact")
    for scores, truth, right in zip(maps, truths, (False, True), strict=True):
        accuracy.add(regions.find_regions(scores, accuracy.thresholds, "exact"), truth, right)
    assert accuracy.result()["top1_loc"] == 0
    assert accuracy.accuracy("top1").max() == 0.5 and accuracy.recognized == 1


@pytest.mark.parametrize("convention", typing.get_args(regions.Convention))
def test_flat_map_finds_nothing(convention: str):
    scores = max_box_acc.evaluation_map(np.full((3, 3), 7.0), 20)
    assert (scores == 0).all()
    accuracy = max_box_acc.max_box_acc([scores], [np.array([[5, 5, 15, 15]])], THRESHOLDS, IOUS, convention)
    assert accuracy.result()["max_box_acc"] == 0


@pytest.mark.parametrize("convention", typing.get_args(regions.Convention))
def test_all_foreground_box(convention: str):
    accuracy = max_box_acc.BoxAccuracy(np.array([0.0, 0.5]), IOUS, convention)
    accuracy.add(regions.whole_image(20, 2, convention), np.array([[0, 0, 20, 14]]))
    assert accuracy.largest.tolist() == accuracy.any.tolist() == [[1, 1]] * 3


def test_center_gaussian_is_centered():
    scores = max_box_acc.center_gaussian(21)
    assert scores.max() == scores[10, 10] == 1 and scores.min() == 0
    assert np.allclose(scores, scores.T) and np.allclose(scores, scores[::-1])


def test_errors():
    with pytest.raises(UserError, match="NaN or infinite"):
        max_box_acc.evaluation_map(np.array([[0, np.nan]]), 8)
    with pytest.raises(UserError, match=r"bird: box .* outside the 20x10 image"):
        max_box_acc.check_boxes(np.array([[0, 0, 21, 5]]), 10, 20, "bird")
    with pytest.raises(UserError, match="no image with a true box"):
        max_box_acc.BoxAccuracy(THRESHOLDS, IOUS, "exact").result()


def test_zero_of_logits_on_the_evaluation_map() -> None:
    assert max_box_acc.zero_level(np.array([[-1.0, 3.0]]).repeat(2, 0), 2) == pytest.approx(0.25)
    assert max_box_acc.zero_level(np.array([[1.0, 3.0]]).repeat(2, 0), 2) == 0.0
    assert max_box_acc.zero_level(np.array([[-3.0, -1.0]]).repeat(2, 0), 2) == 1.0
    assert max_box_acc.zero_level(np.zeros((2, 2)), 2) == 1.0
