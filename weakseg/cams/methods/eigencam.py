"""Eigen-CAM. Muhammad, Yeasin, "Eigen-CAM: Class activation map using principal components" (2020), arXiv 2008.00299.

Differs from the paper: channels are centered, and the arbitrary sign is fixed along the feature norm.
"""

from __future__ import annotations

from torch import Tensor

from weakseg.cams import arithmetic, gradients
from weakseg.networks.classifier import Classifier


def component(features: Tensor) -> Tensor:
    """First principal component of (B,C,h,w) over the cells, high where features are long: (B,h,w)."""
    return arithmetic.orient_along(arithmetic.first_component(features), features.square().sum(1).sqrt())


def maps(classifier: Classifier, images: Tensor, classes: Tensor) -> Tensor:
    """M = (A - mean A) v_1, v_1 the first right singular vector of the (Z,C) table of centered features.

    images (B,3,H,W), classes (B,K) -> (B,K,h,w), zero mean, the same for every class.
    """
    return gradients.agnostic_maps(classifier, images, classes, component)
