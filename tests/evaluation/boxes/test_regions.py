"""Regions by hand, box for box against the published loop, and against labeling one threshold after the other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchmarks import localization
from tests.evaluation.boxes import drawn_scores
from weakseg.evaluation.boxes import max_box_acc, regions

THRESHOLDS = localization.THRESHOLDS


def group(found: regions.Regions) -> list[list[tuple[int, ...]]]:
    """The boxes of each binarization, sorted, each once."""
    ends = np.append(found.starts, len(found.boxes))
    return [sorted({tuple(box) for box in found.boxes[a:b].tolist()}) for a, b in itertools.pairwise(ends)]


def test_reference_boxes_equal_the_published_loop_box_for_box():
    for seed in range(30):
        generator = np.random.default_rng(seed)
        scores = max_box_acc.evaluation_map(generator.random((generator.integers(2, 12),) * 2), 40)
        found = regions.find_regions(scores, THRESHOLDS, "reference")
        ends = np.append(found.starts, len(found.boxes))
        for threshold, cut in zip(THRESHOLDS[::37], found.which[::37], strict=True):
            ours = {tuple(box) for box in found.boxes[ends[cut] : ends[cut + 1]].tolist()}
            assert ours == {tuple(box) for box in localization.plain_boxes(scores, threshold, False)}
            assert [found.largest[cut].tolist()] == localization.plain_boxes(scores, threshold, True)


def test_square_by_hand_in_both_conventions():
    scores = np.zeros((5, 5))
    scores[1:4, 2:4] = 1.0
    for convention, expected in (("exact", [2, 1, 4, 4]), ("reference", [2, 1, 4, 4])):
        found = regions.find_regions(scores, np.array([0.5]), convention)
        assert found.largest.tolist() == [expected]
    corner = np.zeros((5, 5))
    corner[3:, 3:] = 1.0
    assert regions.find_regions(corner, np.array([0.5]), "exact").largest.tolist() == [[3, 3, 5, 5]]
    assert regions.find_regions(corner, np.array([0.5]), "reference").largest.tolist() == [[3, 3, 4, 4]]


def test_exact_regions_are_components_and_the_largest_has_the_most_pixels():
    scores = np.zeros((8, 8))
    scores[0, :] = 0.9
    scores[2:6, 0:2] = 0.6
    scores[3, 0] = 0.0
    found = regions.find_regions(scores, np.array([0.1, 0.7, 0.95]), "exact")
    assert found.largest.tolist() == [[0, 0, 8, 1], [0, 0, 8, 1], [0, 0, 0, 0]]
    ends = np.append(found.starts, len(found.boxes))
    groups = [{tuple(box) for box in found.boxes[a:b].tolist()} for a, b in itertools.pairwise(ends)]
    assert groups == [{(0, 0, 8, 1), (0, 2, 2, 6)}, {(0, 0, 8, 1)}, {(0, 0, 0, 0)}]


def assert_same_as_labeling(scores: np.ndarray, thresholds: np.ndarray) -> None:
    """The same boxes; the same largest one, or one with as many pixels."""
    found, plain = (find(scores, thresholds) for find in (find_exact, regions.label_regions))
    assert group(found) == group(plain)
    for threshold, ours, theirs in zip(thresholds, found.largest, plain.largest, strict=True):
        sizes = {count_pixels(scores, threshold, box) for box in (ours, theirs) if box.any()}
        assert (ours == theirs).all() or len(sizes) == 1


def find_exact(scores: np.ndarray, thresholds: np.ndarray) -> regions.Regions:
    return regions.find_regions(scores, thresholds, "exact")


def count_pixels(scores: np.ndarray, threshold: float, box: np.ndarray) -> int:
    """Pixels of the largest component that has exactly this box."""
    from scipy import ndimage

    labels, _ = ndimage.label(scores > threshold, np.ones((3, 3)))
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(labels)]
    return max(int((labels == n + 1).sum()) for n, one in enumerate(boxes) if one == tuple(box.tolist()))


@pytest.mark.parametrize("name", drawn_scores.special_maps())
def test_exact_equals_the_plain_loop_on(name: str):
    assert_same_as_labeling(drawn_scores.special_maps()[name], np.arange(0, 1, 0.05))


@pytest.mark.parametrize("kind", [drawn_scores.rings, drawn_scores.lines])
def test_exact_equals_the_plain_loop_on_drawn_maps_with_ties(kind):
    for seed in range(8):
        assert_same_as_labeling(kind(32, seed), np.arange(0, 1, 0.05))


@pytest.mark.parametrize("cells", [3, 9, 14])
def test_exact_equals_the_plain_loop_on_smooth_maps(cells: int):
    for seed in range(5):
        scores = max_box_acc.evaluation_map(np.random.default_rng(seed).random((cells, cells)), 30)
        assert_same_as_labeling(scores, THRESHOLDS[::10])


def test_exact_equals_the_plain_loop_at_one_threshold():
    scores = max_box_acc.evaluation_map(np.random.default_rng(0).random((9, 9)), 30)
    assert_same_as_labeling(scores, np.array([0.6]))
