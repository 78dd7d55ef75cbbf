"""LayerCAM. Jiang, Zhang, Hou, Cheng, Wei, "LayerCAM: Exploring hierarchical class activation maps for localization"
(2021), IEEE Transactions on Image Processing 30.

Differs from the paper: no ReLU after the sum, which changes nothing for features that are not negative.
"""

from __future__ import annotations

from torch import Tensor

from weakseg.cams import arithmetic, gradients
from weakseg.cams.view import View


def closed(features: Tensor, slopes: Tensor) -> Tensor:
    """sum_k ReLU(v_k / Z) A_k."""
    return arithmetic.sum_channels(features, slopes.relu() / arithmetic.cells(features))


def general(features: Tensor, gradient: Tensor) -> Tensor:
    """sum_k ReLU(g_k) A_k at each cell, from the gradient (B,C,h,w) of one class."""
    return (gradient.relu() * features).sum(1)


def maps(view: View, classes: Tensor) -> Tensor:
    """M = sum_k ReLU(g_k) A_k at each cell. classes (B,K) -> (B,K,h,w)."""
    return gradients.compute_maps(view, classes, closed, general)
