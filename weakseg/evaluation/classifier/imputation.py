"""Removed pixels filled from their neighbors, so that a network sees no holes.

Rong, Leemann, Borisov, Kasneci, Kasneci, "A consistent and efficient evaluation strategy for attribution methods"
(2022), arXiv 2202.00449.
Differs from the paper: the noisy linear imputation is solved by conjugate gradients from a coarse guess, a batch at
once; the noise is left to the caller.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from weakseg.cams import arithmetic

TOLERANCE = 1e-3  # of the linear system, relative to its right side; below the noise that is added
ROUNDS = 400


def neighbor_kernel(images: Tensor) -> Tensor:
    """(3,1,3,3) weights of a pixel's neighbors: 1/6 beside, above and below, 1/12 on the diagonals."""
    rows = [[1 / 12, 1 / 6, 1 / 12], [1 / 6, 0, 1 / 6], [1 / 12, 1 / 6, 1 / 12]]
    return images.new_tensor(rows).expand(images.shape[1], 1, 3, 3)


def coarse_fill(images: Tensor, kept: Tensor) -> Tensor:
    """First guess at the pixels not kept (B,1,H,W): means of the kept ones in ever larger blocks."""
    if kept.all() or min(images.shape[-2:]) == 1:
        mean = (images * kept).sum((2, 3), keepdim=True) / kept.sum((2, 3), keepdim=True).clamp(min=1)
        return torch.where(kept, images, mean)
    count = functional.avg_pool2d(kept.to(images), 2, ceil_mode=True)
    means = functional.avg_pool2d(images * kept, 2, ceil_mode=True) / count.where(count > 0, 1)
    coarse = coarse_fill(means, count > 0)
    return torch.where(kept, images, arithmetic.resize(coarse, images.shape[-2:]))


def impute(images: Tensor, kept: Tensor) -> Tensor:
    """Replace the pixels not kept (B,1,H,W) of images (B,3,H,W) by the weighted mean of their eight neighbors.

    ROAD's sparse linear system without its noise, for a batch at once by conjugate gradients; an image that has
    converged stands still, so that none depends on its batch mates. At least one pixel of each image must be kept.
    """
    kernel, unknown = neighbor_kernel(images), ~kept
    degree = functional.conv2d(torch.ones_like(images), kernel, padding=1, groups=images.shape[1])

    def residual_of(values: Tensor) -> Tensor:
        """By how much each unknown pixel falls short of its neighbors' mean, times its degree."""
        spread = functional.conv2d(values, kernel, padding=1, groups=images.shape[1])
        return (spread - degree * values) * unknown

    # conjugate gradients on A x = b: residual = b - A x, -residual_of(direction) = A direction on the unknown pixels
    filled = coarse_fill(images, kept)
    residual = residual_of(filled)
    size = _sum_squares(residual_of(images * kept))  # |b|^2, (B,1,1,1)
    direction, power = residual, _sum_squares(residual)
    for _ in range(ROUNDS):
        active = power > TOLERANCE**2 * size  # (B,1,1,1), the images that have not converged
        if not active.any():
            break
        image = -residual_of(direction)
        along = (direction * image).sum((1, 2, 3), keepdim=True)
        step = torch.where(active, power / along.where(active, 1), 0)
        filled = filled + step * direction
        residual = residual - step * image
        fresh = _sum_squares(residual)
        direction = residual + fresh / power.where(active, 1) * direction
        power = torch.where(active, fresh, power)
    return filled


def _sum_squares(values: Tensor) -> Tensor:
    """Sum of squares (B,1,1,1) of each image (B,3,H,W)."""
    return values.square().sum((1, 2, 3), keepdim=True)
