"""Reconstruction network: an image again from its activation maps, so that maps must keep the spatial structure.

T. Chen et al., "Spatial Structure Constraints for Weakly Supervised Semantic Segmentation", 2024, arXiv 2401.11122.
Differs from the paper: log2(stride) up-sampling blocks, so that any backbone's maps come back to the image's size.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from weakseg.errors import UserError

FEWEST = 16  # channels, lower bound of the last up-sampling blocks


class ConvBlock(nn.Sequential):
    """Convolution 3x3 with reflected border, LayerNorm over channels and cells, ReLU: (B,c,h,w) -> (B,C,h,w)."""

    def __init__(self, channels: int, outputs: int) -> None:
        convolution = nn.Conv2d(channels, outputs, 3, padding=1, padding_mode="reflect")
        super().__init__(convolution, nn.GroupNorm(1, outputs), nn.ReLU())


class Residual(nn.Module):
    """x + norm(conv(block(x))), channels kept."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        convolution = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")
        self.branch = nn.Sequential(ConvBlock(channels, channels), convolution, nn.GroupNorm(1, channels))

    def forward(self, features: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,C,h,w)."""
        return features + self.branch(features)


class ReconstructNet(nn.Module):
    """Activation maps (B,K,h,w), raw, -> images (B,3,h*stride,w*stride) in [-1, 1].

    `width` channels at feature resolution, halved by each up-sampling block down to 16. UserError when the
    stride is not a power of two.
    """

    def __init__(self, classes: int, stride: int, width: int) -> None:
        super().__init__()
        doublings = round(math.log2(stride))
        if 2**doublings != stride:
            raise UserError(f"reconstruction needs a stride that is a power of two, and this backbone's is {stride}")
        layers: list[nn.Module] = [ConvBlock(classes, width), Residual(width)]
        channels = width
        for _ in range(doublings):
            outputs = max(channels // 2, min(FEWEST, width))
            layers += [nn.Upsample(scale_factor=2), ConvBlock(channels, outputs)]
            channels = outputs
        self.layers = nn.Sequential(*layers)
        self.head = nn.Conv2d(channels, 3, 3, padding=1, padding_mode="reflect")

    def forward(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Maps (B,K,h,w), h and w at least 2, -> images (B,3,*size) in [-1, 1]; resized where size is not h*stride."""
        images = self.head(self.layers(maps)).tanh()
        if images.shape[-2:] == size:
            return images
        return F.interpolate(images, size, mode="bilinear", align_corners=False)
