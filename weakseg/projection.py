"""Principal axes of feature vectors, so that features can be stored with few channels.

Pearson, "On lines and planes of closest fit to systems of points in space" (1901).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Projection:
    """Mean (C,) and orthonormal axes (C,D) of cells' feature vectors."""

    mean: Tensor
    axes: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,D,h,w): coordinates along the axes, largest variance first."""
        table = (features - self.mean[:, None, None].to(features)).flatten(2)
        return (self.axes.T.to(features) @ table).unflatten(-1, features.shape[-2:])


class Moments:
    """Streaming mean and covariance of cells, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.total = torch.zeros(())
        self.square = torch.zeros(())

    def add(self, features: Tensor) -> None:
        """Add the cells of features (B,C,h,w)."""
        table = features.movedim(1, -1).flatten(0, -2).double().cpu()
        self.count += len(table)
        self.total = self.total + table.sum(0)
        self.square = self.square + table.T @ table

    def principal(self, channels: int) -> Projection:
        """The `channels` axes of largest variance; an axis's largest entry is positive, which fixes its sign."""
        mean = self.total / self.count
        _, vectors = torch.linalg.eigh(self.square / self.count - torch.outer(mean, mean))
        axes = vectors.flip(1)[:, :channels]
        peaks = axes.gather(0, axes.abs().argmax(0, keepdim=True))
        return Projection(mean, axes * peaks.sign())
