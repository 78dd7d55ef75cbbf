"""Image-level scores by hand and against scikit-learn-like definitions in torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest

from weakseg.evaluation.classifier import accuracy

SCORES = np.array([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.3, 0.3, 0.4], [0.1, 0.2, 0.7]])


def test_balanced_accuracy_weighs_classes_equally():
    predicted, true = np.array(["a", "a", "a", "a"]), np.array(["a", "a", "a", "b"])
    assert accuracy.balanced_accuracy(predicted, true) == 0.5
    assert np.isnan(accuracy.balanced_accuracy(np.array([]), np.array([])))


def test_top_k_counts_a_tie_against_the_image():
    true = np.array([0, 2, 0, 0])
    assert accuracy.top_k_accuracy(SCORES, true, 1) == 1 / 4
    assert accuracy.top_k_accuracy(SCORES, true, 2) == 2 / 4
    assert accuracy.top_k_accuracy(SCORES, true, 3) == 1


def test_average_precision_by_hand():
    """Ranks 1 and 3 hold the positives: (1/1 + 2/3) / 2."""
    assert accuracy.average_precision(np.array([3.0, 2, 1, 0]), np.array([1, 0, 1, 0]) > 0) == pytest.approx(5 / 6)


def test_equal_scores_do_not_depend_on_the_order():
    flat, positive = np.zeros(4), np.array([True, False, False, False])
    assert accuracy.average_precision(flat, positive) == accuracy.average_precision(flat, positive[::-1]) == 0.25


def test_classes_without_a_positive_are_left_out():
    positive = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]) > 0
    expected = np.mean([accuracy.average_precision(SCORES[:, k], positive[:, k]) for k in (0, 2)])
    assert accuracy.mean_average_precision(SCORES, positive) == pytest.approx(expected)
    assert np.isnan(accuracy.mean_average_precision(SCORES, np.zeros_like(positive)))


def test_agrees_with_torchmetrics():
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("torchmetrics.functional.classification")
    generator = np.random.default_rng(0)
    scores, positive = generator.random((50, 4)).round(1), generator.random((50, 4)) < 0.3
    theirs = metrics.multilabel_average_precision(
        torch.from_numpy(scores), torch.from_numpy(positive).long(), num_labels=4
    )
    assert accuracy.mean_average_precision(scores, positive) == pytest.approx(float(theirs), abs=1e-6)


def test_label_sets():
    result = accuracy.set_scores([{"a"}, {"a", "b"}], [{"a"}, {"b"}])
    assert result == {"exact_match": 0.5, "f1": pytest.approx(4 / 5)}
    assert np.isnan(accuracy.set_scores([], [])["f1"])
