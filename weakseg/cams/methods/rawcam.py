"""Raw-weight CAM, as in the code of Yasuki, Taki, "CAM Back Again: Large kernel CNNs from a weakly supervised object
localization perspective" (2024), arXiv 2403.06676.

The features before the head's norm are weighed with the linear layer's own weights. With a norm in the head this is
not the class's CAM (choose `cam` for that); without one the two are equal.
"""

from __future__ import annotations

from torch import Tensor

from weakseg.cams import arithmetic, gradients
from weakseg.networks.classifier import Classifier


def maps(classifier: Classifier, images: Tensor, classes: Tensor) -> Tensor:
    """M = sum_k w_k A_k, the norm of the head ignored.

    images (B,3,H,W), classes (B,K) -> (B,K,h,w), signed. UserError where the head is not pooled.
    """
    return gradients.pooled_maps(classifier, images, classes, arithmetic.weighted, gradients.raw, "rawcam")
