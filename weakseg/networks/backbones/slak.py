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
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from weakseg.errors import UserError
from weakseg.networks.classifier import HALF, IMAGENET_MEAN, IMAGENET_STD, Classifier, PooledHead, find_variant
from weakseg.networks.layers.conv_stem import build_conv_stem
from weakseg.networks.layers.initialize import draw_truncated
from weakseg.networks.layers.large_kernel import Branch, LargeKernel
from weakseg.networks.layers.norms import CellBatchNorm, ChannelNorm
from weakseg.networks.loading import checkpoints


@dataclass(frozen=True)
class Variant:
    """What one SLaK differs in from another: `dims`, `depths` and `kernels` have one entry a stage.

    `square` None leaves the flexible branch out. `short_training`: a stem of small convolutions, BatchNorm in the
    blocks and torch's own initial weights, to learn within hundreds of steps.
    """

    dims: tuple[int, ...]
    depths: tuple[int, ...]
    kernels: tuple[int, ...] = (51, 49, 47, 13)
    small_kernel: int = 5
    layer_scale: float = 1e-6
    short_training: bool = False
    strip: float = 1.0
    square: float | None = None
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


VARIANTS = {
    "small": Variant((32, 96), (1, 2), (13, 11), layer_scale=1.0, short_training=True, mean=HALF, std=HALF),
    "T": Variant((124, 249, 499, 998), (3, 3, 9, 3)),
    "S": Variant((124, 249, 499, 998), (3, 3, 27, 3)),
    "B": Variant((166, 332, 665, 1331), (3, 3, 27, 3)),
}
EPS = 1e-6
MLP_RATIO = 4


def list_branches(variant: Variant, kernel: int) -> dict[str, Branch]:
    """SLaK's three branches, weighted by `strip`, and the flexible variant's full square, weighted by `square`."""
    small, weight = variant.small_kernel, variant.strip
    strips = {
        "LoRA1": Branch(kernel, small, weight=weight),
        "LoRA2": Branch(small, kernel, weight=weight),
        "small_conv": Branch(small, small, weight=weight),
    }
    return strips if variant.square is None else {**strips, "square": Branch(kernel, kernel, weight=variant.square)}


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
        cells = self.norm(self.large_kernel(inputs).permute(0, 2, 3, 1))  # (B,h,w,C)
        mixed = self.gamma * self.pwconv2(self.act(self.pwconv1(cells)))  # by way of (B,h,w,4C)
        return inputs + mixed.permute(0, 3, 1, 2)  # (B,C,h,w)


def build_patch_stem(channels: int) -> nn.Sequential:
    """(B,3,H,W) -> (B,channels,H/4,W/4)."""
    return nn.Sequential(nn.Conv2d(3, channels, 4, 4), ChannelNorm(channels, eps=EPS))


def build_halving(inputs: int, outputs: int, norm: nn.Module) -> nn.Sequential:
    """(B,inputs,h,w) -> (B,outputs,h/2,w/2)."""
    return nn.Sequential(norm, nn.Conv2d(inputs, outputs, 2, 2))


def build_network(classes: int, variant: Variant) -> Classifier:
    """SLaK with random weights. Stride 4 * 2^(stages - 1)."""
    block_norm: Callable[[int], nn.Module] = partial(nn.LayerNorm, eps=EPS)  # of (B,h,w,C)
    norm: Callable[[int], nn.Module] = partial(ChannelNorm, eps=EPS)  # of (B,C,h,w)
    if variant.short_training:
        block_norm, norm = CellBatchNorm, nn.BatchNorm2d
    dims = variant.dims
    stem = build_conv_stem(dims[0]) if variant.short_training else build_patch_stem(dims[0])
    entries = (stem, *(build_halving(*pair, norm(pair[0])) for pair in pairwise(dims)))
    levels = nn.Sequential()
    for entrance, channels, depth, kernel in zip(entries, dims, variant.depths, variant.kernels, strict=True):
        branches = list_branches(variant, kernel)
        stage = (Block(channels, branches, variant.layer_scale, block_norm(channels)) for _ in range(depth))
        levels.append(nn.Sequential(OrderedDict(downsample=entrance, blocks=nn.Sequential(*stage))))
    head = PooledHead(dims[-1], classes, "layernorm", EPS)
    classifier = Classifier(levels, head, 2 ** (len(dims) + 1), variant.mean, variant.std)
    return classifier if variant.short_training else classifier.apply(draw_truncated)


def parse(name: str) -> Variant:
    """The entry of `name` or of `name@strip:square`. UserError: no such variant, or weights that are no numbers."""
    known, flexible, weights = name.partition("@")
    variant = find_variant(VARIANTS, known, "slak")
    if not flexible:
        return variant
    try:
        strip, square = (float(weight) for weight in weights.split(":"))
    except ValueError:
        raise UserError(
            f"slak variant '{name}': write the weights as {known}@strip:square, as {known}@0.5:0.5"
        ) from None
    return replace(variant, strip=strip, square=square)


def convert(state: checkpoints.State) -> checkpoints.State:
    """The official checkpoint's keys as ours; other keys stay."""
    return checkpoints.rename(state, checkpoints.CONVNEXT_LAYOUT)


def build(variant: str, classes: int, weights: str) -> Classifier:
    """A variant by name; weights `random` or the path of an official checkpoint, merged or not."""
    classifier = build_network(classes, parse(variant))
    checkpoints.initialize(classifier, weights, "slak", convert)
    return classifier
