"""Light top-down decoder on the classifier's own blocks.

T.-Y. Lin et al., "Feature Pyramid Networks for Object Detection", 2017, arXiv 1612.03144; the gate on the top
level follows C. Yu et al., "BiSeNet: Bilateral Segmentation Network", 2018, arXiv 1808.00897.
Differs from the paper: one merged output at the finest level, GroupNorm, few channels; with several classes the
deepest level adds class logits of its own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from weakseg.errors import UserError
from weakseg.networks.classifier import Classifier
from weakseg.networks.segmentation.segmenter import Inputs, Segmenter

# width: channels of the decoder; finest: pixels, smallest stride of a level the decoder uses
VARIANTS = {
    "light": {"width": 64, "finest": 4},
    "fine": {"width": 32, "finest": 2},
    "wide": {"width": 128, "finest": 4},
}
GROUPS = 8  # of the decoder's GroupNorm
FOREGROUND_AND_BACKGROUND = 2  # outputs where all classes are one foreground


class Pyramid(nn.Module):
    """The classifier's blocks, run once; gives the outputs of the chosen `levels` (counted from 1), shallow to deep."""

    def __init__(self, blocks: nn.Sequential, levels: list[int]) -> None:
        super().__init__()
        self.blocks = blocks[: levels[-1]]
        self.levels = levels

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalized images (B,3,H,W) -> one (B,C,h,w) for each chosen level."""
        outputs, features = [], images
        for number, block in enumerate(self.blocks, 1):
            features = block(features)
            if number in self.levels:
                outputs.append(features)
        return outputs


class TopDown(nn.Module):
    """Top level gated by its own global pool, then up-sampled and added to each finer lateral in turn.

    With several classes of foreground, a linear layer on the top level adds its logits to those of the finest one. What
    tells classes apart is there at once, in many channels; through few channels and a normalization at every merge it
    took many passes to arrive, and until then the loss was least where every object was of the most frequent class.
    """

    def __init__(self, channels: list[int], width: int, classes: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.gate = nn.Linear(channels[-1], width)
        self.merges = nn.ModuleList(build_merge(width) for _ in channels)
        self.head = nn.Conv2d(width, classes, 1)
        # Made last, and with several classes alone: the other weights are drawn as they are for one.
        self.votes = nn.Conv2d(channels[-1], classes, 1) if classes > FOREGROUND_AND_BACKGROUND else None

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features (B,C_l,h_l,w_l), shallow to deep, -> logits (B,classes,h_0,w_0)."""
        gate = self.gate(features[-1].mean((2, 3))).sigmoid()[:, :, None, None]  # (B,width,1,1)
        merged = self.merges[-1](self.laterals[-1](features[-1]) * gate)  # (B,width,h,w) of the deepest level
        for level in reversed(range(len(features) - 1)):
            lateral = self.laterals[level](features[level])  # (B,width,h_l,w_l)
            merged = F.interpolate(merged, lateral.shape[-2:], mode="bilinear", align_corners=False)
            merged = self.merges[level](merged + lateral)
        logits = self.head(merged)
        if self.votes is None:
            return logits
        votes = self.votes(features[-1])  # (B,classes,h,w) of the deepest level
        return logits + F.interpolate(votes, logits.shape[-2:], mode="bilinear", align_corners=False)


def build_merge(width: int) -> nn.Sequential:
    """What smooths the sum of a level and the coarser ones: (B,width,h,w) -> (B,width,h,w)."""
    conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.GroupNorm(min(GROUPS, width), width), nn.ReLU(inplace=True))


@torch.no_grad()
def measure_shapes(classifier: Classifier, side: int) -> list[tuple[int, int]]:
    """(channels, stride) of every block's output, seen by running the blocks on a blank image in evaluation mode."""
    modes = [(module, module.training) for module in classifier.modules()]
    classifier.eval()
    features, shapes = next(classifier.parameters()).new_zeros(1, 3, side, side), []
    for block in classifier.blocks:
        features = block(features)
        shapes.append((features.shape[1], round(side / features.shape[-1])))
    for module, mode in modes:
        module.training = mode
    return shapes


def choose_levels(shapes: list[tuple[int, int]], finest: int) -> list[int]:
    """The last level (counted from 1) of each distinct stride from `finest` pixels on, shallow to deep."""
    last = {stride: level for level, (_, stride) in enumerate(shapes, 1) if stride >= finest}
    return sorted(last.values())


def build(variant: str, classes: int, weights: str, *, classifier: Classifier | None = None) -> Segmenter:
    """Top-down segmenter on a classifier's blocks, which it takes over with their weights.

    variant: a key of VARIANTS; weights must be "random": the encoder's weights are the classifier's. UserError
    for an unknown variant, no classifier, other weights, or a network without a level of the wanted stride.
    """
    if variant not in VARIANTS:
        raise UserError(f"unknown topdown variant '{variant}': choose one of {', '.join(VARIANTS)}")
    if classifier is None or weights != "random":
        raise UserError("segmenter topdown takes its encoder from a trained classifier: use weights: random with it")
    width, finest = VARIANTS[variant]["width"], VARIANTS[variant]["finest"]
    shapes = measure_shapes(classifier, classifier.sizes.example() if classifier.sizes else 4 * classifier.stride)
    levels = choose_levels(shapes, finest)
    if not levels:
        raise UserError(
            f"segmenter topdown '{variant}' needs a level of stride {finest} or more: choose another backbone"
        )
    pyramid = Pyramid(classifier.blocks, levels)
    decoder = TopDown([shapes[level - 1][0] for level in levels], width, classes)
    inputs = Inputs(classifier.stride, classifier.mean, classifier.std, classifier.sizes)
    return Segmenter(pyramid, decoder, list(pyramid.blocks), inputs)
