"""Joint augmentation of images and their pixel maps: zoom, flip and color, a whole batch in one sampling.

Windows of other shapes than a square follow the random resized crop of C. Szegedy et al., "Going Deeper with
Convolutions", 2014, arXiv 1409.4842. Differs from the paper: the side is drawn uniformly, not the area, and a shape
that does not fit into the image is brought nearer to the image's own instead of being drawn again.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from weakseg.artifacts.formats.masks import IGNORE
from weakseg.data.augmentation import Augmentation


def _draw(low: float, high: float, count: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def shape_windows(zoom: Tensor, ratios: Tensor) -> Tensor:
    """Width and height (B,2) of windows of area zoom^2 (B,), as shares of the image's; ratios (B,): width / height.

    A side is no longer than the image's, or than `zoom` where that is longer: ratios move toward 1 until they fit.
    """
    widest = (zoom.clamp(min=1) / zoom).square()  # the ratio at which the longer side fits exactly
    root = torch.minimum(torch.maximum(ratios, 1 / widest), widest).sqrt()
    return torch.stack([zoom * root, zoom / root], 1)


def draw_windows(
    augmentation: Augmentation, count: int, generator: torch.Generator, proportions: Tensor | None = None
) -> Tensor:
    """(count,2,3) affine maps from output to input coordinates in [-1, 1]: windows in or around the image.

    proportions (count,): height / width of images that were warped to a square, where windows shall have their shape in
    the image's own pixels; without them it is that in the square.
    """
    zoom = _draw(augmentation.zoom_from, augmentation.zoom_to, (count,), generator)
    place = _draw(-1, 1, (count, 2), generator)
    ratios = torch.ones(count) if proportions is None else proportions
    if augmentation.aspect != 1:
        most = math.log(augmentation.aspect)
        ratios = ratios * _draw(-most, most, (count,), generator).exp()
    sides = shape_windows(zoom, ratios)  # (count,2)
    shift = place * (1 - sides).abs()
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5 * augmentation.flip, -1.0, 1.0)
    # An affine map is [[scale x, 0, shift x], [0, scale y, shift y]]; a negative scale of x mirrors left and right.
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = sides[:, 0] * mirror, sides[:, 1], shift
    return theta


def _change_color(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    shape = (len(images), images.shape[1], 1, 1)
    gain = 1 + _draw(-augmentation.gain, augmentation.gain, shape, generator)
    offset = _draw(-augmentation.brightness, augmentation.brightness, (len(images), 1, 1, 1), generator)
    return (images * gain.to(images.device) + offset.to(images.device)).clamp(0, 1)


def _sample_at(theta: Tensor, images: Tensor, size: int) -> Tensor:
    return F.affine_grid(theta.to(images.device), [len(images), 3, size, size], align_corners=False)


def _look_through(images: Tensor, grid: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    seen = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return _change_color(seen, augmentation, generator)


def augment_images(
    images: Tensor,
    size: int,
    augmentation: Augmentation,
    generator: torch.Generator,
    proportions: Tensor | None = None,
) -> Tensor:
    """`augment` for images (B,3,H,W) alone: the same draws, (B,3,size,size); proportions as in `draw_windows`."""
    theta = draw_windows(augmentation, len(images), generator, proportions)
    return _look_through(images, _sample_at(theta, images, size), augmentation, generator)


def augment(
    images: Tensor, maps: Tensor, size: int, augmentation: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw one window, mirroring and color for each image; the map goes through the same window.

    images (B,3,H,W) in [0, 1] -> (B,3,size,size), bilinear, edges repeated. maps (B,H,W) integer -> (B,size,size),
    nearest, 255 outside the image. Draws come from `generator`, which is the CPU's, alone.
    """
    grid = _sample_at(draw_windows(augmentation, len(images), generator), images, size)  # (B,size,size,2)
    # Sampling pads with 0. Ids are shifted by 255 before and back after, so that outside becomes 255.
    shifted = maps[:, None].float() - IGNORE  # (B,1,H,W)
    moved = F.grid_sample(shifted, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return _look_through(images, grid, augmentation, generator), (moved[:, 0] + IGNORE).to(maps.dtype)
