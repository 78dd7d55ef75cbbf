"""CAM. Zhou, Khosla, Lapedriza, Oliva, Torralba, "Learning deep features for discriminative localization" (2016),
arXiv 1512.04150.

Differs from the paper: a norm around the pooling is folded into the weights, so that the map is the class's own.
"""

from __future__ import annotations

from torch import Tensor

from weakseg.cams import arithmetic, gradients
from weakseg.networks.classifier import Classifier


def maps(classifier: Classifier, images: Tensor, classes: Tensor) -> Tensor:
    """M = sum_k w_k A_k; its spatial mean plus a class constant is the logit.

    images (B,3,H,W), classes (B,K) -> (B,K,h,w), signed. UserError where the head is not pooled.
    """
    return gradients.pooled_maps(classifier, images, classes, arithmetic.weighted, gradients.decomposition, "cam")
