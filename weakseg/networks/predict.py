"""Prediction with a segmenter: probabilities over flips and scales, at a size apart from that of training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from weakseg.artifacts.zips import Images
from weakseg.data import grids, samples
from weakseg.data.grids import warp
from weakseg.harness import device
from weakseg.harness.progress import track
from weakseg.networks.segmenter import Segmenter


def fitting(size: float, stride: int) -> int:
    """The multiple of `stride` nearest to `size` pixels, at least one stride."""
    return max(1, round(size / stride)) * stride


def _resized(images: Tensor, side: int) -> Tensor:
    if images.shape[-2:] == (side, side):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", align_corners=False, antialias=True)


@torch.inference_mode()
def probabilities(
    segmenter: Segmenter, images: Tensor, *, size: int, scales: Sequence[float], flip: bool, precision: str = "fp32"
) -> Tensor:
    """Mean softmax over scales and mirror images: images (B,3,H,W) in [0, 1] -> (B,classes,H,W) float32.

    Each scale warps the images to a square of about size*scale pixels, a multiple of the segmenter's stride.
    The segmenter has to be in evaluation mode and on the images' device.
    """
    total = images.new_zeros(())
    for scale in scales:
        view = segmenter.normalize(_resized(images, fitting(size * scale, segmenter.stride)))
        view = view.contiguous(memory_format=torch.channels_last)
        for mirrored in (False, True)[: 1 + flip]:
            with device.autocast(precision):
                logits = segmenter(view.flip(3) if mirrored else view)
            found = logits.float().softmax(1)
            found = found.flip(3) if mirrored else found
            total = total + F.interpolate(found, images.shape[-2:], mode="bilinear", align_corners=False)
    return total / (len(scales) * (1 + flip))


def to_mask(probability: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Probabilities (C,h,w) -> class ids (H,W) uint8 of `shape`: resized bilinearly, then the highest; no 255."""
    return grids.resize(probability, shape).argmax(0).astype(np.uint8)


def stream(
    segmenter: Segmenter,
    images: Images,
    ids: Sequence[str],
    *,
    size: int,
    scales: Sequence[float],
    flip: bool,
    batch_size: int,
    precision: str,
    description: str = "segmenter",
) -> Iterator[tuple[str, np.ndarray]]:
    """(image id, probabilities (classes,S,S) float32) in listing order; images are warped to S, the largest scale."""
    place = device.pick()
    segmenter.to(place).to(memory_format=torch.channels_last).eval()
    dataset = samples.ImageSamples(images, ids, fitting(size * max(scales), segmenter.stride), samples.PLAIN)
    for pixels, names in track(samples.batches(dataset, batch_size), description, -(-len(dataset) // batch_size)):
        found = probabilities(segmenter, pixels.to(place), size=size, scales=scales, flip=flip, precision=precision)
        yield from zip(names, found.cpu().numpy(), strict=True)


def mask(segmenter: Segmenter, image: np.ndarray, *, size: int, scales: Sequence[float], flip: bool) -> np.ndarray:
    """Class ids (H,W) uint8 of one image (H,W,3) uint8 at its own size."""
    warped = samples.to_tensor(warp(image, fitting(size * max(scales), segmenter.stride)))[None]
    place = device.pick()
    found = probabilities(segmenter.to(place), warped.to(place), size=size, scales=scales, flip=flip)
    return to_mask(found[0].cpu().numpy(), image.shape[:2])
