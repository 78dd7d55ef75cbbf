"""LayerCAM. Jiang, Zhang, Hou, Cheng, Wei, "LayerCAM: Exploring hierarchical class activation maps for localization"
(2021), IEEE Transactions on Image Processing 30.

Differs from the paper: no ReLU after the sum, which changes nothing for features that are not negative.
"""

from __future__ import annotations

from torch import Tensor

from weakseg.cams import arithmetic, gradients
from weakseg.networks.classifier import Classifier


def closed(features: Tensor, slopes: Tensor) -> Tensor:
    """sum_k ReLU(v_k / Z) A_k."""
    return arithmetic.weighted(features, slopes.relu() / arithmetic.cells(features))


def general(features: Tensor, gradients: Tensor) -> Tensor:
    """sum_k ReLU(g_k) A_k at each cell, from gradients (B,C,h,w) of one class."""
    return (gradients.relu() * features).sum(1)


def maps(classifier: Classifier, images: Tensor, classes: Tensor) -> Tensor:
    """M = sum_k ReLU(g_k) A_k at each cell. images (B,3,H,W), classes (B,K) -> (B,K,h,w)."""
    return gradients.maps(classifier, images, classes, closed, general)
