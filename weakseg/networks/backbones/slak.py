"""SLaK: large kernels as two strips, 51x5 and 5x51, and a 5x5 square.

S. Liu, T. Chen, X. Chen, X. Chen, Q. Xiao, B. Wu, M. Pechenizkiy, D. Mocanu, Z. Wang, "More ConvNets in the 2020s:
Scaling up Kernels Beyond 51x51 using Sparsity", 2022, arXiv:2207.03620
Differs from the paper: plain torch convolutions, no stochastic depth, and dense: sparsity is zeros in the weights of a
checkpoint; `small` has two stages for 96-pixel images, a stem of small convolutions and BatchNorm in its blocks. A
variant followed by `@strip:square`, such as `T@0.5:0.5`, is the flexible one: strip * (strips and 5x5) + square * (a
full kxk kernel), from a cross (1:0) to RepLKNet's disk (0:1).
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from weakseg.errors import UserError
from weakseg.networks.classifier import HALF, Classifier, PooledHead
from weakseg.networks.classifier import variant as entry
from weakseg.networks.layers.conv_stem import conv_stem
from weakseg.networks.layers.initialize import truncated_normal
from weakseg.networks.layers.large_kernel import Branch, LargeKernel
from weakseg.networks.layers.norms import CellBatchNorm, ChannelNorm
from weakseg.networks.loading import checkpoints

FULL = {"kernels": (51, 49, 47, 13), "small_kernel": 5, "layer_scale": 1e-6, "short_training": False}
VARIANTS: dict[str, dict[str, Any]] = {
    "small": {
        "kernels": (13, 11),
        "small_kernel": 5,
        "layer_scale": 1.0,
        "short_training": True,
        "depths": (1, 2),
        "dims": (32, 96),
        "mean": HALF,
        "std": HALF,
    },
    "T": {**FULL, "depths": (3, 3, 9, 3), "dims": (124, 249, 499, 998)},
    "S": {**FULL, "depths": (3, 3, 27, 3), "dims": (124, 249, 499, 998)},
    "B": {**FULL, "depths": (3, 3, 27, 3), "dims": (166, 332, 665, 1331)},
}
EPS = 1e-6
MLP_RATIO = 4


def branches(kernel: int, small: int, strip: float, square: float | None) -> dict[str, Branch]:
    """SLaK's three branches, weighted by `strip`, and the flexible variant's full square, weighted by `square`."""
    strips = {
        "LoRA1": Branch(kernel, small, weight=strip),
        "LoRA2": Branch(small, kernel, weight=strip),
        "small_conv": Branch(small, small, weight=strip),
    }
    return strips if square is None else {**strips, "square": Branch(kernel, kernel, weight=square)}


class Block(nn.Module):
    """x + gamma * MLP(norm(large_kernel(x))), the block of ConvNeXt with another kernel; norm: (B,h,w,C) -> same."""

    def __init__(self, channels: int, kernel: dict[str, Branch], layer_scale: float, norm: nn.Module) -> None:
        super().__init__()
        self.large_kernel = LargeKernel(channels, kernel)
        self.norm = norm
        self.pwconv1 = nn.Linear(channels, MLP_RATIO * channels)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(MLP_RATIO * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), layer_scale))

    def forward(self, inputs: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,C,h,w)."""
        cells = self.norm(self.large_kernel(inputs).permute(0, 2, 3, 1))
        return inputs + (self.gamma * self.pwconv2(self.act(self.pwconv1(cells)))).permute(0, 3, 1, 2)


def patch_stem(channels: int) -> nn.Sequential:
    """(B,3,H,W) -> (B,channels,H/4,W/4)."""
    return nn.Sequential(nn.Conv2d(3, channels, 4, 4), ChannelNorm(channels, eps=EPS))


def halving(inputs: int, outputs: int, norm: nn.Module) -> nn.Sequential:
    """(B,inputs,h,w) -> (B,outputs,h/2,w/2)."""
    return nn.Sequential(norm, nn.Conv2d(inputs, outputs, 2, 2))


def network(
    classes: int,
    *,
    kernels: tuple[int, ...],
    small_kernel: int,
    layer_scale: float,
    depths: tuple[int, ...],
    dims: tuple[int, ...],
    short_training: bool,
    strip: float = 1.0,
    square: float | None = None,
    **constants: Any,
) -> Classifier:
    """SLaK with random weights; `square` None leaves the flexible branch out. Stride 4 * 2^(stages - 1).

    `short_training`: a stem of small convolutions, BatchNorm in the blocks and torch's own initial weights, to learn
    within hundreds of steps.
    """
    stem = conv_stem(dims[0]) if short_training else patch_stem(dims[0])
    block_norm = CellBatchNorm if short_training else partial(nn.LayerNorm, eps=EPS)
    norm = nn.BatchNorm2d if short_training else partial(ChannelNorm, eps=EPS)
    levels = nn.Sequential()
    entries = (stem, *(halving(*pair, norm(pair[0])) for pair in pairwise(dims)))
    for entrance, channels, depth, kernel in zip(entries, dims, depths, kernels, strict=True):
        parts = branches(kernel, small_kernel, strip, square)
        blocks = nn.Sequential(*(Block(channels, parts, layer_scale, block_norm(channels)) for _ in range(depth)))
        levels.append(nn.Sequential(OrderedDict(downsample=entrance, blocks=blocks)))
    head = PooledHead(dims[-1], classes, "layernorm", EPS)
    classifier = Classifier(levels, head, 2 ** (len(dims) + 1), **constants)
    return classifier if short_training else classifier.apply(truncated_normal)


def parse(variant: str) -> dict[str, Any]:
    """The entry of `name` or of `name@strip:square`. UserError: no such variant, or weights that are no numbers."""
    name, flexible, weights = variant.partition("@")
    options = entry(VARIANTS, name, "slak")
    if not flexible:
        return options
    try:
        strip, square = (float(weight) for weight in weights.split(":"))
    except ValueError:
        raise UserError(
            f"slak variant '{variant}': write the weights as {name}@strip:square, as {name}@0.5:0.5"
        ) from None
    return {**options, "strip": strip, "square": square}


def convert(state: checkpoints.State) -> checkpoints.State:
    """The official checkpoint's keys as ours; other keys stay."""
    return checkpoints.rename(state, checkpoints.CONVNEXT_LAYOUT)


def build(variant: str, classes: int, weights: str) -> Classifier:
    """A variant by name; weights `random` or the path of an official checkpoint, merged or not."""
    classifier = network(classes, **parse(variant))
    checkpoints.initialize(classifier, weights, "slak", convert)
    return classifier
