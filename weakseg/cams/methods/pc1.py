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
from weakseg.networks.classifier import Classifier


def closed(features: Tensor, weights: Tensor) -> Tensor:
    """First principal component of the min-maxed maps w_k A_k, class by class to bound the memory: (B,K,h,w)."""
    found = []
    for column in range(weights.shape[1]):
        stack = arithmetic.minmax(features * weights[:, column, :, None, None])
        found.append(arithmetic.orient_frame(arithmetic.first_component(stack)))
    return torch.stack(found, 1)


def maps(classifier: Classifier, images: Tensor, classes: Tensor, *, weights: Literal["class", "raw"]) -> Tensor:
    """First principal component over the cells of the C maps minmax(w_k A_k), the image's frame being background.

    images (B,3,H,W), classes (B,K) -> (B,K,h,w), zero mean. UserError where the head is not pooled.
    """
    kind = {"class": gradients.decomposition, "raw": gradients.raw}[weights]
    return gradients.pooled_maps(classifier, images, classes, closed, kind, "pc1")
