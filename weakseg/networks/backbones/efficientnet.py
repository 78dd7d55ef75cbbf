"""EfficientNet.

M. Tan, Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019, arXiv:1905.11946
Differs from the paper: `_os16` trades the last stride for dilation; `small` is for 96-pixel images.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from weakseg.networks.classifier import HALF, Classifier
from weakseg.networks.classifier import variant as entry
from weakseg.networks.loading import from_timm

VARIANTS: dict[str, dict[str, Any]] = {
    "small": {
        "name": "efficientnet small",
        "architecture": (
            "ds_r1_k3_s1_c16_se0.25",
            "ir_r1_k3_s2_e4_c24_se0.25",
            "ir_r2_k5_s2_e4_c40_se0.25",
            "ir_r2_k3_s1_e4_c64_se0.25",
            "ir_r1_k5_s1_e4_c96_se0.25",
        ),
        "num_features": 192,
        "stem_size": 16,
        "act_layer": nn.SiLU,
        "mean": HALF,
        "std": HALF,
    },
    "efficientnet_b0": {"name": "efficientnet_b0"},
    "efficientnet_b0_os16": {"name": "efficientnet_b0", "output_stride": 16},
    "efficientnet_b1": {"name": "efficientnet_b1"},
    "efficientnet_b2": {"name": "efficientnet_b2"},
    "efficientnet_b3": {"name": "efficientnet_b3"},
    "efficientnet_b4": {"name": "efficientnet_b4"},
}


def build(variant: str, classes: int, weights: str) -> Classifier:
    """A variant by name; weights `random`, `pretrained` or the path of a file with timm's keys."""
    return from_timm.build(classes=classes, weights=weights, **entry(VARIANTS, variant, "efficientnet"))
