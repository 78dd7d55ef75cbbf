"""The effective receptive field: which pixels a network's output depends on, how many, and in what shape.

Wenjie Luo, Yujia Li, Raquel Urtasun, Richard Zemel, "Understanding the Effective Receptive Field in Deep
Convolutional Neural Networks", 2016, arXiv 1701.04128; area ratios as in Xiaohan Ding, Xiangyu Zhang, Jungong
Han, Guiguang Ding, "Scaling Up Your Kernels to 31x31", 2022, arXiv 2203.06717.
Differs from the paper: area ratios are also taken of the plain mass, which does not depend on the scale of the
gradient as the logarithm does, and a square may have one pixel; class saliency is the gradient of the logit, not of
a probability.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

SHARES = (0.2, 0.3, 0.5, 0.99)


def central_gradient(features: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """How much the central unit responds to each pixel: (B, H, W) from images (B, 3, H, W).

    ReLU of the gradient of sum_c ReLU(F[:, c, h//2, w//2]) with respect to the image, summed over its colors.
    """
    images = images.detach().requires_grad_()
    output = features(images)
    unit = output[:, :, output.shape[2] // 2, output.shape[3] // 2].relu().sum()
    (gradient,) = torch.autograd.grad(unit, images)
    return gradient.relu().sum(dim=1)


def class_saliency(logits: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """How much the largest logit depends on each pixel: (B, H, W), mean over colors of the gradient's magnitude."""
    images = images.detach().requires_grad_()
    top = logits(images).max(dim=1).values.sum()
    (gradient,) = torch.autograd.grad(top, images)
    return gradient.abs().mean(dim=1)


def square_sides(field: np.ndarray, shares: tuple[float, ...] = SHARES) -> list[int]:
    """Side in pixels of the smallest odd square about the pixel (H//2, W//2) that holds more than each share.

    field (H, W) >= 0; a square that leaves the image counts what is inside. A field of zeros has sides 0.
    """
    height, width = field.shape
    rows, columns = np.abs(np.arange(height) - height // 2), np.abs(np.arange(width) - width // 2)
    mass = np.bincount(np.maximum(rows[:, None], columns).ravel(), weights=field.ravel().astype(float)).cumsum()
    if mass[-1] <= 0:
        return [0 for _ in shares]
    return [2 * int(np.argmax(mass / mass[-1] > share)) + 1 for share in shares]


def area_ratios(field: np.ndarray, shares: tuple[float, ...] = SHARES) -> list[float]:
    """Area of the squares of `square_sides`, cut to the image, over the area of the image, in [0, 1]."""
    height, width = field.shape
    return [min(side, height) * min(side, width) / (height * width) for side in square_sides(field, shares)]


def smallest_areas(maps: np.ndarray, share: float) -> np.ndarray:
    """Fewest pixels (B,) whose values reach `share` of the sum of each map (B, H, W) >= 0; 0 for a map of zeros."""
    flat = np.sort(maps.reshape(len(maps), -1).astype(float), axis=1)[:, ::-1].cumsum(axis=1)
    total = flat[:, -1:]
    counts = (flat < share * total * (1 - 1e-12)).sum(axis=1) + 1
    return np.where(total[:, 0] > 0, counts, 0)


def center_of_mass(field: np.ndarray) -> tuple[float, float]:
    """Row and column of the center of mass of a field (H, W) >= 0, pixel centers at whole numbers; NaN for zeros."""
    if field.sum() <= 0:
        return float("nan"), float("nan")
    rows, columns = field.sum(axis=1, dtype=float), field.sum(axis=0, dtype=float)
    return float(np.arange(len(rows)) @ rows / rows.sum()), float(np.arange(len(columns)) @ columns / columns.sum())


def unit_offset(field: np.ndarray, cells: tuple[int, int]) -> tuple[float, float]:
    """How far, in pixels down and right, the central unit of h x w cells looks past the place its cell is drawn at.

    field (H, W) is the unit's; a map resized to the image draws cell (h//2, w//2) about ((h//2 + 0.5) H / h, ...).
    Strided layers that pad both sides alike look up and left of it (negative), TensorFlow's padding down and right.
    A field of zeros has offsets 0.
    """
    offsets = []
    for center, side, count in zip(center_of_mass(field), field.shape, cells, strict=True):
        offsets.append(center + 0.5 - (count // 2 + 0.5) * side / count)
    return (0.0, 0.0) if field.sum() <= 0 else (offsets[0], offsets[1])


def shape(field: np.ndarray) -> dict[str, float]:
    """Anisotropy and cross-ness of a field (H, W) >= 0 about its center of mass, from its angular harmonics.

    With m the mass at distance r and angle a: anisotropy |sum m r^2 exp(2ia)| / sum m r^2 in [0, 1], 0 for a field as
    wide as it is high and 1 for a line; cross-ness sum m r^2 cos(4a) / sum m r^2 in [-1, 1], 1 for a cross along the
    axes, 0 for a disk, -1 for a cross along the diagonals. A field of zeros or of one pixel has both 0.
    """
    field = field.astype(float)
    if field.sum() <= 0:
        return {"anisotropy": 0.0, "crossness": 0.0}
    y, x = (axis - middle for axis, middle in zip(np.indices(field.shape), center_of_mass(field), strict=True))
    square = x**2 + y**2
    spread = (field * square).sum()
    if spread <= 1e-12 * field.sum():
        return {"anisotropy": 0.0, "crossness": 0.0}
    double = np.abs((field * (x + 1j * y) ** 2).sum()) / spread
    fourfold = (field * np.divide(((x + 1j * y) ** 4).real, square, out=np.zeros_like(square), where=square > 0)).sum()
    return {"anisotropy": float(double), "crossness": float(fourfold / spread)}


class MeanField:
    """Streaming mean (H, W) of fields (B, H, W), in float64."""

    def __init__(self) -> None:
        self.total: np.ndarray | float = 0.0
        self.images = 0

    def add(self, fields: np.ndarray) -> None:
        """Add a batch."""
        self.total = self.total + fields.astype(float).sum(axis=0)
        self.images += len(fields)

    def result(self) -> np.ndarray:
        """The mean; ValueError before the first batch."""
        if self.images == 0:
            raise ValueError("no field was added")
        return np.asarray(self.total / self.images)
