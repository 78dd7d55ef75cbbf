"""ResNet.

K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", 2015, arXiv:1512.03385
Differs from the paper: `_os16` and `_os8` trade the last strides for dilation; `small` is for 96-pixel images.
"""

from __future__ import annotations

from weakseg.networks.classifier import HALF, Classifier, find_variant
from weakseg.networks.loading import from_timm
from weakseg.networks.loading.from_timm import Variant

SMALL = {"layers": (1, 1, 1, 1), "channels": (32, 64, 96, 128), "stem_width": 32, "output_stride": 8}
VARIANTS = {
    "small": Variant("resnet18", SMALL, mean=HALF, std=HALF),
    "resnet18": Variant("resnet18"),
    "resnet34": Variant("resnet34"),
    "resnet50": Variant("resnet50"),
    "resnet50_os16": Variant("resnet50", {"output_stride": 16}),
    "resnet50_os8": Variant("resnet50", {"output_stride": 8}),
    "resnet101": Variant("resnet101"),
}


def build(variant: str, classes: int, weights: str) -> Classifier:
    """A variant by name; weights `random`, `pretrained` or the path of a file with timm's keys."""
    return from_timm.build(find_variant(VARIANTS, variant, "resnet"), classes, weights)
