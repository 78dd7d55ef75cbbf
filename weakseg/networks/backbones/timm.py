"""Any network of timm by its own name, such as `resnet50`, `vit_small_patch14_dinov2` or `resnet50.a1_in1k`."""

from __future__ import annotations

from weakseg.networks.classifier import Classifier
from weakseg.networks.loading import from_timm


def build(variant: str, classes: int, weights: str) -> Classifier:
    """timm's network `variant`; weights `random`, `pretrained` or the path of a file with timm's keys."""
    return from_timm.build(from_timm.Variant(variant), classes, weights)
