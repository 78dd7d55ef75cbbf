"""Networks of the toy world: a tiny backbone with random weights, and small ones that are right by construction."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from tests.world import CLASSES
from weakseg.networks.classifier import Classifier, PooledHead
from weakseg.networks.loading import saved_classifier
from weakseg.networks.segmentation import saved_segmenter
from weakseg.networks.segmentation.segmenter import Inputs, Segmenter

TINY = saved_classifier.Header("mobilenet", "small", CLASSES, 32)
SEES_COLOR = saved_classifier.Header("drawn", "small", CLASSES, 32)


def tiny_classifier() -> Classifier:
    """A small MobileNet for the two classes, with random weights."""
    return saved_classifier.build(TINY)


def save_classifier(path: Path) -> Path:
    """Write the tiny classifier."""
    saved_classifier.save(path, tiny_classifier(), TINY)
    return path


def color_classifier(blocks: int = 1, sureness: float = 9.0) -> Classifier:
    """Green and red, told by the mean of the channel; its levels are the color on ever coarser grids."""
    head = PooledHead(3, 2)
    with torch.no_grad():
        head.linear.weight.copy_(sureness * torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))
        head.linear.bias.zero_()
    pools = [nn.AvgPool2d(4), nn.AvgPool2d(2), nn.AvgPool2d(4)][:blocks]
    return Classifier(nn.Sequential(*pools), head, 4, (0.0,) * 3, (1.0,) * 3).eval()


def color_segmenter(per_class: bool = False) -> tuple[Segmenter, saved_segmenter.Header]:
    """A segmenter that is right everywhere, and what its file says of it."""
    decoder = nn.Conv2d(3, 3 if per_class else 2, 1)
    with torch.no_grad():
        decoder.weight.zero_()
        decoder.bias.zero_()
        decoder.bias[0] = 10.0
        decoder.weight[1, 1 if per_class else slice(0, 2), 0, 0] = 20.0
        if per_class:
            decoder.weight[2, 0, 0, 0] = 20.0
    network = Segmenter(nn.Identity(), decoder, [], Inputs(1, (0.0,) * 3, (1.0,) * 3)).eval()
    classes = CLASSES if per_class else ["object"]
    return network, saved_segmenter.Header("drawn", "", "", "", classes, 40, 40, [1.0], True)


def save_segmenter(folder: Path, rounds: int, per_class: bool = False) -> Path:
    """Write the color segmenter as that of every round."""
    for number in range(rounds):
        saved_segmenter.save(saved_segmenter.round_path(folder, number), *color_segmenter(per_class))
    return folder
