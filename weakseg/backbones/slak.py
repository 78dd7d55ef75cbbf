"""SLaK: large kernels as two strips, 51x5 and 5x51, and a 5x5 square.

S. Liu, T. Chen, X. Chen, X. Chen, Q. Xiao, B. Wu, M. Pechenizkiy, D. Mocanu, Z. Wang, "More ConvNets in the 2020s:
Scaling up Kernels Beyond 51x51 using Sparsity", 2022, arXiv:2207.03620
Differs from the paper: plain torch convolutions, no stochastic depth, and dense: sparsity is zeros in the weights of a
checkpoint; `small` has two stages for 96-pixel images. A variant followed by `@strip:square`, such as `T@0.5:0.5`, is
the flexible one: strip * (strips and 5x5) + square * (a full kxk kernel), from a cross (1:0) to RepLKNet's disk (0:1).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from weakseg import checkpoints
from weakseg.classifier import HALF, Classifier, PooledHead
from weakseg.classifier import variant as entry
from weakseg.errors import UserError
from weakseg.layers.initialize import truncated_normal
from weakseg.layers.large_kernel import Branch, LargeKernel
from weakseg.layers.norms import ChannelNorm

FULL = {"kernels": (51, 49, 47, 13), "small_kernel": 5, "layer_scale": 1e-6}
VARIANTS: dict[str, dict[str, Any]] = {
    "small": {
        "kernels": (13, 11),
        "small_kernel": 5,
        "layer_scale": 1.0,
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
    """x + gamma * MLP(LayerNorm(large_kernel(x))), the block of ConvNeXt with another kernel."""

    def __init__(self, channels: int, kernel: dict[str, Branch], layer_scale: float) -> None:
        super().__init__()
        self.large_kernel = LargeKernel(channels, kernel)
        self.norm = nn.LayerNorm(channels, eps=EPS)
        self.pwconv1 = nn.Linear(channels, MLP_RATIO * channels)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(MLP_RATIO * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), layer_scale))

    def forward(self, inputs: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,C,h,w)."""
        cells = self.norm(self.large_kernel(inputs).permute(0, 2, 3, 1))
        return inputs + (self.gamma * self.pwconv2(self.act(self.pwconv1(cells)))).permute(0, 3, 1, 2)


def stage(previous: int | None, channels: int, depth: int, kernel: dict[str, Branch], scale: float) -> nn.Sequential:
    """Patches of 4x4 pixels (first stage) or 2x2 cells, then `depth` blocks."""
    level = nn.Sequential()
    level.downsample = (
        nn.Sequential(ChannelNorm(previous, eps=EPS), nn.Conv2d(previous, channels, 2, 2))
        if previous
        else nn.Sequential(nn.Conv2d(3, channels, 4, 4), ChannelNorm(channels, eps=EPS))
    )
    level.blocks = nn.Sequential(*(Block(channels, kernel, scale) for _ in range(depth)))
    return level


def network(
    classes: int,
    *,
    kernels: tuple[int, ...],
    small_kernel: int,
    layer_scale: float,
    depths: tuple[int, ...],
    dims: tuple[int, ...],
    strip: float = 1.0,
    square: float | None = None,
    **constants: Any,
) -> Classifier:
    """SLaK with random weights; `square` None leaves the flexible branch out. Stride 4 * 2^(stages - 1)."""
    blocks = nn.Sequential(
        *(
            stage(previous, width, depth, branches(kernel, small_kernel, strip, square), layer_scale)
            for previous, width, depth, kernel in zip((None, *dims), dims, depths, kernels, strict=False)
        )
    )
    head = PooledHead(dims[-1], classes, "layernorm", EPS)
    return Classifier(blocks, head, 2 ** (len(dims) + 1), **constants).apply(truncated_normal)


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
