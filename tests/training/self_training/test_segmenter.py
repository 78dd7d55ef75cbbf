"""What a segmenter learns from, by hand: the weight of a class, and targets mixed with the averaged network's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from weakseg.training.recipes.segmenter import Training
from weakseg.training.self_training import segmenter


def test_class_weights_by_hand() -> None:
    weights = segmenter.weigh_classes(np.array([75, 25, 0]), 3, 1.0)
    assert weights.tolist() == pytest.approx([2 / 3, 2.0, 0.0])
    assert segmenter.weigh_classes(np.array([75, 25]), 2, 0.0) is None


def test_mixed_targets_by_hand() -> None:
    maps = torch.tensor([[[0, 1, 255]]])
    probability = torch.tensor([0.4, 0.6])[None, :, None, None].expand(1, 2, 1, 3)
    found = segmenter.mix_targets(maps, probability, 0.5)
    torch.testing.assert_close(found[0, :, 0], torch.tensor([[0.7, 0.2, 0.0], [0.3, 0.8, 0.0]]))


@pytest.mark.parametrize(
    ("images", "epochs", "steps", "expected"),
    [
        (700, 5, 350, (435, 87, 5)),  # 87 whole batches of 8 in 700 images
        (700, 0, 350, (350, 87, 5)),  # epochs 0: the steps decide, and the fifth pass is cut short
        (3, 10, 350, (10, 1, 10)),  # fewer images than one batch
        (8, 1, 0, (1, 1, 1)),
    ],
)
def test_length_by_hand(images: int, epochs: int, steps: int, expected: tuple[int, int, int]) -> None:
    recipe = Training.model_construct(steps=steps, epochs=epochs, batch_size=8)
    length = segmenter.plan_length(recipe, images)
    assert (length.steps, length.every, length.epochs) == expected
