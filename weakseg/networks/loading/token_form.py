"""How timm lays out features, as grids of cells and back.

Ross Wightman, "PyTorch Image Models", 2019, https://github.com/huggingface/pytorch-image-models
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from weakseg.networks.layers.token_grid import to_grid, to_tokens


@dataclass(frozen=True)
class Form:
    """How a network lays out its features: `cells` (B,C,h,w), `last` (B,h,w,C) or `tokens` (B,P+hw,C) with P `prefix`.

    dropped: the prefix is not there any more, and nothing reads it: zeros stand for it.
    """

    kind: str
    prefix: int = 0
    dropped: bool = False

    def grid(self, features: Tensor, shape: tuple[int, int]) -> Tensor:
        """The network's features as a grid (B,C(1+P),h,w)."""
        if self.kind == "tokens":
            return to_grid(features, self.prefix, shape)
        return features.permute(0, 3, 1, 2) if self.kind == "last" else features

    def own(self, grid: Tensor) -> Tensor:
        """A grid as the network lays it out."""
        if self.kind == "last":
            return grid.permute(0, 2, 3, 1)
        if self.kind == "cells":
            return grid
        if not self.dropped:
            return to_tokens(grid, self.prefix)
        tokens = to_tokens(grid, 0)
        return torch.cat([tokens.new_zeros(len(tokens), self.prefix, tokens.shape[2]), tokens], 1)


CELLS = Form("cells")


def find_form(features: Tensor, prefix: int, side: int, stride: int) -> Form | None:
    """The form of a square image's features; None where they are no grid.

    Where the sides of a grid and the channels are equal in number, channels come first.
    """
    cells = -(-side // stride)
    if features.ndim == 4 and features.shape[2] == features.shape[3]:
        return Form("cells")
    if features.ndim == 4 and features.shape[1] == features.shape[2]:
        return Form("last")
    if features.ndim == 3 and features.shape[1] == prefix + cells * cells:
        return Form("tokens", prefix)
    return None


class Whole(nn.Module):
    """All of a network before its head as one level: images (B,3,H,W) -> a grid (B,C(1+P),h,w).

    dropped: the grid has no channels of other tokens, which nothing reads.
    """

    def __init__(self, network: nn.Module, form: Form, stride: int) -> None:
        super().__init__()
        self.network, self.form, self.stride = network, form, stride
        self.dropped = False

    def forward(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,C(1+P),h,w), or (B,C,h,w) where the other tokens are dropped."""
        shape = (-(-images.shape[-2] // self.stride), -(-images.shape[-1] // self.stride))
        grid = self.form.grid(self.network.forward_features(images), shape)  # type: ignore[operator]
        return grid[:, : grid.shape[1] // (1 + self.form.prefix)] if self.dropped else grid
