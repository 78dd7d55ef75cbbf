"""HiResCAM. Draelos, Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural
networks" (2020), arXiv 2011.08891."""

from __future__ import annotations

from torch import Tensor

from weakseg.cams import arithmetic, gradients
from weakseg.cams.view import View


def closed(features: Tensor, slopes: Tensor) -> Tensor:
    """sum_k (v_k / Z) A_k."""
    return arithmetic.sum_channels(features, slopes / arithmetic.cells(features))


def general(features: Tensor, gradient: Tensor) -> Tensor:
    """sum_k g_k A_k at each cell, from the gradient (B,C,h,w) of one class."""
    return (gradient * features).sum(1)


def maps(view: View, classes: Tensor) -> Tensor:
    """M = sum_k g_k A_k at each cell, no ReLU. classes (B,K) -> (B,K,h,w), signed."""
    return gradients.compute_maps(view, classes, closed, general)
