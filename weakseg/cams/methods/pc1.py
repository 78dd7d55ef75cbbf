"""PC1. Yasuki, Taki, "CAM Back Again: Large kernel CNNs from a weakly supervised object localization perspective"
(2024), arXiv 2403.06676.

Differs from the paper: with a norm in the head, `class` weights are those of the class's own CAM; `raw` are those of
the paper.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from weakseg.cams import arithmetic, gradients
from weakseg.cams.view import View


def find_components(features: Tensor, weights: Tensor) -> Tensor:
    """First principal component of the min-maxed maps w_k A_k, class by class to bound the memory: (B,K,h,w)."""
    found = []
    for column in range(weights.shape[1]):
        stack = arithmetic.minmax(features * weights[:, column, :, None, None])  # (B,C,h,w)
        found.append(arithmetic.orient_frame(arithmetic.first_component(stack)))  # (B,h,w)
    return torch.stack(found, 1)


@torch.no_grad()
def maps(view: View, classes: Tensor, *, weights: Literal["class", "raw"]) -> Tensor:
    """First principal component over the cells of the C maps minmax(w_k A_k), the image's frame being background.

    classes (B,K) -> (B,K,h,w), zero mean. UserError where the head is not pooled.
    """
    head = gradients.require_pooled(view.head, "pc1")
    return find_components(view.features, gradients.weigh_channels(head, view.features, classes, weights))
