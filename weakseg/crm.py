"""Activation maps inside a training step: any CAM method, with a gradient that reaches the classifier.

T. Chen et al., "Spatial Structure Constraints for Weakly Supervised Semantic Segmentation", 2024, arXiv 2401.11122.
Differs from the paper: maps of any CAM method, not of CAM alone. Methods with a closed form for pooled heads are
differentiated as they are; the value of any other one (Score-CAM) takes the gradient of CAM (straight-through).
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from weakseg.cams import arithmetic, gradients
from weakseg.networks.classifier import Classifier
from weakseg.networks.levels import View

Maps = Callable[[Classifier, Tensor, Tensor], Tensor]


def straight_through(value: Tensor, carrier: Tensor) -> Tensor:
    """`value` (B,K,h,w) with the gradient of `carrier`, scaled to the spread of `value`; equal maps give themselves."""
    spread = carrier.detach().std((2, 3), keepdim=True)
    scale = torch.where(spread > 0, value.std((2, 3), keepdim=True) / spread.where(spread > 0, 1), 0)
    return value.detach() + scale.detach() * (carrier - carrier.detach())


def maps(
    classifier: Classifier, images: Tensor, features: Tensor, method: ModuleType, options: dict[str, Any]
) -> Tensor:
    """Raw maps of all K classes, (B,K,h,w), from images and their features (B,C,h,w), with a graph.

    UserError when the classifier's head is not a pooled one.
    """
    head = gradients.pooled(classifier, "train_crm")
    classes = torch.arange(head.linear.out_features, device=images.device).expand(len(images), -1)
    if hasattr(method, "general"):
        return method.closed(features, gradients.slopes(head, features, classes))
    view = View(classifier, 0, (images, features.detach()))
    value = method.maps(view, images, classes, **options)
    return straight_through(value, arithmetic.weighted(features, gradients.decomposition(head, features, classes)))
