"""U-Net whose output channels are the activation maps, one per class, and whose logits are the maps' means.

O. Ronneberger, P. Fischer, T. Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015,
arXiv:1505.04597
Differs from the paper: trained from image labels through a global average pool, so that the class activation map of
the pooled head is the output channel itself; zero padding and batch normalization; bilinear up-sampling; any image
size. `_relu` clamps the maps at zero; `small` halves the resolution first and is for 96-pixel images.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from weakseg.errors import UserError
from weakseg.networks.classifier import HALF, Classifier, PooledHead
from weakseg.networks.classifier import variant as entry
from weakseg.networks.layers.reparameterize import ConvNorm
from weakseg.networks.loading import checkpoints

SMALL = {"widths": (16, 32, 64, 96), "stride": 2, "mean": HALF, "std": HALF}
STANDARD = {"widths": (64, 128, 256, 512, 1024), "stride": 1}
VARIANTS: dict[str, dict[str, Any]] = {
    "small": {**SMALL, "relu": False},
    "small_relu": {**SMALL, "relu": True},
    "standard": {**STANDARD, "relu": False},
    "standard_relu": {**STANDARD, "relu": True},
}


def double(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Two 3x3 convolutions with batch normalization and ReLU, the first with a stride."""
    return nn.Sequential(
        ConvNorm(inputs, outputs, (3, 3), stride=stride, activation=nn.ReLU),
        ConvNorm(outputs, outputs, (3, 3), activation=nn.ReLU),
    )


class UNet(nn.Module):
    """Contracting and expanding path with skips: images (B,3,H,W) -> (B,widths[0],ceil(H/stride),ceil(W/stride))."""

    def __init__(self, widths: tuple[int, ...], stride: int) -> None:
        super().__init__()
        self.smallest = stride * 2 ** (len(widths) - 1)
        self.down = nn.ModuleList(
            double(inputs, width, stride if inputs == 3 else 1)
            for inputs, width in zip((3, *widths), widths, strict=False)
        )
        self.up = nn.ModuleList(double(deep + skip, skip) for skip, deep in reversed(list(pairwise(widths))))

    def forward(self, images: Tensor) -> Tensor:
        """UserError: images smaller than one cell of the deepest level."""
        if min(images.shape[-2:]) < self.smallest:
            height, width = images.shape[-2:]
            raise UserError(
                f"images of {height}x{width} pixels are too small for this U-Net: use {self.smallest} or more"
            )
        skips = [self.down[0](images)]
        for level in self.down[1:]:
            skips.append(level(F.max_pool2d(skips[-1], 2)))
        features = skips.pop()
        for level in self.up:
            skip = skips.pop()
            enlarged = F.interpolate(features, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            features = level(torch.cat((skip, enlarged), 1))
        return features


def mean_head(classes: int) -> PooledHead:
    """The pooled head whose logits are the means of its K input channels; fixed."""
    head = PooledHead(classes, classes)
    nn.init.eye_(head.linear.weight)
    nn.init.zeros_(head.linear.bias)
    return head.requires_grad_(False)


def network(
    classes: int, *, widths: tuple[int, ...], stride: int, relu: bool, **constants: tuple[float, ...]
) -> Classifier:
    """Two levels: the U-Net (its features for region growing), then the activation maps."""
    maps = nn.Sequential(nn.Conv2d(widths[0], classes, 1), nn.ReLU() if relu else nn.Identity())
    return Classifier(nn.Sequential(UNet(widths, stride), maps), mean_head(classes), stride, **constants)


def build(variant: str, classes: int, weights: str) -> Classifier:
    """A variant by name; weights `random` or the path of a file in this network's own keys."""
    classifier = network(classes, **entry(VARIANTS, variant, "unet"))
    checkpoints.initialize(classifier, weights, "unet", dict)
    return classifier
