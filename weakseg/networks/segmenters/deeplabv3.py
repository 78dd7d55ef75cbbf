"""DeepLabV3 on ResNet-50 or ResNet-101, torchvision's; on any other timm encoder, segmentation-models-pytorch's.

L.-C. Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017, arXiv 1706.05587.
Differs from the paper: no auxiliary head; the same output stride in testing as in training, 8 of the ResNets with rates
12, 24, 36, and 16 of the others with rates 6, 12, 18.
"""

from __future__ import annotations

from torch import Tensor, nn

from weakseg.errors import UserError
from weakseg.networks.classifier import IMAGENET_MEAN, IMAGENET_STD, Classifier
from weakseg.networks.loading import checkpoints
from weakseg.networks.segmentation import from_smp
from weakseg.networks.segmentation.segmenter import Inputs, Segmenter

VARIANTS = ("resnet50", "resnet101")
STRIDE = 8  # pixels: three halvings, dilation instead of the others
COARSE = {"encoder_output_stride": 16, "decoder_atrous_rates": (6, 12, 18)}  # of other encoders


class Head(nn.Module):
    """The atrous pyramid on the encoder's last features."""

    def __init__(self, pyramid: nn.Module) -> None:
        super().__init__()
        self.pyramid = pyramid

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """The encoder's outputs by name -> logits (B,classes,h,w)."""
        return self.pyramid(features["out"])


def load_encoder(encoder: nn.Module, path: str) -> None:
    """Load torchvision's or timm's ResNet weights; the file's classification head stays over."""
    kept = {name: tensor for name, tensor in checkpoints.read(path).items() if not name.startswith("fc.")}
    checkpoints.check(encoder, kept, (), path)
    encoder.load_state_dict(kept)


def build(variant: str, classes: int, weights: str, *, classifier: Classifier | None = None) -> Segmenter:
    """DeepLabV3: variant resnet50 | resnet101 | a timm network; weights random | pretrained (ImageNet) | a weight file.

    The classifier is not used. UserError for an unknown variant or a file of other weights.
    """
    if variant not in VARIANTS:
        return from_smp.build("DeepLabV3", variant, classes, weights, **COARSE)
    from torchvision.models import segmentation

    backbone = "DEFAULT" if weights == "pretrained" else None
    try:
        network = getattr(segmentation, f"deeplabv3_{variant}")(
            weights=None, weights_backbone=backbone, num_classes=classes, aux_loss=False
        )
    except OSError as error:
        raise UserError(
            f"pretrained weights of '{variant}' cannot be had ({error}): give a weight file or random"
        ) from None
    if weights not in ("random", "pretrained"):
        load_encoder(network.backbone, weights)
    parts = dict(network.backbone.named_children())
    groups = [nn.Sequential(parts["conv1"], parts["bn1"]), *(parts[f"layer{number}"] for number in range(1, 5))]
    return Segmenter(network.backbone, Head(network.classifier), groups, Inputs(STRIDE, IMAGENET_MEAN, IMAGENET_STD))
