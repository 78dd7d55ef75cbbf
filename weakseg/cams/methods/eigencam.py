"""Eigen-CAM. Muhammad, Yeasin, "Eigen-CAM: Class activation map using principal components" (2020), arXiv 2008.00299.

Differs from the paper: channels are centered, and the arbitrary sign is fixed along the feature norm.
"""

from __future__ import annotations

import torch
from torch import Tensor

from weakseg.cams import arithmetic
from weakseg.cams.view import View


def find_component(features: Tensor) -> Tensor:
    """First principal component of (B,C,h,w) over the cells, high where features are long: (B,h,w)."""
    return arithmetic.orient_along(arithmetic.first_component(features), arithmetic.norm(features))


@torch.no_grad()
def maps(view: View, classes: Tensor) -> Tensor:
    """M = (A - mean A) v_1, v_1 the first right singular vector of the (Z,C) table of centered features.

    classes (B,K) -> (B,K,h,w), zero mean, the same for every class.
    """
    return arithmetic.repeat(find_component(view.features), classes)
