"""U-Net whose output channels are the activation maps, one per class, and whose logits are the maps' means.

O. Ronneberger, P. Fischer, T. Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015,
arXiv:1505.04597
Differs from the paper: trained from image labels through a global average pool, so that the class activation map of
the pooled head is the output channel itself; zero padding and batch normalization; bilinear up-sampling; any image
size. `_relu` clamps the maps at zero; `small` halves the resolution first and is for 96-pixel images.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from weakseg.errors import UserError
from weakseg.networks.classifier import HALF, IMAGENET_MEAN, IMAGENET_STD, Classifier, PooledHead, find_variant
from weakseg.networks.layers.reparameterize import ConvNorm, Kernel
from weakseg.networks.loading import checkpoints


@dataclass(frozen=True)
class Variant:
    """What one U-Net differs in from another: `widths` are the channels of its levels, shallow to deep."""

    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    stride: int = 1
    relu: bool = False
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


VARIANTS = {
    "small": Variant((16, 32, 64, 96), stride=2, mean=HALF, std=HALF),
    "small_relu": Variant((16, 32, 64, 96), stride=2, relu=True, mean=HALF, std=HALF),
    "standard": Variant(),
    "standard_relu": Variant(relu=True),
}
SQUARE = (3, 3)


def build_level(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Two 3x3 convolutions with batch normalization and ReLU, the first with a stride."""
    return nn.Sequential(
        ConvNorm(inputs, outputs, Kernel(SQUARE, stride), activation=nn.ReLU),
        ConvNorm(outputs, outputs, Kernel(SQUARE), activation=nn.ReLU),
    )


class UNet(nn.Module):
    """Contracting and expanding path with skips: images (B,3,H,W) -> (B,widths[0],ceil(H/stride),ceil(W/stride))."""

    def __init__(self, widths: tuple[int, ...], stride: int) -> None:
        super().__init__()
        self.smallest = stride * 2 ** (len(widths) - 1)
        self.down = nn.ModuleList(
            build_level(inputs, width, stride if inputs == 3 else 1)
            for inputs, width in zip((3, *widths), widths, strict=False)
        )
        self.up = nn.ModuleList(build_level(deep + skip, skip) for skip, deep in reversed(list(pairwise(widths))))

    def forward(self, images: Tensor) -> Tensor:
        """UserError: images smaller than one cell of the deepest level."""
        if min(images.shape[-2:]) < self.smallest:
            height, width = images.shape[-2:]
            raise UserError(
                f"images of {height}x{width} pixels are too small for this U-Net: use {self.smallest} or more"
            )
        # Down: each level halves the cells and keeps its output for the way up.
        skips = [self.down[0](images)]  # (B,widths[0],H/stride,W/stride)
        for level in self.down[1:]:
            skips.append(level(F.max_pool2d(skips[-1], 2)))  # (B,width,h/2,w/2)
        features = skips.pop()
        # Up: the deep features, as large as the level's own output, beside it.
        for level in self.up:
            skip = skips.pop()
            enlarged = F.interpolate(features, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            features = level(torch.cat((skip, enlarged), 1))  # (B,skip+deep,h,w) -> (B,skip,h,w)
        return features


def build_mean_head(classes: int) -> PooledHead:
    """The pooled head whose logits are the means of its K input channels; fixed."""
    head = PooledHead(classes, classes)
    nn.init.eye_(head.linear.weight)
    nn.init.zeros_(head.linear.bias)
    return head.requires_grad_(False)


def build_network(classes: int, variant: Variant) -> Classifier:
    """Two levels: the U-Net (its features for region growing), then the activation maps."""
    clamp = nn.ReLU() if variant.relu else nn.Identity()
    maps = nn.Sequential(nn.Conv2d(variant.widths[0], classes, 1), clamp)
    blocks = nn.Sequential(UNet(variant.widths, variant.stride), maps)
    return Classifier(blocks, build_mean_head(classes), variant.stride, variant.mean, variant.std)


def build(variant: str, classes: int, weights: str) -> Classifier:
    """A variant by name; weights `random` or the path of a file in this network's own keys."""
    classifier = build_network(classes, find_variant(VARIANTS, variant, "unet"))
    checkpoints.initialize(classifier, weights, "unet", dict)
    return classifier
