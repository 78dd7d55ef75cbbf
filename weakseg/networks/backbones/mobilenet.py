"""MobileNetV2, whose ImageNet and bird-species weights the two-core presets use.

M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
2018, arXiv:1801.04381
Differs from the paper: `_os16` trades the last stride for dilation; `_same` pads as TensorFlow does and takes images
normalized with .5, as weights trained there need; `small` is for 96-pixel images.
"""

from __future__ import annotations

from torch import nn

from weakseg.networks.classifier import HALF, Classifier, find_variant
from weakseg.networks.loading import from_timm
from weakseg.networks.loading.from_timm import Variant

SMALL = ("ds_r1_k3_s1_c16", "ir_r1_k3_s2_e4_c24", "ir_r2_k3_s2_e4_c40", "ir_r2_k3_s1_e4_c64", "ir_r1_k3_s1_e4_c96")
WIDTHS = {"num_features": 192, "stem_size": 16, "act_layer": nn.ReLU6}
SAME = {"pad_type": "same"}
VARIANTS = {
    "small": Variant("mobilenet small", WIDTHS, SMALL, mean=HALF, std=HALF),
    "mobilenetv2_100": Variant("mobilenetv2_100"),
    "mobilenetv2_100_os16": Variant("mobilenetv2_100", {"output_stride": 16}),
    "mobilenetv2_100_same": Variant("mobilenetv2_100", SAME, mean=HALF, std=HALF),
    "mobilenetv2_100_same_os16": Variant("mobilenetv2_100", SAME | {"output_stride": 16}, mean=HALF, std=HALF),
    "mobilenetv2_140": Variant("mobilenetv2_140"),
}


def build(variant: str, classes: int, weights: str) -> Classifier:
    """A variant by name; weights `random`, `pretrained` or the path of a file with timm's keys."""
    return from_timm.build(find_variant(VARIANTS, variant, "mobilenet"), classes, weights)
