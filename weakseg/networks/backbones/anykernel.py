"""One plain network around any kernel: what is compared is the kernel, and nothing else differs.

The layout (a stem, then blocks of a depthwise convolution and two pointwise ones) is that of Z. Liu, H. Mao, C.-Y. Wu,
C. Feichtenhofer, T. Darrell, S. Xie, "A ConvNet for the 2020s", 2022, arXiv:2201.03545; crosses of two strips are those
of S. Liu et al., "More ConvNets in the 2020s: Scaling up Kernels Beyond 51x51 using Sparsity", 2022, arXiv:2207.03620
Differs from both: BatchNorm and ReLU, one resolution throughout, strips one cell thick, no small kernel beside the
large one. At 64 pixels the blocks see 16x16 cells, where a kernel of 31 joins every cell to every other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from weakseg.errors import UserError
from weakseg.networks.classifier import HALF, Classifier, PooledHead
from weakseg.networks.layers.conv_stem import build_conv_stem
from weakseg.networks.layers.grid_conv import GridConv2d
from weakseg.networks.layers.large_kernel import Branch, LargeKernel
from weakseg.networks.layers.reparameterize import ConvNorm, Kernel
from weakseg.networks.loading import checkpoints

STRIDE = 4


@dataclass(frozen=True)
class Variant:
    """Side of the kernel in cells, whether it is a cross of two strips, and what all kernels share."""

    kernel: int = 7
    cross: bool = False
    width: int = 32
    depth: int = 3
    ratio: int = 2  # of the pointwise layers' inner width
    top: int = 64  # channels of the last features


VARIANTS = {"small": Variant(width=64, ratio=4, top=128)}
NAMED = re.compile(r"k(\d+)(_cross)?")  # k13, k13_cross


class Block(nn.Module):
    """x + pointwise(ReLU(pointwise(kernel(x)))), every convolution with BatchNorm."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        width, inner = variant.width, variant.ratio * variant.width
        self.kernel = build_kernel(variant)
        self.widen = ConvNorm(width, inner, activation=nn.ReLU)
        self.narrow = ConvNorm(inner, width)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,C,h,w)."""
        return inputs + self.narrow(self.widen(self.kernel(inputs)))


def build_kernel(variant: Variant) -> LargeKernel:
    """One square, or the sum of two strips through its middle."""
    side, width = variant.kernel, variant.width
    strips = {"row": Branch(1, side), "column": Branch(side, 1)}
    branches = strips if variant.cross else {"square": Branch(side, side)}
    kernel = LargeKernel(width, branches)
    for name, branch in branches.items():
        size = branch.height, branch.width
        sizes: dict[str, Any] = {"padding": Kernel(size).padding, "groups": width, "bias": False}
        getattr(kernel, name).conv = GridConv2d(width, width, size, **sizes)
    return kernel


def parse(name: str) -> Variant:
    """`small`, or `k<side>` and `k<side>_cross` for any odd side. UserError: another name."""
    if name in VARIANTS:
        return VARIANTS[name]
    found = NAMED.fullmatch(name)
    if found is None:
        raise UserError(
            f"backbone anykernel has no variant '{name}': choose one of {', '.join(VARIANTS)}, or k<side> or "
            "k<side>_cross with an odd side, such as k13 or k13_cross"
        )
    return replace(Variant(), kernel=int(found[1]), cross=found[2] is not None)


def build(variant: str, classes: int, weights: str) -> Classifier:
    """A variant by name; weights `random` or the path of a checkpoint with these names."""
    made = parse(variant)
    levels = nn.Sequential(build_conv_stem(made.width), *(Block(made) for _ in range(made.depth)))
    levels[-1] = nn.Sequential(levels[-1], ConvNorm(made.width, made.top, activation=nn.ReLU))
    classifier = Classifier(levels, PooledHead(made.top, classes), STRIDE, HALF, HALF)
    checkpoints.initialize(classifier, weights, "anykernel", dict)
    return classifier
