"""ResNet.

K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", 2015, arXiv:1512.03385
Differs from the paper: `_os16` and `_os8` trade the last strides for dilation; `small` is for 96-pixel images.
"""

from __future__ import annotations

from typing import Any

from weakseg.networks.classifier import HALF, Classifier
from weakseg.networks.classifier import variant as entry
from weakseg.networks.loading import from_timm

VARIANTS: dict[str, dict[str, Any]] = {
    "small": {
        "name": "resnet18",
        "layers": (1, 1, 1, 1),
        "channels": (32, 64, 96, 128),
        "stem_width": 32,
        "output_stride": 8,
        "mean": HALF,
        "std": HALF,
    },
    "resnet18": {"name": "resnet18"},
    "resnet34": {"name": "resnet34"},
    "resnet50": {"name": "resnet50"},
    "resnet50_os16": {"name": "resnet50", "output_stride": 16},
    "resnet50_os8": {"name": "resnet50", "output_stride": 8},
    "resnet101": {"name": "resnet101"},
}


def build(variant: str, classes: int, weights: str) -> Classifier:
    """A variant by name; weights `random`, `pretrained` or the path of a file with timm's keys."""
    return from_timm.build(classes=classes, weights=weights, **entry(VARIANTS, variant, "resnet"))
