"""Logit units, class ids, the rule that drops masks, and the tally."""

from __future__ import annotations

import numpy as np

from weakseg.masks import pseudomasks


def test_probabilities_and_log_odds_are_inverse() -> None:
    scores = np.array([[[1.0, -2.0]], [[0.5, 3.0]]])
    probability = pseudomasks.class_probabilities(scores, 0.25)
    np.testing.assert_allclose(probability.sum(0), 1)
    np.testing.assert_allclose(pseudomasks.log_odds(probability), scores - 0.25, rtol=1e-5)


def test_log_odds_by_hand_and_cut() -> None:
    probability = np.array([0.2, 0.6, 0.2, 0.0])
    np.testing.assert_allclose(pseudomasks.log_odds(probability, 1e-4), np.log([3, 1, 1 / 2000]), atol=1e-6)
    np.testing.assert_allclose(pseudomasks.log_odds(probability)[2], np.log(1e-6 / 0.2), rtol=1e-6)


def test_logits_are_centered_and_scaled() -> None:
    maps = np.array([[[0.0, 1.0]], [[0.3, 0.3]]])
    np.testing.assert_allclose(pseudomasks.scale_to_logits(maps, np.array([0.5, 0.1])), [[[-3, 3]], [[0, 0]]])


def test_class_ids() -> None:
    mask = np.array([0, 1, 2, 255], np.uint8)
    np.testing.assert_array_equal(pseudomasks.to_class_ids(mask, np.array([4, 0])), [0, 5, 1, 255])
    np.testing.assert_array_equal(pseudomasks.to_class_ids(mask[:1], np.array([], int)), [0])


def test_usable() -> None:
    mask = np.array([1, 0, 0, 0, 255], np.uint8)
    assert pseudomasks.is_usable(mask, 0.25, 0.25)
    assert not pseudomasks.is_usable(mask, 0.3, 1.0)
    assert not pseudomasks.is_usable(mask, 0.0, 0.2)
    assert not pseudomasks.is_usable(np.full(3, 255, np.uint8), 0.0, 1.0)


def test_tally_counts_degenerate_masks() -> None:
    tally = pseudomasks.Tally()
    full, empty, half = np.ones(4, np.uint8), np.zeros(4, np.uint8), np.array([1, 1, 0, 0], np.uint8)
    tally.add(pseudomasks.count(full, np.full(4, 255, np.uint8), 1, True))
    tally.add(pseudomasks.count(empty, np.full(4, 255, np.uint8), 1, True))
    tally.add(pseudomasks.count(empty, empty, 0, False))
    tally.add(pseudomasks.count(half, np.array([1, 255, 0, 0], np.uint8), 1, False))
    assert tally.result() == {
        "images": 4, "without_class": 1, "empty": 1, "full": 1, "dropped": 2,
        "foreground_share": 1.5 / 4, "ignored_share": 2.25 / 4,
    }  # fmt: skip
