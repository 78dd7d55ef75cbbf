"""Structural re-parameterization: parallel convolutions with batch normalization as one convolution.

X. Ding, X. Zhang, N. Ma, J. Han, G. Ding, J. Sun, "RepVGG: Making VGG-style ConvNets Great Again", 2021,
arXiv:2101.03697
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from weakseg.errors import UserError


class Kernel(NamedTuple):
    """Height and width (odd) of a convolution's kernel, its stride and its dilation."""

    size: tuple[int, int] = (1, 1)
    stride: int = 1
    dilation: int = 1

    @property
    def padding(self) -> tuple[int, int]:
        """Padding that keeps height and width. UserError: an even or non-positive kernel length has no center."""
        height, width = self.size
        if any(length < 1 or length % 2 == 0 for length in self.size):
            raise UserError(f"kernel size {height}x{width} has no center: give odd lengths such as 5 or 31")
        return self.dilation * (height // 2), self.dilation * (width // 2)


POINT = Kernel()


class ConvNorm(nn.Sequential):
    """Convolution without bias, then BatchNorm2d: children `conv` and `bn`, and an activation where asked."""

    conv: nn.Conv2d
    bn: nn.BatchNorm2d

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Kernel = POINT,
        *,
        groups: int = 1,
        activation: type[nn.Module] | None = None,
    ) -> None:
        super().__init__()
        size, stride, dilation = kernel
        self.conv = nn.Conv2d(inputs, outputs, size, stride, kernel.padding, dilation, groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        if activation:
            self.nonlinear = activation()


def fold_norm(branch: ConvNorm) -> tuple[Tensor, Tensor]:
    """Kernel and bias of the one convolution equal to `branch` in eval mode.

    With s = gamma / sigma: BN(k * x) = s (k * x - mu) + beta = (s k) * x + (beta - s mu).
    """
    mean, variance = branch.bn.running_mean, branch.bn.running_var
    assert mean is not None and variance is not None, "a BatchNorm2d of ConvNorm keeps statistics"
    scale = branch.bn.weight / torch.sqrt(variance + branch.bn.eps)  # (C,)
    return branch.conv.weight * scale[:, None, None, None], branch.bn.bias - mean * scale


def spread_taps(kernel: Tensor, dilation: int) -> Tensor:
    """(C,1,k,l) at a dilation -> (C,1,d(k-1)+1,d(l-1)+1), zeros between the taps."""
    return F.conv_transpose2d(kernel, kernel.new_ones(1, 1, 1, 1), stride=dilation) if dilation > 1 else kernel


def pad_around(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """(C,1,k,l) with odd lengths, zero-padded on all sides to (C,1,*size)."""
    rows, columns = (size[0] - kernel.shape[2]) // 2, (size[1] - kernel.shape[3]) // 2
    return F.pad(kernel, (columns, columns, rows, rows))


def merge_branches(branches: Sequence[ConvNorm], weights: Sequence[float]) -> nn.Conv2d:
    """The depthwise convolution equal, in eval mode, to the weighted sum of depthwise branches of any odd sizes."""
    # 1. A branch is a kernel (C,1,k,l) and a bias (C,): its normalization is folded in, its dilation spelled out.
    pairs = [fold_norm(branch) for branch in branches]
    kernels = [
        spread_taps(kernel, branch.conv.dilation[0]) for (kernel, _), branch in zip(pairs, branches, strict=True)
    ]
    biases = [bias for _, bias in pairs]
    # 2. One kernel as high as the highest and as wide as the widest: two strips 51x5 and 5x51 make a cross in 51x51.
    size = (max(kernel.shape[2] for kernel in kernels), max(kernel.shape[3] for kernel in kernels))
    channels, padding = len(biases[0]), Kernel(size).padding
    conv = nn.Conv2d(channels, channels, size, padding=padding, groups=channels, device=biases[0].device)
    assert conv.bias is not None
    # 3. A convolution is linear in its kernel: centered kernels add up, and so do biases.
    with torch.no_grad():
        conv.weight.copy_(add_weighted([pad_around(kernel, size) for kernel in kernels], weights))  # (C,1,*size)
        conv.bias.copy_(add_weighted(biases, weights))  # (C,)
    return conv


def add_weighted(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The sum of tensors of one shape, each times its weight, in their order."""
    total = weights[0] * tensors[0]
    for weight, tensor in zip(weights[1:], tensors[1:], strict=True):
        total = total + weight * tensor
    return total
