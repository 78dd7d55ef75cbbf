"""Distillation's steps between the rounds: logits of several classes, labels from masks, feature grids on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from weakseg.artifacts.activations import CamEntry
from weakseg.masks.distillation import feature_grids, rounds
from weakseg.masks.distillation.linear_rule import Rule
from weakseg.networks.classifier import Classifier, PooledHead


def task(joint: bool, **changes: Any) -> rounds.Task:
    facts = {
        "cams": None, "images": None, "segments": None, "ids": ["a"], "trained": [0], "classes": 1 if joint else 3,
        "joint": joint, "seeds": "cam", "seed_band": 0.0, "cells": 4, "most_cells": 100, "seed": 0, "fit": {},
    }  # fmt: skip
    return rounds.Task(**facts | changes)


def entry(*maps: list[float], classes: list[int]) -> CamEntry:
    scores = np.array(maps, np.float32).reshape(len(maps), 1, 4)
    return CamEntry(scores, np.array(classes, int), np.ones((1, 4), np.float32), np.zeros((0, 1, 1), np.float32))


def test_logits_of_one_rule_go_to_the_class_with_the_highest_map() -> None:
    rule = Rule(np.array([[1.0]], np.float32), np.zeros(1, np.float32))
    features = np.array([2.0, -1, 1, 3]).reshape(1, 1, 4)
    one = rounds.image_logits(task(True), rule, features, entry([0, 1, 2, 3], classes=[2]))
    np.testing.assert_allclose(one[:, 0], [[6, -3, 3, 9]])
    two = rounds.image_logits(task(True), rule, features, entry([0, 1, 2, 3], [9, 1, 0, 0], classes=[0, 2]))
    np.testing.assert_allclose(two[:, 0], [[-6, -3, 3, 9], [6, -3, -3, -9]])
    none = rounds.image_logits(task(True), rule, features, entry(classes=[]))
    assert none.shape == (0, 1, 4)


def test_logits_of_a_rule_a_class_are_those_of_the_image_s_classes() -> None:
    rule = Rule(np.array([[1.0, 2.0, -1.0]], np.float32), np.zeros(3, np.float32))
    found = rounds.image_logits(task(False), rule, np.ones((1, 1, 4)), entry([0] * 4, [0] * 4, classes=[2, 1]))
    np.testing.assert_allclose(found[:, 0, 0], [-3, 6])


def test_seeds_and_present_count_the_rules() -> None:
    two = entry([0, 0, 5, 5], [5, 0, 0, 0], classes=[2, 0])
    np.testing.assert_array_equal(rounds.seeds(task(False), two, (1, 4)), [[1, 0, 3, 3]])
    np.testing.assert_array_equal(rounds.seeds(task(True), two, (1, 4)), [[1, 0, 1, 1]])
    np.testing.assert_array_equal(task(False).present(two.classes), [True, False, True])
    assert task(True).present(two.classes).tolist() == [True]
    assert task(True).present(np.zeros(0, int)).tolist() == [False]


def test_share_labels_by_hand() -> None:
    mask = np.array([[1, 1, 0, 1, 2, 1], [1, 1, 0, 0, 2, 255]], np.uint8)
    np.testing.assert_array_equal(rounds.share_labels(mask, (1, 3), 2), [[1, 0, -1]])


@pytest.fixture
def classifier() -> Classifier:
    torch.manual_seed(0)
    blocks = nn.Sequential(nn.Conv2d(3, 5, 3, 2, 1), nn.ReLU(inplace=True), nn.Conv2d(5, 4, 3, 2, 1))
    return Classifier(blocks, PooledHead(4, 2), 4, (0.0,) * 3, (1.0,) * 3).eval()


def test_mirrored_mean_does_not_tell_an_image_from_its_mirror_image(classifier: Classifier) -> None:
    images = torch.randn(2, 3, 15, 15)
    with torch.no_grad():
        one = feature_grids.mirrored_mean(classifier, images, [1, 3])
        two = feature_grids.mirrored_mean(classifier, images.flip(3), [1, 3])
        plain = classifier.features_at(images, 3), classifier.features_at(images.flip(3), 3).flip(3)
    assert set(one) == {1, 3}
    for level in one:
        torch.testing.assert_close(one[level], two[level].flip(3))
    torch.testing.assert_close(one[3], sum(plain) / 2)


def test_grids_are_written_whole_and_found_again(classifier: Classifier, tmp_path: Path) -> None:
    class Samples(torch.utils.data.Dataset):
        ids = tuple("abcde")

        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return torch.full((3, 16, 16), float(index)), index

    stacks = feature_grids.Grids(tmp_path, [1, 3])
    assert not stacks.whole()
    stacks.write(classifier, Samples(), batch_size=2, precision="fp32", grid=(4, 4))
    assert stacks.whole() and not list(tmp_path.glob("*.partial"))
    assert [stacks.load(level).shape for level in (1, 3)] == [(5, 5, 4, 4), (5, 4, 4, 4)]
    with torch.no_grad():
        last = feature_grids.mirrored_mean(classifier, torch.full((1, 3, 16, 16), 4.0), [3])[3][0]
    np.testing.assert_allclose(stacks.load(3)[4], last.numpy(), atol=1e-2)
    coarse = feature_grids.on_grid(torch.ones(1, 2, 2, 2), (4, 4))
    assert coarse.shape == (1, 2, 4, 4) and (coarse == 1).all()
