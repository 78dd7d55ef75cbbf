"""A task's rules and classes, and the logits of several classes, by hand."""

from __future__ import annotations

import numpy as np

from weakseg.artifacts.activations import CamEntry
from weakseg.masks.distillation.linear_rule import Rule
from weakseg.masks.distillation.sampling import label_seeds
from weakseg.masks.distillation.task import Recipe, Task, image_logits
from weakseg.masks.sources import Sources


def task(joint: bool) -> Task:
    recipe = Recipe(
        levels=[-1], image_size=4, batch_size=1, precision="fp32", rules="foreground" if joint else "classes",
        first_labels="cam",
        first_band=0.0, cells=4, most_cells=100, refine_images=1, rounds=1, covariance_ridge=0.0, tails=0.0, band=0.0,
        least_change=0.0, least_foreground=0.0, most_foreground=1.0, refined_rounds=0, hold=False,
    )  # fmt: skip
    return Task(sources=Sources(None, None, None), recipe=recipe, ids=["a"], trained=[0], classes=3, seed=0)


def entry(*maps: list[float], classes: list[int]) -> CamEntry:
    scores = np.array(maps, np.float32).reshape(len(maps), 1, 4)
    return CamEntry(scores, np.array(classes, int), np.ones((1, 4), np.float32), np.zeros((0, 1, 1), np.float32))


def test_logits_of_one_rule_go_to_the_class_with_the_highest_map() -> None:
    rule = Rule(np.array([[1.0]], np.float32), np.zeros(1, np.float32))
    features = np.array([2.0, -1, 1, 3]).reshape(1, 1, 4)
    one = image_logits(task(True), rule, features, entry([0, 1, 2, 3], classes=[2]))
    np.testing.assert_allclose(one[:, 0], [[6, -3, 3, 9]])
    two = image_logits(task(True), rule, features, entry([0, 1, 2, 3], [9, 1, 0, 0], classes=[0, 2]))
    np.testing.assert_allclose(two[:, 0], [[-6, -3, 3, 9], [6, -3, -3, -9]])
    none = image_logits(task(True), rule, features, entry(classes=[]))
    assert none.shape == (0, 1, 4)


def test_logits_of_a_rule_a_class_are_those_of_the_image_s_classes() -> None:
    rule = Rule(np.array([[1.0, 2.0, -1.0]], np.float32), np.zeros(3, np.float32))
    found = image_logits(task(False), rule, np.ones((1, 1, 4)), entry([0] * 4, [0] * 4, classes=[2, 1]))
    np.testing.assert_allclose(found[:, 0, 0], [-3, 6])


def test_seeds_and_flags_count_the_rules() -> None:
    two = entry([0, 0, 5, 5], [5, 0, 0, 0], classes=[2, 0])
    np.testing.assert_array_equal(label_seeds(task(False), two, (1, 4)), [[1, 0, 3, 3]])
    np.testing.assert_array_equal(label_seeds(task(True), two, (1, 4)), [[1, 0, 1, 1]])
    np.testing.assert_array_equal(task(False).flag_rules(two.classes), [True, False, True])
    assert task(True).flag_rules(two.classes).tolist() == [True]
    assert task(True).flag_rules(np.zeros(0, int)).tolist() == [False]
