"""XGrad-CAM. Fu, Hu, Dong, Guo, Gao, Li, "Axiom-based Grad-CAM: Towards accurate visualization and explanation of CNNs"
(2020), arXiv 2008.02312."""

from __future__ import annotations

import torch
from torch import Tensor

from weakseg.cams import arithmetic, gradients
from weakseg.cams.view import View


def closed(features: Tensor, slopes: Tensor) -> Tensor:
    """sum_k (v_k / Z) A_k: where g_k is one number, sum(g A) / sum(A) is that number."""
    return arithmetic.sum_channels(features, slopes / arithmetic.cells(features))


def general(features: Tensor, gradient: Tensor) -> Tensor:
    """sum_k a_k A_k, a_k = sum(g A) / sum(A), from the gradient (B,C,h,w) of one class.

    Where sum(A) = 0, a_k = mean(g): the value for a gradient that is the same in all cells.
    """
    total = features.sum((2, 3), keepdim=True)  # (B,C,1,1)
    ratio = (gradient * features).sum((2, 3), keepdim=True) / total.where(total != 0, 1)
    weights = torch.where(total != 0, ratio, gradient.mean((2, 3), keepdim=True))
    return (weights * features).sum(1)


def maps(view: View, classes: Tensor) -> Tensor:
    """M = sum_k a_k A_k, a_k = sum(g A) / sum(A), no ReLU. classes (B,K) -> (B,K,h,w), signed."""
    return gradients.compute_maps(view, classes, closed, general)
