"""A segmentation-models-pytorch network with any timm encoder, behind the `Segmenter` contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from weakseg.errors import UserError
from weakseg.networks.classifier import HALF, IMAGENET_MEAN, IMAGENET_STD
from weakseg.networks.loading import checkpoints
from weakseg.networks.segmentation.segmenter import Inputs, Segmenter

STRIDE = 32  # pixels: five halvings
SAME = "_same"  # ends the name of a variant that pads as TensorFlow does


class Decoder(nn.Module):
    """The network's decoder and its head."""

    def __init__(self, decoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.decoder, self.head = decoder, head

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features, shallow to deep, -> logits (B,classes,h,w)."""
        return self.head(self.decoder(features))


def load_encoder(encoder: nn.Module, path: str) -> None:
    """Load a timm weight file into the encoder; the file's classification head stays over."""
    own, state = encoder.state_dict(), checkpoints.read(path)
    kept = {name: tensor for name, tensor in state.items() if name in own}
    checkpoints.check(encoder, kept, (), path)
    encoder.load_state_dict(kept)


def group_children(encoder: nn.Module) -> list[nn.Module]:
    """The encoder's children from shallow to deep, each with what follows it without being a level of its own."""
    groups: list[list[nn.Module]] = []
    for child in encoder.children():
        parts = list(child) if isinstance(child, nn.Sequential) else [child]
        for part in parts:
            if groups and not any(isinstance(module, nn.Conv2d) for module in part.modules()):
                groups[-1].append(part)
            else:
                groups.append([part])
    return [nn.ModuleList(group) for group in groups]


def normalization(variant: str) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation of the images that the variant's weights were trained on."""
    import timm

    if variant.endswith(SAME):
        return HALF, HALF
    config = timm.get_pretrained_cfg(variant)
    return (config.mean, config.std) if config else (IMAGENET_MEAN, IMAGENET_STD)


def build(architecture: str, variant: str, classes: int, weights: str, **options: Any) -> Segmenter:
    """smp's `architecture` with timm encoder `variant`; weights random | pretrained | a timm weight file.

    A variant that ends in `_same` pads as TensorFlow does and takes images normalized with .5, as weights trained there
    need. UserError names an encoder that timm does not have, or that cannot be padded so.
    """
    import segmentation_models_pytorch as smp
    import timm

    name = variant.removesuffix(SAME)
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0].split('.')[0]}*")[:8]) or "see timm.list_models()"
        raise UserError(f"segmenter variant '{variant}' is no timm model: choose one, such as {near}")
    if name != variant and weights == "pretrained":
        raise UserError(f"timm has no pretrained weights of segmenter variant '{variant}': give a weight file")
    pretrained = "imagenet" if weights == "pretrained" else None
    padding = {"pad_type": "same"} if name != variant else {}
    try:
        network = getattr(smp, architecture)(
            f"tu-{name}", encoder_weights=pretrained, classes=classes, **options, **padding
        )
    except TypeError:
        raise UserError(f"segmenter variant '{variant}' cannot be padded so: leave out '{SAME}'") from None
    except OSError as error:
        raise UserError(
            f"pretrained weights of '{variant}' cannot be had ({error}): give a weight file or random"
        ) from None
    encoder = network.encoder.model
    if weights not in ("random", "pretrained"):
        load_encoder(encoder, weights)
    decoder = Decoder(network.decoder, network.segmentation_head)
    return Segmenter(network.encoder, decoder, group_children(encoder), Inputs(STRIDE, *normalization(variant)))
