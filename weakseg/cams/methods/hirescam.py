"""HiResCAM. Draelos, Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural
networks" (2020), arXiv 2011.08891."""

from __future__ import annotations

from torch import Tensor

from weakseg.cams import arithmetic, gradients
from weakseg.networks.classifier import Classifier


def closed(features: Tensor, slopes: Tensor) -> Tensor:
    """sum_k (v_k / Z) A_k."""
    return arithmetic.weighted(features, slopes / arithmetic.cells(features))


def general(features: Tensor, gradients: Tensor) -> Tensor:
    """sum_k g_k A_k at each cell, from gradients (B,C,h,w) of one class."""
    return (gradients * features).sum(1)


def maps(classifier: Classifier, images: Tensor, classes: Tensor) -> Tensor:
    """M = sum_k g_k A_k at each cell, no ReLU. images (B,3,H,W), classes (B,K) -> (B,K,h,w), signed."""
    return gradients.maps(classifier, images, classes, closed, general)
