"""What the classifier sees of a part of an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from weakseg.masks import partial_view
from weakseg.networks.classifier import Classifier, PooledHead


class Drawn:
    """One image, a red stripe on black."""

    def image(self, image_id: str) -> np.ndarray:
        pixels = np.zeros((32, 32, 3), np.uint8)
        pixels[:, 14:18, 0] = 255
        return pixels


def test_hide_keeps_what_is_shown_and_blurs_the_rest() -> None:
    image = Drawn().image("")
    np.testing.assert_array_equal(partial_view.hide(image, np.ones((4, 4), bool)), image)
    none = partial_view.hide(image, np.zeros((4, 4), bool))
    assert 50 < none[:, 14:18, 0].mean() < 150 and none[:, 10:14, 0].min() > 20 and none[..., 1:].max() == 0


def test_confidence_of_the_shown_part() -> None:
    classifier = Classifier(nn.Sequential(nn.MaxPool2d(32)), PooledHead(3, 2), 32, (0.0,) * 3, (1.0,) * 3).train()
    with torch.no_grad():
        classifier.head.linear.weight.copy_(torch.tensor([[0.0, 0, 0], [8.0, 0, 0]]))
        classifier.head.linear.bias.copy_(torch.tensor([2.0, 0.0]))
    confidence = partial_view.PartialViews(classifier, Drawn(), [("x", 1)], 32, 1)
    whole, nothing = confidence([0, 0], [np.ones((4, 4), bool), np.zeros((4, 4), bool)])
    assert whole > nothing
    assert whole == pytest.approx(torch.tensor([2.0, 8.0]).softmax(0)[1].item(), abs=1e-4)
    assert classifier.training
