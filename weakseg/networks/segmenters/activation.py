"""The classifier's own network as a segmenter: its activation maps, with one for the background, are the logits.

System (1)'s fully supervised counterpart: the U-Net that learns image labels through the mean of its maps learns masks
with the same layers; a ResNet with a linear head likewise, its head a 1x1 convolution.
Differs from it: the output layer is new, with a channel for the background.
"""

from __future__ import annotations

import copy

from torch import nn

from weakseg.errors import UserError
from weakseg.networks.classifier import Classifier, PooledHead
from weakseg.networks.layers.initialize import draw_torch_default
from weakseg.networks.segmentation.segmenter import Inputs, Segmenter

VARIANTS = ("linear",)
STARTS = ("classifier", "random")


def split_output(classifier: Classifier) -> tuple[nn.Sequential, int]:
    """The blocks before the output layer, and their channels C.

    Where the head has nothing to learn the last block holds the output layer (a U-Net's maps); else all blocks come
    before it, and it is the head. UserError where the head is not pooled.
    """
    head = classifier.head
    if not isinstance(head, PooledHead):
        raise UserError("segmenter activation needs a classifier whose head is pooled: choose another backbone")
    if head.linear.weight.requires_grad:
        return classifier.blocks, head.linear.in_features
    output = next(part for part in classifier.blocks[-1].modules() if isinstance(part, nn.Conv2d))
    return classifier.blocks[:-1], output.in_channels


def build(variant: str, classes: int, weights: str, *, classifier: Classifier | None = None) -> Segmenter:
    """A classifier's blocks and a new 1x1 convolution; weights `classifier` (its own) or `random` (drawn anew).

    The classifier is left as it is. UserError for no classifier, another variant, other weights, or a head that is not
    pooled.
    """
    if variant not in VARIANTS:
        raise UserError(f"unknown activation variant '{variant}': choose one of {', '.join(VARIANTS)}")
    if classifier is None or weights not in STARTS:
        raise UserError("segmenter activation is a classifier's own network: use weights: classifier or random with it")
    blocks, channels = split_output(copy.deepcopy(classifier))
    if weights == "random":
        blocks.apply(draw_torch_default)
    inputs = Inputs(classifier.stride, classifier.mean, classifier.std, classifier.sizes)
    return Segmenter(blocks, nn.Conv2d(channels, classes, 1), list(blocks), inputs)
