"""Tokens of a transformer as the cells of a grid, and its layers as layers on grids.

A grid is (B,C,h,w). Tokens of no cell (class, distillation, register tokens), P of them, ride along as P further groups
of C channels, each the same in every cell: (B,C(1+P),h,w), so that what follows is a function of the grid alone.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def to_grid(tokens: Tensor, prefix: int, shape: tuple[int, int]) -> Tensor:
    """Tokens (B,P+hw,C), the P of no cell first, as a grid (B,C(1+P),h,w)."""
    cells = tokens[:, prefix:].transpose(1, 2).unflatten(2, shape)  # (B,hw,C) -> (B,C,h,w)
    if not prefix:
        return cells
    others = tokens[:, :prefix].flatten(1)[:, :, None, None]  # (B,P,C) -> (B,PC,1,1)
    return torch.cat([cells, others.expand(-1, -1, *shape)], 1)


def to_tokens(grid: Tensor, prefix: int) -> Tensor:
    """The tokens (B,P+hw,C) of a grid (B,C(1+P),h,w)."""
    channels = grid.shape[1] // (1 + prefix)
    cells = grid[:, :channels].flatten(2).transpose(1, 2)  # (B,C,h,w) -> (B,hw,C)
    if not prefix:
        return cells
    others = grid[:, channels:, 0, 0].unflatten(1, (prefix, channels))  # (B,PC) -> (B,P,C)
    return torch.cat([others, cells], 1)


class TokenEmbed(nn.Module):
    """Images (B,3,H,W) as a grid of tokens; `embed` gives the tokens, `size` the grid's (h, w) of an image's (H, W)."""

    def __init__(
        self,
        network: nn.Module,
        embed: Callable[[nn.Module, Tensor], Tensor],
        size: Callable[[nn.Module, tuple[int, int]], tuple[int, int]],
        prefix: int,
    ) -> None:
        super().__init__()
        self.network, self.embed, self.size, self.prefix = network, embed, size, prefix

    def forward(self, images: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,C(1+P),h,w)."""
        shape = self.size(self.network, (images.shape[-2], images.shape[-1]))
        return to_grid(self.embed(self.network, images), self.prefix, shape)


class TokenBlock(nn.Module):
    """A layer on tokens as one on grids; `after` follows it, `context` gives what else the layer is told of a grid.

    dropped: the grid that leaves has no channels of other tokens, which nothing reads any more.
    """

    def __init__(
        self, layer: nn.Module, prefix: int, after: nn.Module | None = None, context: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.layer, self.prefix, self.context = layer, prefix, context
        self.after = nn.Identity() if after is None else after
        self.dropped = False

    def forward(self, grid: Tensor) -> Tensor:
        """(B,C(1+P),h,w) -> the same shape, or (B,C,h,w) where the other tokens are dropped."""
        shape = (grid.shape[-2], grid.shape[-1])
        told = {} if self.context is None else self.context(shape)
        tokens = self.after(self.layer(to_tokens(grid, self.prefix), **told))
        if self.dropped:
            return to_grid(tokens[:, self.prefix :], 0, shape)
        return to_grid(tokens, self.prefix, shape)


class Rotary(nn.Module):
    """Rotary position embedding of a grid, as the argument `rope` of block `number`; `mixed`: one for each block."""

    def __init__(self, rope: nn.Module, number: int, mixed: bool) -> None:
        super().__init__()
        self.rope, self.number, self.mixed = rope, number, mixed

    def forward(self, shape: tuple[int, int]) -> dict[str, Tensor]:
        """What block `number` is told of a grid (h, w)."""
        embedding = self.rope.get_embed(shape=shape)  # type: ignore[operator]
        return {"rope": embedding[self.number] if self.mixed else embedding}


class SharedBias(nn.Module):
    """Relative position bias that all blocks share, as their argument `shared_rel_pos_bias`."""

    def __init__(self, bias: nn.Module) -> None:
        super().__init__()
        self.bias = bias

    def forward(self, shape: tuple[int, int]) -> dict[str, Tensor]:
        """What a block is told of any grid."""
        return {"shared_rel_pos_bias": self.bias()}


class ChannelsLast(nn.Module):
    """Layers that keep channels last as one on grids; `embeds`: what enters are images (B,3,H,W)."""

    def __init__(self, *layers: nn.Module, embeds: bool = False) -> None:
        super().__init__()
        self.layers, self.embeds = nn.Sequential(*layers), embeds

    def forward(self, inputs: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,C',h',w')."""
        return self.layers(inputs if self.embeds else inputs.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
