"""Normalizations that torch has for another order of dimensions."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of each cell: (B,C,h,w) -> (B,C,h,w)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,C,h,w), per cell (x - mean_c x) / sqrt(var_c x + eps) * weight + bias."""
        cells = inputs.permute(0, 2, 3, 1)
        return F.layer_norm(cells, self.normalized_shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


class CellBatchNorm(nn.BatchNorm2d):
    """BatchNorm over all cells of a batch, for channels in the last dimension: (B,h,w,C) -> (B,h,w,C)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """(B,h,w,C) -> (B,h,w,C)."""
        return super().forward(inputs.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
