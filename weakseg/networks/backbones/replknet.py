"""RepLKNet: depthwise kernels up to 31x31, re-parameterized with 5x5 ones.

X. Ding, X. Zhang, Y. Zhou, J. Han, G. Ding, J. Sun, "Scaling Up Your Kernels to 31x31: Revisiting Large Kernel Design
in CNNs", 2022, arXiv:2203.06717
Differs from the paper: plain torch convolutions, no stochastic depth; `small` has two stages for 96-pixel images.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from weakseg.networks.classifier import HALF, Classifier, PooledHead
from weakseg.networks.classifier import variant as entry
from weakseg.networks.layers.conv_stem import conv_stem, spatial
from weakseg.networks.layers.large_kernel import Branch, LargeKernel
from weakseg.networks.layers.reparameterize import ConvNorm
from weakseg.networks.loading import checkpoints

FULL = {"kernels": (31, 29, 27, 13), "layers": (2, 2, 18, 2), "small_kernel": 5, "ratio": 1.0}
VARIANTS: dict[str, dict[str, Any]] = {
    "small": {
        "kernels": (13, 11),
        "layers": (1, 2),
        "channels": (32, 96),
        "small_kernel": 5,
        "ratio": 1.0,
        "mean": HALF,
        "std": HALF,
    },
    "31B": {**FULL, "channels": (128, 256, 512, 1024)},
    "31B_half": {**FULL, "channels": (128, 256, 512, 1024), "mean": HALF, "std": HALF},
    "31L": {**FULL, "channels": (192, 384, 768, 1536)},
    "XL": {
        "kernels": (27, 27, 27, 13),
        "layers": (2, 2, 18, 2),
        "channels": (256, 512, 1024, 2048),
        "small_kernel": None,
        "ratio": 1.5,
    },
}
FEEDFORWARD_RATIO = 4
OFFICIAL = (
    (r"^stem\.", "blocks.0."),
    (r"^stages\.0\.blocks\.", "blocks.1.blocks."),
    (r"^stages\.(\d+)\.blocks\.", lambda match: f"blocks.{int(match[1]) + 1}.blocks."),
    (r"^transitions\.(\d+)\.", lambda match: f"blocks.{int(match[1]) + 2}.transition."),
    (r"^norm\.", "head.norm."),
    (r"^head\.(weight|bias)$", r"head.linear.\1"),
)


class LargeKernelBlock(nn.Module):
    """x + pw2(ReLU(large_kernel(pw1(BN(x))))): the spatial mixing."""

    def __init__(self, channels: int, inner: int, kernel: int, small_kernel: int | None) -> None:
        super().__init__()
        branches = {"lkb_origin": Branch(kernel, kernel)}
        if small_kernel:
            branches["small_conv"] = Branch(small_kernel, small_kernel)
        self.prelkb_bn = nn.BatchNorm2d(channels)
        self.pw1 = ConvNorm(channels, inner, activation=nn.ReLU)
        self.large_kernel = LargeKernel(inner, branches)
        self.lk_nonlinear = nn.ReLU()
        self.pw2 = ConvNorm(inner, channels)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,C,h,w)."""
        return inputs + self.pw2(self.lk_nonlinear(self.large_kernel(self.pw1(self.prelkb_bn(inputs)))))


class FeedForward(nn.Module):
    """x + pw2(GELU(pw1(BN(x)))): the mixing of channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.preffn_bn = nn.BatchNorm2d(channels)
        self.pw1 = ConvNorm(channels, FEEDFORWARD_RATIO * channels, activation=nn.GELU)
        self.pw2 = ConvNorm(FEEDFORWARD_RATIO * channels, channels)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,C,h,w)."""
        return inputs + self.pw2(self.pw1(self.preffn_bn(inputs)))


def stage(previous: int | None, channels: int, depth: int, **kernel: Any) -> nn.Sequential:
    """Halve the resolution (unless first), then `depth` pairs of large-kernel block and feed-forward block."""
    level = nn.Sequential()
    if previous:
        level.transition = nn.Sequential(
            ConvNorm(previous, channels, activation=nn.ReLU),
            spatial(channels, channels, stride=2, groups=channels),
        )
    pairs = ((LargeKernelBlock(channels, **kernel), FeedForward(channels)) for _ in range(depth))
    level.blocks = nn.Sequential(*(block for pair in pairs for block in pair))
    return level


def network(
    classes: int,
    *,
    kernels: tuple[int, ...],
    layers: tuple[int, ...],
    channels: tuple[int, ...],
    small_kernel: int | None,
    ratio: float,
    **constants: Any,
) -> Classifier:
    """RepLKNet with random weights; `ratio` widens the large kernels' channels. Stride 4 * 2^(stages - 1)."""
    blocks = [conv_stem(channels[0])]
    for previous, width, depth, kernel in zip((None, *channels), channels, layers, kernels, strict=False):
        inner = int(width * ratio)
        blocks.append(stage(previous, width, depth, inner=inner, kernel=kernel, small_kernel=small_kernel))
    head = PooledHead(channels[-1], classes, "batchnorm")
    return Classifier(nn.Sequential(*blocks), head, 2 ** (len(layers) + 1), **constants)


def convert(state: checkpoints.State) -> checkpoints.State:
    """The official checkpoint's keys as ours; other keys stay."""
    return checkpoints.rename(state, OFFICIAL)


def build(variant: str, classes: int, weights: str) -> Classifier:
    """A variant by name; weights `random` or the path of an official checkpoint, merged or not."""
    classifier = network(classes, **entry(VARIANTS, variant, "replknet"))
    checkpoints.initialize(classifier, weights, "replknet", convert)
    return classifier
