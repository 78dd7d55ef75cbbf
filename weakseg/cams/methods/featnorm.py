"""Feature norm: the length of each cell's feature vector, a map that knows no class.

Zagoruyko, Komodakis, "Paying more attention to attention: Improving the performance of convolutional neural networks
via attention transfer" (2017), arXiv 1612.03928, activation-based attention for p = 2.
Differs from the paper: the square root is taken, so that the map has the unit of an activation.
"""

from __future__ import annotations

from torch import Tensor

from weakseg.cams import gradients
from weakseg.networks.classifier import Classifier


def norm(features: Tensor) -> Tensor:
    """Euclidean norm over channels, (B,C,h,w) -> (B,h,w)."""
    return features.square().sum(1).sqrt()


def maps(classifier: Classifier, images: Tensor, classes: Tensor) -> Tensor:
    """M = sqrt(sum_k A_k^2), the same for every class. images (B,3,H,W), classes (B,K) -> (B,K,h,w), >= 0."""
    return gradients.agnostic_maps(classifier, images, classes, norm)
