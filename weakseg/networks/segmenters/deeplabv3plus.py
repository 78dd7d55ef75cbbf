"""DeepLabV3+ with any timm encoder, segmentation-models-pytorch's.

L.-C. Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", 2018,
arXiv 1802.02611.
Differs from the paper: any convolutional encoder instead of Xception.
"""

from __future__ import annotations

from weakseg.networks.classifier import Classifier
from weakseg.networks.segmentation import from_smp
from weakseg.networks.segmentation.segmenter import Segmenter


def build(variant: str, classes: int, weights: str, *, classifier: Classifier | None = None) -> Segmenter:
    """DeepLabV3+: variant a timm network's name; weights random | pretrained | a timm weight file; output stride 16.

    The classifier is not used. UserError for an unknown network or a file of other weights.
    """
    return from_smp.build("DeepLabV3Plus", variant, classes, weights, encoder_output_stride=16)
