"""A stem of four small convolutions that brings images to a quarter of their size.

X. Ding, X. Zhang, Y. Zhou, J. Han, G. Ding, J. Sun, "Scaling Up Your Kernels to 31x31: Revisiting Large Kernel Design
in CNNs", 2022, arXiv:2203.06717, for its form
T. Xiao, M. Singh, E. Mintun, T. Darrell, P. Dollár, R. Girshick, "Early Convolutions Help Transformers See Better",
2021, arXiv:2106.14881, for why the small networks have it: with a stem of patches they need many times the steps
"""

from __future__ import annotations

from torch import nn

from weakseg.networks.layers.reparameterize import ConvNorm, Kernel

SQUARE = (3, 3)


def build_spatial(inputs: int, outputs: int, *, stride: int, groups: int) -> ConvNorm:
    """A 3x3 convolution, batch normalization and ReLU: (B,inputs,h,w) -> (B,outputs,h/stride,w/stride)."""
    return ConvNorm(inputs, outputs, Kernel(SQUARE, stride), groups=groups, activation=nn.ReLU)


def build_conv_stem(width: int) -> nn.Sequential:
    """(B,3,H,W) -> (B,width,H/4,W/4)."""
    return nn.Sequential(
        build_spatial(3, width, stride=2, groups=1),  # (B,width,H/2,W/2)
        build_spatial(width, width, stride=1, groups=width),
        ConvNorm(width, width, activation=nn.ReLU),
        build_spatial(width, width, stride=2, groups=width),  # (B,width,H/4,W/4)
    )
