"""Self-training: the refiner mends noisy predictions, and when to stop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.world import CLASSES, World, save_cams
from weakseg.artifacts import activations
from weakseg.artifacts.formats import labels, zips
from weakseg.data import grids
from weakseg.harness.choices import Choice
from weakseg.masks import superpixels
from weakseg.training.recipes.segmenter import SoftOutputs
from weakseg.training.self_training import relabeling

WORLD = World()
KINDS: tuple[SoftOutputs, ...] = ("log_odds", "probabilities")


def noisy(present: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Probabilities (3, H, W) of which every fifth is on the wrong side."""
    noise = np.random.default_rng(0)
    for name in WORLD.names:
        share = np.where(WORLD.square(name) ^ (noise.random(WORLD.shape) < 0.2), 0.9, 0.1)
        probability = np.zeros((3, *WORLD.shape), np.float32)
        probability[0], probability[1 + present[name][0]] = 1 - share, share
        yield name, probability


def test_classes_that_are_background_are_not_present() -> None:
    frame = pd.DataFrame({"labels": [("cat", "well"), ("well",), (), ("dog",)]}, index=list("abcd"))
    names = ["cat", "dog", "well"]

    def present(binary: bool) -> list[list[int]]:
        found = relabeling.present_classes(frame, ["object"] if binary else names, binary, ["well"])
        return [found[name].tolist() for name in "abcd"]

    assert present(False) == [[0], [], [], [1]] and present(True) == [[0], [], [], [0]]


def test_self_training_mends_noisy_masks(tmp_path: Path) -> None:
    paths = WORLD.write(tmp_path, "images", "labels", "superpixels")
    present = relabeling.present_classes(labels.load_labels(paths["labels"]), CLASSES, False)
    assert present["d"].tolist() == [1]
    scores = tmp_path / "scores"
    save_cams(scores, {n: relabeling.score_present(p, present[n], "log_odds") for n, p in noisy(present)})
    refine = Choice("refiners", "refine", "superpixel_vote", {"band": 0.0, "radius": 0})
    archives = zips.Images(paths["images"]), zips.Segments(paths["superpixels"]), activations.Cams(scores)
    refinement = relabeling.Refinement(refine, *archives, True)
    mask, truth = refinement("d"), WORLD.mask("d", ring=0)
    assert set(np.unique(mask)) <= {0, 2, 255} and (mask == 255).any()
    assert (mask[mask != 255] == truth[mask != 255]).mean() > 0.9


def test_a_mean_of_soft_outputs_by_hand_and_where_it_differs_from_log_odds() -> None:
    """One superpixel: fifteen pixels are 55 % object, one is surely background and outvotes them in log-odds alone."""
    foreground = np.full((4, 4), 0.55, np.float32)
    foreground[0, 0] = 0.0001
    probability, segment = np.stack([1 - foreground, foreground]), np.zeros((4, 4), int)
    means = {kind: superpixels.average(relabeling.score(probability, kind), segment)[0, 0] for kind in KINDS}
    assert means["probabilities"] == pytest.approx((15 * 0.10 - 0.9998) / 16)
    assert means["log_odds"] == pytest.approx((15 * np.log(0.55 / 0.45) - np.log(0.9999 / 0.0001)) / 16, abs=1e-4)
    assert means["log_odds"] < 0 < means["probabilities"]


def test_the_superpixel_takes_the_class_of_its_mean_soft_output(tmp_path: Path) -> None:
    """Against a loop over superpixels: arg-max of the mean probabilities of background and both classes."""
    paths = WORLD.write(tmp_path, "images", "superpixels")
    both = {name: np.array([0, 1]) for name in WORLD.names}
    noise = np.random.default_rng(1).random((3, WORLD.height // 2, WORLD.width // 2)).astype(np.float32)
    probability = noise / noise.sum(0)
    scores = tmp_path / "scores"
    large = grids.resize(probability, WORLD.shape)
    save_cams(scores, {"a": relabeling.score_present(large, both["a"], "probabilities")})
    refine = Choice("refiners", "refine", "superpixel_vote", {"band": 0.0, "radius": 0})
    archives = zips.Images(paths["images"]), zips.Segments(paths["superpixels"]), activations.Cams(scores)
    found = relabeling.Refinement(refine, *archives, False)("a")
    again = grids.resize(grids.resize(large, (WORLD.height // 2, WORLD.width // 2)), WORLD.shape)
    for number in np.unique(WORLD.segments()):
        inside = WORLD.segments() == number
        assert (found[inside] == again[:, inside].mean(1).argmax()).all()
