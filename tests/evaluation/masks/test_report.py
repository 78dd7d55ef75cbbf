"""The tables and metrics that the steps end in."""

from __future__ import annotations

import numpy as np

from weakseg.evaluation.masks.report import MaskReport, draw_sample, headline


def report(**miou: float) -> MaskReport:
    """Steps of the test split with given mean IoU, the same in ten replicates; the final one is round1, else round0."""
    steps = [
        {"split": "test", "step": step, "miou": value, "published": 0.5, "dice": 0.9} for step, value in miou.items()
    ]
    replicates = {("test", step): np.full(10, value) for step, value in miou.items()}
    return MaskReport("round1" if "round1" in miou else "round0", steps=steps, replicates=replicates)


def test_metrics_name_the_final_round_segmenter():
    scores = report(seed=0.4, round0=0.6, round1=0.75, control=0.8).metrics()
    assert scores["test_segmenter_miou"] == 0.75 and scores["test_round0_miou"] == 0.6
    assert scores["test_segmenter_of_control"] == 0.75 / 0.8
    assert "test_seed_dice" not in scores and scores["test_control_dice"] == 0.9


def test_the_share_of_the_control_is_paired():
    one = report(round0=0.6, control=0.8)
    one.replicates["test", "round0"] = 0.75 * np.linspace(0.5, 1, 10)
    one.replicates["test", "control"] = np.linspace(0.5, 1, 10)
    scores = one.metrics()
    values = [scores[f"test_segmenter_of_control_{end}"] for end in ("low", "high")]
    np.testing.assert_allclose(values, 0.75)


def test_no_share_of_a_control_that_found_nothing():
    assert "test_segmenter_of_control" not in report(round0=0.0, control=0.0).metrics()


def test_the_worst_are_of_the_test_group_whatever_the_order_of_the_groups():
    one = report(round0=0.6)
    one.own = {
        ("test", "control"): {"a": 0.0, "b": 1.0, "c": 0.5},
        ("test", "round0"): {"a": 0.9, "b": 0.2, "c": 0.2},
        ("train", "round0"): {"d": 0.3, "e": 0.1},
    }
    assert one.rank() == ["b", "c", "a"]
    one.own = {key: own for key, own in one.own.items() if key[0] == "train"}
    assert one.rank() == ["e", "d"]


def test_headline_is_the_mean_iou_of_the_steps_to_compare():
    scores = report(seed=0.4, distilled=0.5, refined=0.55, round0=0.6, round1=0.75, control=0.8).metrics()
    expected = {"cam": 0.4, "distilled": 0.5, "refined": 0.55, "segmenter": 0.75, "control": 0.8}
    assert headline(scores | {"train_seed_miou": 0.1, "test_with_mask": 6}) == expected


def test_headline_of_a_set_without_test_masks_is_of_the_train_group():
    scores = {"train_seed_miou": 0.4, "train_control_miou": 0.8, "train_control_dice": 0.9, "test_without_mask": 2}
    assert headline(scores) == {"cam": 0.4, "control": 0.8}


def test_a_drawn_sample_does_not_depend_on_the_order():
    ids = [f"{number:02d}" for number in range(30)]
    first = draw_sample(ids, 5, seed=3)
    assert first == draw_sample(ids[::-1], 5, seed=3) == sorted(first)
    assert draw_sample(ids, 99, seed=3) == ids and draw_sample([], 3, seed=0) == []
