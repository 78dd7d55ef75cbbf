"""A segmenter is an encoder and a decoder: images in, one logit for each class and pixel out."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from weakseg.errors import UserError
from weakseg.networks.image_sizes import ImageSizes
from weakseg.networks.layers.freezing import Freezable


class FullPrecision(nn.Module):
    """Mixed into the class of a layer: that layer computes in float32 even under autocast."""

    def forward(self, images: Tensor) -> Tensor:
        """Whatever the layer itself gives for images (B,C,H,W)."""
        with torch.autocast(images.device.type, enabled=False):
            return super().forward(images.float())


@functools.cache
def _in_full_precision(kind: type) -> type:
    return type(f"FullPrecision{kind.__name__}", (FullPrecision, kind), {})


def spare_slow_gradients(module: nn.Module) -> None:
    """Take strided depthwise convolutions out of autocast: on a CPU their bfloat16 gradient takes 30 times as long."""
    for part in module.modules():
        if not isinstance(part, nn.Conv2d) or isinstance(part, FullPrecision):
            continue
        if part.groups == part.in_channels > 1 and max(part.stride) > 1:
            # The layer stays the same object, with the same weights under the same names, and print() shows its class.
            kind: type = type(part)
            part.__class__ = _in_full_precision(kind)


class Inputs(NamedTuple):
    """What a segmenter's images are: both sides a multiple of `stride`, normalized with `mean` and `std`."""

    stride: int
    mean: Sequence[float]
    std: Sequence[float]
    sizes: ImageSizes | None = None  # what the encoder takes, where that is not every multiple of the stride


class Segmenter(Freezable):
    """`decoder(encoder(images))`, resized to the images' size.

    `groups` are the encoder's parts from shallow to deep, for freezing.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, groups: Sequence[nn.Module], inputs: Inputs) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self._groups = tuple(groups)
        self.stride, self.mean, self.std = inputs.stride, tuple(inputs.mean), tuple(inputs.std)
        self.sizes = inputs.sizes

    def normalize(self, images: Tensor) -> Tensor:
        """Images (B,3,H,W) in [0, 1] -> (images - mean) / std."""
        mean, std = (images.new_tensor(value)[:, None, None] for value in (self.mean, self.std))
        return (images - mean) / std

    def forward(self, images: Tensor) -> Tensor:
        """Normalized images (B,3,H,W), H and W multiples of `stride`, -> logits (B,classes,H,W)."""
        if any(side % self.stride for side in images.shape[-2:]):
            raise UserError(
                f"images of {images.shape[-2]}x{images.shape[-1]} pixels do not suit this segmenter:"
                f" use a size that is a multiple of {self.stride}"
            )
        if self.sizes is not None:
            self.sizes.check(*images.shape[-2:])
        logits = self.decoder(self.encoder(images))
        return F.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False)

    def freeze(self, groups: int, *, fixed_norm: bool) -> None:
        """Freeze the encoder's first `groups` parts; with `fixed_norm` its BatchNorm layers keep their statistics."""
        if not 0 <= groups <= len(self._groups):
            raise UserError(f"frozen_groups is {groups}: this segmenter's encoder has {len(self._groups)} groups")
        norms = [part for part in self.encoder.modules() if isinstance(part, _BatchNorm)] if fixed_norm else []
        self.hold(self._groups[:groups], still=norms)

    def parameter_groups(self, encoder_rate: float, decoder_rate: float) -> list[dict]:
        """The trained weights with their learning rates, the decoder's first, for an optimizer."""
        parts = ((self.decoder, decoder_rate), (self.encoder, encoder_rate))
        groups = [([weight for weight in part.parameters() if weight.requires_grad], rate) for part, rate in parts]
        return [{"params": weights, "lr": rate} for weights, rate in groups if weights]
