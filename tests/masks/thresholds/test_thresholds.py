"""Thresholds without masks: values by hand, invariances, degenerate scores."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from weakseg.harness import choices
from weakseg.masks import pooled_threshold
from weakseg.masks.thresholds import area, consistency, fixed, otsu
from weakseg.masks.thresholds import otsu as otsu_choice


def brute(values: np.ndarray) -> float:
    """Largest between-class variance over all splits of the sorted values."""
    ordered = np.sort(values)
    return max(n * (len(values) - n) * (ordered[n:].mean() - ordered[:n].mean()) ** 2 for n in range(1, len(values)))


def test_otsu_of_two_groups_lies_between_them() -> None:
    assert otsu.threshold(np.array([0, 0, 0, 10, 10.0]), 0.0) == pytest.approx(5, abs=0.1)


def test_otsu_reaches_the_best_split() -> None:
    values = np.random.default_rng(0).gamma(1.5, size=400)
    cut = otsu.threshold(values, 0.0)
    low, high = values[values <= cut], values[values > cut]
    assert len(low) * len(high) * (high.mean() - low.mean()) ** 2 > 0.999 * brute(values)


def test_otsu_ignores_outliers_by_its_tails() -> None:
    values = np.concatenate([np.zeros(500), np.ones(500), [1e6]])
    assert otsu.threshold(values, 0.005) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("values", [np.full(5, 3.0), np.array([2.0])])
def test_otsu_of_equal_scores_is_their_value(values: np.ndarray) -> None:
    assert otsu.threshold(values, 0.0) == values[0]


def test_otsu_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no score"):
        otsu.threshold(np.zeros(0), 0.0)


def test_choices_take_maps_of_any_shape() -> None:
    maps = [np.zeros((1, 2, 2)), np.ones(4)]
    assert otsu_choice.pick(maps, tails=0.0) == pytest.approx(0.5, abs=0.01)
    assert area.pick([np.arange(10.0)], share=0.3) == pytest.approx(6.3)
    assert (np.arange(10.0) > area.pick([np.arange(10.0)], share=0.3)).sum() == 3
    assert area.pick([np.full((2, 2), 4.0)], share=0.4) == 4
    assert fixed.pick([np.arange(10.0)], value=2.5) == 2.5


def test_the_sweep_covers_every_threshold_and_consistency_alone_asks_the_classifier() -> None:
    for name in choices.names("thresholds"):
        pick = choices.load("thresholds", name).pick
        assert list(inspect.signature(pick).parameters)[:2] == ["scores", "confidence"]
        assert pooled_threshold.asks_classifier(pick) == (name == "consistency")


def test_consistency_finds_the_part_the_class_needs() -> None:
    maps = [np.arange(16.0).reshape(4, 4) / 15 for _ in range(3)]
    needed = maps[0] > 0.5

    def confidence(places: list[int], masks: list[np.ndarray]) -> np.ndarray:
        return np.array([(mask & needed).sum() / needed.sum() - 0.5 * (mask & ~needed).mean() for mask in masks])

    found = consistency.pick(maps, confidence=confidence, steps=9, tested=2)
    np.testing.assert_array_equal(maps[0] > found, needed)
    assert consistency.pick([np.ones((2, 2))], confidence=confidence, steps=3, tested=5) == 1


def test_consistency_asks_for_no_more_area_than_the_class_needs() -> None:
    """A classifier that is sure of the class from a part of the object on: the largest mask has to lose."""
    maps = [np.arange(100.0).reshape(10, 10) / 99 for _ in range(2)]
    needed = maps[0] > 0.7

    def confidence(places: list[int], masks: list[np.ndarray]) -> np.ndarray:
        return np.array([0.8 * min(1.0, 2 * (mask & needed).sum() / needed.sum()) for mask in masks])

    found = consistency.pick(maps, confidence=confidence, steps=19, tested=2)
    assert 0.5 < (maps[0] > found).sum() / needed.sum() <= 1
