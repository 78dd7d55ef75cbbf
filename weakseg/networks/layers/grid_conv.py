"""A depthwise convolution, as a matrix where its kernel is larger than the grid: there several times faster."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def list_windows(kernels: Tensor, height: int, width: int) -> Tensor:
    """(C,1,k,l), k and l odd -> (C,hw,hw): how much each input cell of a grid (row) adds to each output cell (column).

    An output cell (y, x) weighs input cell (v, u) by kernel[v - y + k//2, u - x + l//2], zero outside the kernel: the
    weights of one output cell are a window of the kernel as large as the grid.
    """
    rows, columns = height - 1 - kernels.shape[2] // 2, width - 1 - kernels.shape[3] // 2
    padded = F.pad(kernels, (columns, columns, rows, rows))  # (C,1,2h-1,2w-1); negative: cut
    return F.unfold(padded, (height, width)).flip(2)  # the window at the far end belongs to cell (0, 0)


class GridConv2d(nn.Conv2d):
    """`nn.Conv2d`, depthwise, stride 1, padded to keep the size, without bias; equal to it but for rounding."""

    def forward(self, inputs: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,C,h,w)."""
        height, width = inputs.shape[-2:]
        if self.kernel_size[0] <= height or self.kernel_size[1] <= width:
            return super().forward(inputs)
        cells = inputs.flatten(2).transpose(0, 1)  # (C,B,hw)
        joined = cells @ list_windows(self.weight, height, width)  # (C,B,hw)
        return joined.transpose(0, 1).unflatten(2, (height, width))
