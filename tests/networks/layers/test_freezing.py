"""What is frozen stays as it is."""

from __future__ import annotations

import copy

import torch
from torch import nn

from weakseg.networks.layers.freezing import Freezable


class Chain(Freezable):
    """Three layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2), nn.BatchNorm1d(2))


def step(chain: Chain) -> list[bool]:
    """Train on one batch; of each layer whether its running mean moved, and whether its weight did."""
    before = copy.deepcopy(chain.state_dict())
    weights = [weight for weight in chain.parameters() if weight.requires_grad]
    images = torch.tensor([[1.0, 5.0], [4.0, -3.0], [9.0, 2.0]])
    torch.stack([layer(images).square().sum() for layer in chain.layers]).sum().backward()
    torch.optim.SGD(weights, 0.1).step()
    after = chain.state_dict()
    names = [f"layers.{number}.{name}" for number in range(3) for name in ("running_mean", "weight")]
    return [not torch.equal(before[name], after[name]) for name in names]


def test_frozen_parts_keep_weights_and_statistics_and_still_parts_their_statistics_alone() -> None:
    chain = Chain()
    chain.hold([chain.layers[0]], still=[chain.layers[1]])
    assert step(chain.eval().train()) == [False, False, False, True, True, True]


def test_holding_again_replaces_what_was_still() -> None:
    chain = Chain()
    chain.hold([], still=chain.layers)
    chain.hold([])
    assert step(chain) == [True] * 6


def test_a_copy_holds_its_own_parts() -> None:
    chain = Chain()
    chain.hold([chain.layers[0]])
    other = copy.deepcopy(chain).eval()
    assert other.train().training and not other.layers[0].training
    assert step(other) == [False, False, True, True, True, True]
