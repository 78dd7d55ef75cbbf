"""Joint augmentation of images and their pixel maps: zoom, flip and color, a whole batch in one sampling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from weakseg.artifacts.zips import IGNORE


@dataclass(frozen=True)
class Augmentation:
    """Ranges the draws come from.

    zoom_from, zoom_to: side of the window, as a share of the image (below 1 enlarges, above 1 shows a border);
    flip: mirror left and right half of the time; gain: each channel is scaled by 1 +- gain; brightness: +-, in
    units of [0, 1].
    """

    zoom_from: float
    zoom_to: float
    flip: bool
    gain: float
    brightness: float

    def load_size(self, size: int) -> int:
        """Side at which images should be read so that a window of middle zoom has about `size` pixels."""
        return math.ceil(size / math.sqrt(self.zoom_from * self.zoom_to))


NOTHING = Augmentation(1.0, 1.0, False, 0.0, 0.0)


def _uniform(low: float, high: float, count: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def windows(augmentation: Augmentation, count: int, generator: torch.Generator) -> Tensor:
    """(count,2,3) affine maps from output to input coordinates in [-1, 1]: windows in or around the image."""
    zoom = _uniform(augmentation.zoom_from, augmentation.zoom_to, (count,), generator)
    shift = _uniform(-1, 1, (count, 2), generator) * (1 - zoom).abs()[:, None]
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5 * augmentation.flip, -1.0, 1.0)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = zoom * mirror, zoom, shift
    return theta


def _colored(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    shape = (len(images), images.shape[1], 1, 1)
    gain = 1 + _uniform(-augmentation.gain, augmentation.gain, shape, generator)
    offset = _uniform(-augmentation.brightness, augmentation.brightness, (len(images), 1, 1, 1), generator)
    return (images * gain.to(images.device) + offset.to(images.device)).clamp(0, 1)


def _grid(images: Tensor, size: int, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    theta = windows(augmentation, len(images), generator).to(images.device)
    return F.affine_grid(theta, [len(images), 3, size, size], align_corners=False)


def _seen(images: Tensor, grid: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    seen = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return _colored(seen, augmentation, generator)


def augment_images(images: Tensor, size: int, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """`augment` for images (B,3,H,W) alone: the same draws, (B,3,size,size)."""
    return _seen(images, _grid(images, size, augmentation, generator), augmentation, generator)


def augment(
    images: Tensor, maps: Tensor, size: int, augmentation: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw one window, mirroring and color for each image; the map goes through the same window.

    images (B,3,H,W) in [0, 1] -> (B,3,size,size), bilinear, edges repeated. maps (B,H,W) integer -> (B,size,size),
    nearest, 255 outside the image; or maps (B,C,H,W) float -> (B,C,size,size), bilinear, 0 outside. Draws come from
    `generator`, which is the CPU's, alone.
    """
    grid = _grid(images, size, augmentation, generator)
    if maps.ndim == 4:
        moved = F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    else:
        shifted = maps[:, None].float() - IGNORE  # 0 outside is 255 after the shift back
        sampled = F.grid_sample(shifted, grid, mode="nearest", padding_mode="zeros", align_corners=False)
        moved = (sampled[:, 0] + IGNORE).to(maps.dtype)
    return _seen(images, grid, augmentation, generator), moved
