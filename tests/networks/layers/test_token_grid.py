"""Tokens on grids and back, and layers on tokens as layers on grids."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from weakseg.networks.layers.token_grid import ChannelsLast, TokenBlock, to_grid, to_tokens


@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_tokens_come_back_and_each_lies_in_its_cell(prefix: int) -> None:
    tokens = torch.randn(2, prefix + 6, 4)
    grid = to_grid(tokens, prefix, (2, 3))
    assert grid.shape == (2, 4 * (1 + prefix), 2, 3) and torch.equal(to_tokens(grid, prefix), tokens)
    assert torch.equal(grid[:, :4, 1, 2], tokens[:, prefix + 5]), "row by row"
    for number in range(prefix):
        assert (grid[:, 4 + 4 * number : 8 + 4 * number] == tokens[:, number, :, None, None]).all()


def test_a_gradient_of_tokens_is_that_of_their_cells() -> None:
    tokens = torch.randn(1, 1 + 4, 3)
    grid = to_grid(tokens, 1, (2, 2)).requires_grad_()
    weights = torch.randn(1, 5, 3)
    (to_tokens(grid, 1) * weights).sum().backward()
    assert grid.grad is not None and torch.equal(grid.grad[:, :3], to_grid(weights, 1, (2, 2))[:, :3])
    assert torch.equal(grid.grad[:, 3:].sum((2, 3)), weights[:, 0])


@pytest.mark.parametrize("dropped", [False, True])
def test_a_layer_on_tokens_and_what_follows_it(dropped: bool) -> None:
    layer, norm, tokens = nn.Linear(3, 3), nn.LayerNorm(3), torch.randn(2, 1 + 4, 3)
    block = TokenBlock(layer, 1, norm)
    block.dropped = dropped
    expected = to_grid(norm(layer(tokens)), 1, (2, 2))
    assert torch.equal(block(to_grid(tokens, 1, (2, 2))), expected[:, :3] if dropped else expected)


def test_a_layer_that_keeps_channels_last() -> None:
    layer, images = nn.Linear(3, 5), torch.randn(2, 3, 4, 6)
    wanted = torch.einsum("oc,bchw->bohw", layer.weight, images) + layer.bias[:, None, None]
    torch.testing.assert_close(ChannelsLast(layer)(images), wanted)
