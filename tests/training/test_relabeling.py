"""Self-training: the refiner mends noisy predictions, and when to stop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.world import CLASSES, World
from weakseg.artifacts import activations, labels, zips
from weakseg.harness.choices import Choice
from weakseg.training import relabeling

WORLD = World()


def noisy(present: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Probabilities (3, H, W) of which every fifth is on the wrong side."""
    noise = np.random.default_rng(0)
    for name in WORLD.names:
        share = np.where(WORLD.square(name) ^ (noise.random(WORLD.shape) < 0.2), 0.9, 0.1)
        probability = np.zeros((3, *WORLD.shape), np.float32)
        probability[0], probability[1 + present[name][0]] = 1 - share, share
        yield name, probability


def test_self_training_mends_noisy_masks(tmp_path: Path) -> None:
    paths = WORLD.write(tmp_path, "images", "labels", "superpixels")
    present = relabeling.present_classes(labels.load_labels(paths["labels"]), CLASSES, False)
    assert present["d"].tolist() == [1]
    scores = tmp_path / "scores.zip"
    relabeling.write_scores(scores, noisy(present), present)
    refine = Choice("refiners", "refine", "superpixel_vote", {"band": 0.0, "radius": 0})
    archives = zips.Images(paths["images"]), zips.Segments(paths["superpixels"]), activations.Cams(scores)
    refinement = relabeling.Refinement(refine, *archives, True)
    mask, truth = refinement("d"), WORLD.mask("d", ring=0)
    assert set(np.unique(mask)) <= {0, 2, 255} and (mask == 255).any()
    assert (mask[mask != 255] == truth[mask != 255]).mean() > 0.9


def test_verdicts() -> None:
    assert [relabeling.judge(value, 0.98, 0.7) for value in (0.5, 0.8, 0.99)] == ["departed", "on", "converged"]
    left = [("a", np.array([[[0.9, 0.1]], [[0.1, 0.9]]])), ("b", np.array([[[0.2, 0.1]], [[0.8, 0.9]]]))]
    right = [("a", np.array([[[0.1, 0.1]], [[0.9, 0.9]]])), ("b", left[1][1])]
    assert relabeling.agreement(iter(left), iter(right)) == pytest.approx(3 / 4)
