"""Joint augmentation of images and their pixel maps: zoom, flip and color, a whole batch in one sampling."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from weakseg.artifacts.masks import IGNORE
from weakseg.data.augmentation import Augmentation


def _draw(low: float, high: float, count: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def draw_windows(augmentation: Augmentation, count: int, generator: torch.Generator) -> Tensor:
    """(count,2,3) affine maps from output to input coordinates in [-1, 1]: windows in or around the image."""
    zoom = _draw(augmentation.zoom_from, augmentation.zoom_to, (count,), generator)
    shift = _draw(-1, 1, (count, 2), generator) * (1 - zoom).abs()[:, None]
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5 * augmentation.flip, -1.0, 1.0)
    # An affine map is [[scale x, 0, shift x], [0, scale y, shift y]]; a negative scale of x mirrors left and right.
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = zoom * mirror, zoom, shift
    return theta


def _change_color(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    shape = (len(images), images.shape[1], 1, 1)
    gain = 1 + _draw(-augmentation.gain, augmentation.gain, shape, generator)
    offset = _draw(-augmentation.brightness, augmentation.brightness, (len(images), 1, 1, 1), generator)
    return (images * gain.to(images.device) + offset.to(images.device)).clamp(0, 1)


def _draw_grid(images: Tensor, size: int, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    theta = draw_windows(augmentation, len(images), generator).to(images.device)
    return F.affine_grid(theta, [len(images), 3, size, size], align_corners=False)


def _look_through(images: Tensor, grid: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    seen = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return _change_color(seen, augmentation, generator)


def augment_images(images: Tensor, size: int, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """`augment` for images (B,3,H,W) alone: the same draws, (B,3,size,size)."""
    return _look_through(images, _draw_grid(images, size, augmentation, generator), augmentation, generator)


def augment(
    images: Tensor, maps: Tensor, size: int, augmentation: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw one window, mirroring and color for each image; the map goes through the same window.

    images (B,3,H,W) in [0, 1] -> (B,3,size,size), bilinear, edges repeated. maps (B,H,W) integer -> (B,size,size),
    nearest, 255 outside the image. Draws come from `generator`, which is the CPU's, alone.
    """
    grid = _draw_grid(images, size, augmentation, generator)  # (B,size,size,2)
    # Sampling pads with 0. Ids are shifted by 255 before and back after, so that outside becomes 255.
    shifted = maps[:, None].float() - IGNORE  # (B,1,H,W)
    moved = F.grid_sample(shifted, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return _look_through(images, grid, augmentation, generator), (moved[:, 0] + IGNORE).to(maps.dtype)
