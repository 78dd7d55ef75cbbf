"""RepLKNet: depthwise kernels up to 31x31, re-parameterized with 5x5 ones.

X. Ding, X. Zhang, Y. Zhou, J. Han, G. Ding, J. Sun, "Scaling Up Your Kernels to 31x31: Revisiting Large Kernel Design
in CNNs", 2022, arXiv:2203.06717
Differs from the paper: plain torch convolutions, no stochastic depth; `small` has two stages for 96-pixel images.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from weakseg.networks.classifier import HALF, IMAGENET_MEAN, IMAGENET_STD, Classifier, PooledHead, find_variant
from weakseg.networks.layers.conv_stem import build_conv_stem, build_spatial
from weakseg.networks.layers.large_kernel import Branch, LargeKernel
from weakseg.networks.layers.reparameterize import ConvNorm
from weakseg.networks.loading import checkpoints


@dataclass(frozen=True)
class Variant:
    """What one RepLKNet differs in from another: `channels`, `kernels` and `layers` have one entry a stage.

    `ratio` widens the channels that the large kernels see; `small_kernel` None leaves the branch beside them out.
    """

    channels: tuple[int, ...]
    kernels: tuple[int, ...] = (31, 29, 27, 13)
    layers: tuple[int, ...] = (2, 2, 18, 2)
    small_kernel: int | None = 5
    ratio: float = 1.0
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


VARIANTS = {
    "small": Variant((32, 96), (13, 11), (1, 2), mean=HALF, std=HALF),
    "31B": Variant((128, 256, 512, 1024)),
    "31B_half": Variant((128, 256, 512, 1024), mean=HALF, std=HALF),
    "31L": Variant((192, 384, 768, 1536)),
    "XL": Variant((256, 512, 1024, 2048), (27, 27, 27, 13), small_kernel=None, ratio=1.5),
}
FEEDFORWARD_RATIO = 4
# Keys of the official checkpoints -> ours: our level 0 is the stem, level i + 1 stage i, and a transition, which the
# official network keeps between two stages, begins the later one.
OFFICIAL: checkpoints.Rules = (
    (r"^stem\.", "blocks.0."),  # stem.3.conv.weight -> blocks.0.3.conv.weight
    (r"^stages\.(\d+)\.blocks\.", lambda match: f"blocks.{int(match[1]) + 1}.blocks."),  # stages.0 -> blocks.1
    (r"^transitions\.(\d+)\.", lambda match: f"blocks.{int(match[1]) + 2}.transition."),  # transitions.0 -> blocks.2
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
        inner = self.pw1(self.prelkb_bn(inputs))  # (B,inner,h,w)
        return inputs + self.pw2(self.lk_nonlinear(self.large_kernel(inner)))  # (B,C,h,w)


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


def build_stage(variant: Variant, stage: int) -> nn.Sequential:
    """Halve the resolution (unless first), then pairs of large-kernel block and feed-forward block."""
    level, channels = nn.Sequential(), variant.channels[stage]
    if stage:
        level.transition = nn.Sequential(
            ConvNorm(variant.channels[stage - 1], channels, activation=nn.ReLU),
            build_spatial(channels, channels, stride=2, groups=channels),
        )
    blocks, inner = nn.Sequential(), int(channels * variant.ratio)
    for _ in range(variant.layers[stage]):
        blocks.append(LargeKernelBlock(channels, inner, variant.kernels[stage], variant.small_kernel))
        blocks.append(FeedForward(channels))
    level.blocks = blocks
    return level


def build_network(classes: int, variant: Variant) -> Classifier:
    """RepLKNet with random weights. Stride 4 * 2^(stages - 1)."""
    stages = len(variant.layers)
    levels = (build_stage(variant, stage) for stage in range(stages))
    blocks = nn.Sequential(build_conv_stem(variant.channels[0]), *levels)
    head = PooledHead(variant.channels[-1], classes, "batchnorm")
    return Classifier(blocks, head, 2 ** (stages + 1), variant.mean, variant.std)


def convert(state: checkpoints.State) -> checkpoints.State:
    """The official checkpoint's keys as ours; other keys stay."""
    return checkpoints.rename(state, OFFICIAL)


def build(variant: str, classes: int, weights: str) -> Classifier:
    """A variant by name; weights `random` or the path of an official checkpoint, merged or not."""
    classifier = build_network(classes, find_variant(VARIANTS, variant, "replknet"))
    checkpoints.initialize(classifier, weights, "replknet", convert)
    return classifier
