"""U-Net with any timm encoder, segmentation-models-pytorch's.

O. Ronneberger, P. Fischer, T. Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015,
arXiv 1505.04597.
Differs from the paper: padded convolutions, a classification network as encoder.
"""

from __future__ import annotations

from weakseg.networks.classifier import Classifier
from weakseg.networks.segmentation import from_smp
from weakseg.networks.segmentation.segmenter import Segmenter


def build(variant: str, classes: int, weights: str, *, classifier: Classifier | None = None) -> Segmenter:
    """U-Net: variant a timm network's name; weights random | pretrained | a timm weight file.

    The classifier is not used. UserError for an unknown network or a file of other weights.
    """
    return from_smp.build("Unet", variant, classes, weights)
