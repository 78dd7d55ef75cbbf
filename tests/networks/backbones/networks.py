"""Random networks whose every number matters: normalizations and scales that are not neutral."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from weakseg.networks.layers.large_kernel import LargeKernel


def shaken(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network in evaluation mode, with random statistics, normalization weights and scales."""
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3, generator=generator)
            layer.running_var.uniform_(0.5, 1.5, generator=generator)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim != 4 and parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.2)
    return network.eval()


def images(count: int, size: int = 64, seed: int = 1) -> torch.Tensor:
    """Random images (count,3,size,size)."""
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference over the largest value."""
    return float((one - other).detach().abs().max() / other.detach().abs().max())


def merge(network: Any) -> Any:
    """Merge in place every large kernel of the network; equal in evaluation mode to about 1e-5."""
    for layer in list(network.modules()):
        if isinstance(layer, LargeKernel):
            layer.merge()
    return network
