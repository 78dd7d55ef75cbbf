"""Grad-CAM. Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra, "Grad-CAM: Visual explanations from deep networks via
gradient-based localization" (2017), arXiv 1610.02391."""

from __future__ import annotations

from torch import Tensor

from weakseg.cams import arithmetic, gradients
from weakseg.cams.view import View


def closed(features: Tensor, slopes: Tensor) -> Tensor:
    """ReLU(sum_k (v_k / Z) A_k), as mean(g_k) = v_k / Z."""
    return arithmetic.sum_channels(features, slopes / arithmetic.cells(features)).relu()


def general(features: Tensor, gradient: Tensor) -> Tensor:
    """ReLU(sum_k mean(g_k) A_k), from the gradient (B,C,h,w) of one class."""
    return (gradient.mean((2, 3), keepdim=True) * features).sum(1).relu()


def maps(view: View, classes: Tensor) -> Tensor:
    """M = ReLU(sum_k mean(g_k) A_k). classes (B,K) -> (B,K,h,w), >= 0."""
    return gradients.compute_maps(view, classes, closed, general)
