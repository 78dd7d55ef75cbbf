"""What a segmenter learns from, by hand: the weight of a class, and targets mixed with the averaged network's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from weakseg.training import segmenter


def test_class_weights_by_hand() -> None:
    weights = segmenter.weigh_classes(np.array([75, 25, 0]), 3, 1.0)
    assert weights.tolist() == pytest.approx([2 / 3, 2.0, 0.0])
    assert segmenter.weigh_classes(np.array([75, 25]), 2, 0.0) is None


def test_mixed_targets_by_hand() -> None:
    maps = torch.tensor([[[0, 1, 255]]])
    probability = torch.tensor([0.4, 0.6])[None, :, None, None].expand(1, 2, 1, 3)
    found = segmenter.mix_targets(maps, probability, 0.5)
    torch.testing.assert_close(found[0, :, 0], torch.tensor([[0.7, 0.2, 0.0], [0.3, 0.8, 0.0]]))
