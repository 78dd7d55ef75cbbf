"""CAM. Zhou, Khosla, Lapedriza, Oliva, Torralba, "Learning deep features for discriminative localization" (2016),
arXiv 1512.04150.

Differs from the paper: with `class` weights a norm around the pooling is folded into them, so that the map is the
class's own. `raw` are the linear layer's weights on the features before the norm, as in the code of Yasuki, Taki, "CAM
Back Again: Large kernel CNNs from a weakly supervised object localization perspective" (2024), arXiv 2403.06676: with
a norm in the head not the class's map; without one the two are equal.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from weakseg.cams import arithmetic, gradients
from weakseg.cams.view import View


@torch.no_grad()
def maps(view: View, classes: Tensor, *, weights: Literal["class", "raw"]) -> Tensor:
    """M = sum_k w_k A_k; with `class` weights its spatial mean plus a class constant is the logit.

    classes (B,K) -> (B,K,h,w), signed. UserError where the head is not pooled.
    """
    head = gradients.require_pooled(view.head, "cam")
    return arithmetic.sum_channels(view.features, gradients.weigh_channels(head, view.features, classes, weights))
