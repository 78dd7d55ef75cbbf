"""MobileNetV2, whose ImageNet and bird-species weights the two-core presets use.

M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
2018, arXiv:1801.04381
Differs from the paper: `_os16` trades the last stride for dilation; `_same` pads as TensorFlow does and takes images
normalized with .5, as weights trained there need; `small` is for 96-pixel images.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from weakseg.networks.classifier import HALF, Classifier
from weakseg.networks.classifier import variant as entry
from weakseg.networks.loading import from_timm

SAME = {"name": "mobilenetv2_100", "pad_type": "same", "mean": HALF, "std": HALF}
VARIANTS: dict[str, dict[str, Any]] = {
    "small": {
        "name": "mobilenet small",
        "architecture": (
            "ds_r1_k3_s1_c16",
            "ir_r1_k3_s2_e4_c24",
            "ir_r2_k3_s2_e4_c40",
            "ir_r2_k3_s1_e4_c64",
            "ir_r1_k3_s1_e4_c96",
        ),
        "num_features": 192,
        "stem_size": 16,
        "act_layer": nn.ReLU6,
        "mean": HALF,
        "std": HALF,
    },
    "mobilenetv2_100": {"name": "mobilenetv2_100"},
    "mobilenetv2_100_os16": {"name": "mobilenetv2_100", "output_stride": 16},
    "mobilenetv2_100_same": SAME,
    "mobilenetv2_100_same_os16": {**SAME, "output_stride": 16},
    "mobilenetv2_140": {"name": "mobilenetv2_140"},
}


def build(variant: str, classes: int, weights: str) -> Classifier:
    """A variant by name; weights `random`, `pretrained` or the path of a file with timm's keys."""
    return from_timm.build(classes=classes, weights=weights, **entry(VARIANTS, variant, "mobilenet"))
