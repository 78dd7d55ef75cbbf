"""EfficientNet.

M. Tan, Q. V. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019, arXiv:1905.11946
Differs from the paper: `_os16` trades the last stride for dilation; `small` is for 96-pixel images.
"""

from __future__ import annotations

from torch import nn

from weakseg.networks.classifier import HALF, Classifier, find_variant
from weakseg.networks.loading import from_timm
from weakseg.networks.loading.from_timm import Variant

SMALL = (
    "ds_r1_k3_s1_c16_se0.25",
    "ir_r1_k3_s2_e4_c24_se0.25",
    "ir_r2_k5_s2_e4_c40_se0.25",
    "ir_r2_k3_s1_e4_c64_se0.25",
    "ir_r1_k5_s1_e4_c96_se0.25",
)
WIDTHS = {"num_features": 192, "stem_size": 16, "act_layer": nn.SiLU}
VARIANTS = {
    "small": Variant("efficientnet small", WIDTHS, SMALL, mean=HALF, std=HALF),
    "efficientnet_b0": Variant("efficientnet_b0"),
    "efficientnet_b0_os16": Variant("efficientnet_b0", {"output_stride": 16}),
    "efficientnet_b1": Variant("efficientnet_b1"),
    "efficientnet_b2": Variant("efficientnet_b2"),
    "efficientnet_b3": Variant("efficientnet_b3"),
    "efficientnet_b4": Variant("efficientnet_b4"),
}


def build(variant: str, classes: int, weights: str) -> Classifier:
    """A variant by name; weights `random`, `pretrained` or the path of a file with timm's keys."""
    return from_timm.build(find_variant(VARIANTS, variant, "efficientnet"), classes, weights)
