"""Structural re-parameterization: parallel convolutions with batch normalization as one convolution.

X. Ding, X. Zhang, N. Ma, J. Han, G. Ding, J. Sun, "RepVGG: Making VGG-style ConvNets Great Again", 2021,
arXiv:2101.03697
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from weakseg.errors import UserError


def same_padding(kernel: tuple[int, int], dilation: int = 1) -> tuple[int, int]:
    """Padding that keeps height and width. UserError: an even or non-positive kernel length has no center."""
    if any(length < 1 or length % 2 == 0 for length in kernel):
        raise UserError(f"kernel size {kernel[0]}x{kernel[1]} has no center: give odd lengths such as 5 or 31")
    return dilation * (kernel[0] // 2), dilation * (kernel[1] // 2)


class ConvNorm(nn.Sequential):
    """Convolution without bias, then BatchNorm2d: children `conv` and `bn`, and an activation where asked."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int] = (1, 1),
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        activation: type[nn.Module] | None = None,
    ) -> None:
        super().__init__()
        padding = same_padding(kernel, dilation)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        if activation:
            self.nonlinear = activation()


def fused(branch: ConvNorm) -> tuple[Tensor, Tensor]:
    """Kernel and bias of the one convolution equal to `branch` in eval mode: k gamma/sigma, beta - mu gamma/sigma."""
    scale = branch.bn.weight / torch.sqrt(branch.bn.running_var + branch.bn.eps)
    return branch.conv.weight * scale[:, None, None, None], branch.bn.bias - branch.bn.running_mean * scale


def undilated(kernel: Tensor, dilation: int) -> Tensor:
    """(C,1,k,l) at a dilation -> (C,1,d(k-1)+1,d(l-1)+1), zeros between the taps."""
    return F.conv_transpose2d(kernel, kernel.new_ones(1, 1, 1, 1), stride=dilation) if dilation > 1 else kernel


def centered(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """(C,1,k,l) with odd lengths, zero-padded on all sides to (C,1,*size)."""
    rows, columns = ((size[i] - kernel.shape[2 + i]) // 2 for i in (0, 1))
    return F.pad(kernel, (columns, columns, rows, rows))


def merged(branches: list[ConvNorm], weights: list[float]) -> nn.Conv2d:
    """The depthwise convolution equal, in eval mode, to the weighted sum of depthwise branches of any odd sizes."""
    kernels, biases = zip(*(fused(branch) for branch in branches), strict=True)
    kernels = [undilated(kernel, b.conv.dilation[0]) for kernel, b in zip(kernels, branches, strict=True)]
    size = tuple(max(kernel.shape[i] for kernel in kernels) for i in (2, 3))
    channels = len(biases[0])
    conv = nn.Conv2d(channels, channels, size, padding=same_padding(size), groups=channels, device=biases[0].device)
    with torch.no_grad():
        conv.weight.copy_(sum(w * centered(kernel, size) for w, kernel in zip(weights, kernels, strict=True)))
        conv.bias.copy_(sum(w * bias for w, bias in zip(weights, biases, strict=True)))
    return conv


def merge(module: nn.Module) -> nn.Module:
    """Merge in place every layer of `module` that has branches to merge; equal in eval mode to about 1e-5."""
    for layer in list(module.modules()):
        if hasattr(layer, "merge_branches"):
            layer.merge_branches()
    return module
