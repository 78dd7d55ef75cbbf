"""Feature norm: the length of each cell's feature vector, a map that knows no class.

Zagoruyko, Komodakis, "Paying more attention to attention: Improving the performance of convolutional neural networks
via attention transfer" (2017), arXiv 1612.03928, activation-based attention for p = 2.
Differs from the paper: the square root is taken, so that the map has the unit of an activation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from weakseg.cams import arithmetic
from weakseg.cams.view import View


@torch.no_grad()
def maps(view: View, classes: Tensor) -> Tensor:
    """M = sqrt(sum_k A_k^2), the same for every class. classes (B,K) -> (B,K,h,w), >= 0."""
    return arithmetic.repeat(arithmetic.norm(view.features), classes)
