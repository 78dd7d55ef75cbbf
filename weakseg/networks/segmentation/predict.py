"""Prediction with a segmenter: probabilities over flips and scales, at a size apart from that of training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from weakseg.data import grids, samples
from weakseg.data.grids import warp
from weakseg.data.samples import Reader
from weakseg.harness import device as hardware
from weakseg.harness import memory
from weakseg.harness.device import Precision
from weakseg.networks.levels import locate
from weakseg.networks.segmentation.segmenter import Segmenter


@dataclass(frozen=True)
class Copies:
    """Copies of an image that are predicted and averaged: `scales` of the size, and with `flip` the mirror images."""

    scales: Sequence[float]
    flip: bool

    def largest(self, size: float, stride: int) -> int:
        """Side of the largest copy, a multiple of `stride`."""
        return fit_stride(size * max(self.scales), stride)


def fit_stride(size: float, stride: int) -> int:
    """The multiple of `stride` nearest to `size` pixels, at least one stride."""
    return max(1, round(size / stride)) * stride


def _resize(images: Tensor, side: int) -> Tensor:
    if images.shape[-2:] == (side, side):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", align_corners=False, antialias=True)


@torch.inference_mode()
def probabilities(
    segmenter: Segmenter, images: Tensor, size: int, copies: Copies, precision: Precision = "fp32"
) -> Tensor:
    """Mean softmax over the copies: images (B,3,H,W) in [0, 1] -> (B,classes,H,W) float32.

    Each scale warps the images to a square of about size*scale pixels, a multiple of the segmenter's stride.
    The segmenter has to be in evaluation mode and on the images' device.
    """
    total = images.new_zeros(())
    for scale in copies.scales:
        view = segmenter.normalize(_resize(images, fit_stride(size * scale, segmenter.stride)))  # (B,3,S,S)
        view = view.contiguous(memory_format=torch.channels_last)
        for mirrored in (False, True)[: 1 + copies.flip]:
            with hardware.autocast(precision):
                logits = segmenter(view.flip(3) if mirrored else view)
            found = logits.float().softmax(1)
            found = found.flip(3) if mirrored else found
            total = total + F.interpolate(found, images.shape[-2:], mode="bilinear", align_corners=False)
    return total / (len(copies.scales) * (1 + copies.flip))


def to_mask(probability: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Probabilities (C,h,w) -> class ids (H,W) uint8 of `shape`: resized bilinearly, then the highest; no 255."""
    return grids.resize(probability, shape).argmax(0).astype(np.uint8)


def stream(
    segmenter: Segmenter, reader: Reader, copies: Copies, description: str = "segmenter"
) -> Iterator[tuple[str, np.ndarray]]:
    """(image id, probabilities (classes,S,S) float32) in listing order, computed where the segmenter lies.

    `reader.size` is the side at scale 1; images are warped to S, the side of the largest copy.
    """
    device, size = locate(segmenter), reader.size
    segmenter.to(memory_format=torch.channels_last).eval()
    largest = replace(reader, size=copies.largest(size, segmenter.stride))
    for pixels, names in largest.batches(description):

        def compute(rows: slice, pixels: Tensor = pixels) -> np.ndarray:
            return probabilities(segmenter, pixels[rows].to(device), size, copies, reader.precision).cpu().numpy()

        yield from zip(names, chain.from_iterable(memory.in_parts(compute, len(names))), strict=True)


def mask(segmenter: Segmenter, image: np.ndarray, size: int, copies: Copies) -> np.ndarray:
    """Class ids (H,W) uint8 of one image (H,W,3) uint8 at its own size, computed where the segmenter lies."""
    warped = samples.to_tensor(warp(image, copies.largest(size, segmenter.stride)))[None]  # (1,3,S,S)
    found = probabilities(segmenter, warped.to(locate(segmenter)), size, copies)
    return to_mask(found[0].cpu().numpy(), image.shape[:2])
