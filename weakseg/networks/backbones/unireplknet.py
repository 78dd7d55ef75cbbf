"""UniRepLKNet: 13x13 kernels re-parameterized with dilated small ones, few of them, and 3x3 blocks between.

X. Ding, Y. Zhang, Y. Ge, S. Zhao, L. Song, X. Yue, Y. Shan, "UniRepLKNet: A Universal Perception Large-Kernel ConvNet
for Audio, Video, Point Cloud, Time-Series and Image Recognition", 2023, arXiv:2311.15599
Differs from the paper: plain torch convolutions, no stochastic depth; merging concerns the large kernels alone, while
the official merged form (normalizations folded too) loads as the equal unfolded one; `small` has two stages for
96-pixel images and a stem of small convolutions.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from weakseg.networks.classifier import HALF, IMAGENET_MEAN, IMAGENET_STD, Classifier, PooledHead, find_variant
from weakseg.networks.layers.conv_stem import build_conv_stem
from weakseg.networks.layers.initialize import draw_truncated
from weakseg.networks.layers.large_kernel import Branch, LargeKernel
from weakseg.networks.layers.norms import ChannelNorm
from weakseg.networks.loading import checkpoints

EPS = 1e-6
BATCHNORM_EPS = 1e-5
MLP_RATIO = 4
SQUEEZE_RATIO = 4
TRIPLE = ((3, 3, 3), (13, 13, 13))
KERNELS_2 = ((3, 3), (13, 13), (13,) * 6, (13, 13))
KERNELS_N = ((3, 3), (13, 13), (13,) * 8, (13, 13))
KERNELS_T = (*TRIPLE, (13, 3) * 9, (13, 13, 13))
KERNELS_S = (*TRIPLE, (13, 3, 3) * 9, (13, 13, 13))


@dataclass(frozen=True)
class Variant:
    """What one UniRepLKNet differs in from another: `dims` has one entry a stage, `kernels` one size a block in each.

    `short_training`: a stem of small convolutions and torch's own initial weights, to learn within hundreds of steps.
    """

    kernels: tuple[tuple[int, ...], ...]
    dims: tuple[int, ...]
    layer_scale: float = EPS
    short_training: bool = False
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


VARIANTS = {
    "small": Variant(((7,), (13, 3)), (32, 80), layer_scale=1.0, short_training=True, mean=HALF, std=HALF),
    "A": Variant(KERNELS_2, (40, 80, 160, 320)),
    "F": Variant(KERNELS_2, (48, 96, 192, 384)),
    "P": Variant(KERNELS_2, (64, 128, 256, 512)),
    "N": Variant(KERNELS_N, (80, 160, 320, 640)),
    "T": Variant(KERNELS_T, (80, 160, 320, 640)),
    "S": Variant(KERNELS_S, (96, 192, 384, 768)),
    "B": Variant(KERNELS_S, (128, 256, 512, 1024)),
    "L": Variant(KERNELS_S, (192, 384, 768, 1536)),
    "XL": Variant(KERNELS_S, (256, 512, 1024, 2048)),
}
# Kernel size -> (size, dilation) of the branches beside it.
DILATED = {
    7: ((5, 1), (3, 2), (3, 3)),
    9: ((5, 1), (5, 2), (3, 3), (3, 4)),
    11: ((5, 1), (5, 2), (3, 3), (3, 4), (3, 5)),
    13: ((5, 1), (7, 2), (3, 3), (3, 4), (3, 5)),
    15: ((5, 1), (7, 2), (3, 3), (3, 5), (3, 7)),
    17: ((5, 1), (9, 2), (3, 4), (3, 5), (3, 7)),
}
FOLDED_BIAS = ".pwconv2.0.bias"
# Parts of an official block's keys, not merged -> ours; what stands around them is CONVNEXT_LAYOUT's.
OFFICIAL: checkpoints.Rules = (
    (r"dwconv\.origin_bn\.", "dwconv.lk_origin.bn."),
    (r"dwconv\.lk_origin\.weight$", "dwconv.lk_origin.conv.weight"),
    (r"dwconv\.dil_conv_(k\d+_\d+)\.", r"dwconv.dil_\1.conv."),  # dil_conv_k7_2.weight -> dil_k7_2.conv.weight
    (r"dwconv\.dil_bn_(k\d+_\d+)\.", r"dwconv.dil_\1.bn."),
    (r"pwconv1\.1\.", "pwconv1."),  # the official MLP is three Sequentials: its places become names
    (r"act\.1\.", "response."),
    (r"pwconv2\.0\.", "pwconv2."),
    (r"pwconv2\.2\.", "norm2."),
)


class SqueezeExcite(nn.Module):
    """x * sigmoid(up(ReLU(down(mean_hw x))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, channels // SQUEEZE_RATIO, 1)
        self.up = nn.Conv2d(channels // SQUEEZE_RATIO, channels, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,C,h,w)."""
        squeezed = self.down(inputs.mean((2, 3), keepdim=True)).relu()  # (B,C/4,1,1)
        return inputs * self.up(squeezed).sigmoid()  # (B,C,h,w)


class GlobalResponse(nn.Module):
    """Global response normalization of ConvNeXt V2 (arXiv:2301.00808): (gamma n + 1) x + beta, n = |x|_hw / mean_c."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, channels))

    def forward(self, cells: Tensor) -> Tensor:
        """(B,h,w,C) -> (B,h,w,C)."""
        response = cells.norm(dim=(1, 2), keepdim=True)  # (B,1,1,C)
        return (self.gamma * response / (response.mean(-1, keepdim=True) + EPS) + 1) * cells + self.beta


def build_depthwise(channels: int, kernel: int) -> nn.Module:
    """The large kernel with its dilated branches, or a plain small one."""
    if kernel not in DILATED:
        return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False)
    dilated = {f"dil_k{size}_{dilation}": Branch(size, size, dilation) for size, dilation in DILATED[kernel]}
    return LargeKernel(channels, {"lk_origin": Branch(kernel, kernel), **dilated})


class Block(nn.Module):
    """x + gamma * BN(MLP(SE(BN(dwconv(x))))), with the global response normalization inside the MLP."""

    def __init__(self, channels: int, kernel: int, layer_scale: float) -> None:
        super().__init__()
        self.dwconv = build_depthwise(channels, kernel)
        self.norm = nn.BatchNorm2d(channels, eps=BATCHNORM_EPS)
        self.se = SqueezeExcite(channels)
        self.pwconv1 = nn.Linear(channels, MLP_RATIO * channels)
        self.act = nn.GELU()
        self.response = GlobalResponse(MLP_RATIO * channels)
        self.pwconv2 = nn.Linear(MLP_RATIO * channels, channels, bias=False)
        self.norm2 = nn.BatchNorm2d(channels, eps=BATCHNORM_EPS)
        self.gamma = nn.Parameter(torch.full((channels,), layer_scale))

    def forward(self, inputs: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,C,h,w)."""
        cells = self.se(self.norm(self.dwconv(inputs))).permute(0, 2, 3, 1)  # (B,h,w,C)
        mixed = self.pwconv2(self.response(self.act(self.pwconv1(cells)))).permute(0, 3, 1, 2)  # (B,C,h,w)
        return inputs + self.gamma[:, None, None] * self.norm2(mixed)


def build_halving(inputs: int, outputs: int) -> list[nn.Module]:
    """A 3x3 convolution of stride 2 and a LayerNorm."""
    return [nn.Conv2d(inputs, outputs, 3, 2, 1), ChannelNorm(outputs, eps=EPS)]


def build_network(classes: int, variant: Variant) -> Classifier:
    """UniRepLKNet with random weights. Stride 4 * 2^(stages - 1)."""
    dims = variant.dims
    stem = nn.Sequential(*build_halving(3, dims[0] // 2), nn.GELU(), *build_halving(dims[0] // 2, dims[0]))
    entries = (
        build_conv_stem(dims[0]) if variant.short_training else stem,
        *(nn.Sequential(*build_halving(*pair)) for pair in pairwise(dims)),
    )
    levels = nn.Sequential()
    for entrance, channels, sizes in zip(entries, dims, variant.kernels, strict=True):
        blocks = nn.Sequential(*(Block(channels, size, variant.layer_scale) for size in sizes))
        levels.append(nn.Sequential(OrderedDict(downsample=entrance, blocks=blocks)))
    if not variant.short_training:
        levels.apply(draw_truncated)
    head = PooledHead(dims[-1], classes, "layernorm", EPS).apply(draw_truncated)
    return Classifier(levels, head, 2 ** (len(dims) + 1), variant.mean, variant.std)


def make_neutral_norm(prefix: str, bias: Tensor) -> checkpoints.State:
    """Entries of a BatchNorm2d that, in eval mode, only adds `bias` (C,): weight / sqrt(variance + eps) is 1."""
    return {
        f"{prefix}.weight": torch.ones_like(bias),
        f"{prefix}.bias": bias,
        f"{prefix}.running_mean": torch.zeros_like(bias),
        f"{prefix}.running_var": torch.full_like(bias, 1 - BATCHNORM_EPS),
        f"{prefix}.num_batches_tracked": torch.tensor(0),
    }


def unfold(state: checkpoints.State) -> checkpoints.State:
    """The official merged form of a state, in which normalizations and scales are folded away, with them put back.

    Put back as neutral ones, in official keys; only the last bias of a block gives a merged block away.
    """
    result = dict(state)
    for key in sorted(key for key in state if key.endswith(FOLDED_BIAS)):
        block, bias = key.removesuffix(FOLDED_BIAS), result.pop(key)  # bias: (C,)
        # gamma and the second normalization are in pwconv2 and its bias, the response's beta is in that bias.
        result[f"{block}.gamma"] = torch.ones_like(bias)
        result[f"{block}.act.1.beta"] = bias.new_zeros(1, 1, 1, MLP_RATIO * len(bias))
        result |= make_neutral_norm(f"{block}.pwconv2.2", bias)
        # The first normalization is in the depthwise kernel: a large one keeps its bias as `lkb_reparam.bias`, a
        # small one, ours without bias, gives it to the normalization.
        small = f"{block}.dwconv.bias"
        first = result.pop(small) if small in state else torch.zeros_like(bias)
        result |= make_neutral_norm(f"{block}.norm", first)
    return checkpoints.rename(result, ((r"dwconv\.lk_origin\.", "dwconv.lkb_reparam."),))


def convert(state: checkpoints.State) -> checkpoints.State:
    """The official checkpoint's keys as ours, merged or not; other keys stay."""
    if any(key.endswith(FOLDED_BIAS) for key in state):
        state = unfold(state)
    return checkpoints.rename(checkpoints.rename(state, OFFICIAL), checkpoints.CONVNEXT_LAYOUT)


def build(variant: str, classes: int, weights: str) -> Classifier:
    """A variant by name; weights `random` or the path of an official checkpoint, merged or not."""
    classifier = build_network(classes, find_variant(VARIANTS, variant, "unireplknet"))
    checkpoints.initialize(classifier, weights, "unireplknet", convert)
    return classifier
