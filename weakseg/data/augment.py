"""Joint augmentation of images and their pixel maps: zoom, flip and color, a whole batch in one sampling.

Windows of other shapes than a square follow the random resized crop of C. Szegedy et al., "Going Deeper with
Convolutions", 2014, arXiv 1409.4842. Differs from the paper: the side is drawn uniformly, not the area, and a shape
that does not fit into the image is brought nearer to the image's own instead of being drawn again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from weakseg.artifacts.formats.masks import IGNORE
from weakseg.data.augmentation import Augmentation
from weakseg.harness.device import send


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


@dataclass(frozen=True)
class Draws:
    """What is drawn for the images of a batch: windows (B,2,3), gains (B,3,1,1) and offsets (B,1,1,1) of colors."""

    windows: Tensor
    gains: Tensor
    offsets: Tensor

    def __getitem__(self, rows: slice) -> Draws:
        """Those of some images."""
        return Draws(self.windows[rows], self.gains[rows], self.offsets[rows])


def draw(
    augmentation: Augmentation, count: int, generator: torch.Generator, proportions: Tensor | None = None
) -> Draws:
    """One window, mirroring and color for each of `count` images; proportions as in `draw_windows`.

    Draws come from `generator`, which is the CPU's, alone. Of processes that work together each draws for the whole
    batch, and takes what is for its share.
    """
    windows = draw_windows(augmentation, count, generator, proportions)
    gains = 1 + _draw(-augmentation.gain, augmentation.gain, (count, 3, 1, 1), generator)
    offsets = _draw(-augmentation.brightness, augmentation.brightness, (count, 1, 1, 1), generator)
    return Draws(windows, gains, offsets)


def _sample_at(draws: Draws, images: Tensor, size: int) -> Tensor:
    return F.affine_grid(send(draws.windows, images.device), [len(images), 3, size, size], align_corners=False)


def _look_through(images: Tensor, grid: Tensor, draws: Draws) -> Tensor:
    seen = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return (seen * send(draws.gains, seen.device) + send(draws.offsets, seen.device)).clamp(0, 1)


def augment_images(images: Tensor, size: int, draws: Draws) -> Tensor:
    """`augment` for images (B,3,H,W) alone: (B,3,size,size)."""
    return _look_through(images, _sample_at(draws, images, size), draws)


def augment(images: Tensor, maps: Tensor, size: int, draws: Draws) -> tuple[Tensor, Tensor]:
    """Images in the window and colors that were drawn for each; the map goes through the same window.

    images (B,3,H,W) in [0, 1] -> (B,3,size,size), bilinear, edges repeated. maps (B,H,W) integer -> (B,size,size),
    nearest, 255 outside the image.
    """
    grid = _sample_at(draws, images, size)  # (B,size,size,2)
    # Sampling pads with 0. Ids are shifted by 255 before and back after, so that outside becomes 255.
    shifted = maps[:, None].float() - IGNORE  # (B,1,H,W)
    moved = F.grid_sample(shifted, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return _look_through(images, grid, draws), (moved[:, 0] + IGNORE).to(maps.dtype)
