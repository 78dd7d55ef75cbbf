"""What every network of timm offers, what its methods call, and whether two modules compute the same.

Ross Wightman, "PyTorch Image Models", 2019, https://github.com/huggingface/pytorch-image-models
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

TOLERANCE = 1e-5


class TimmNetwork(nn.Module):
    """What every network of timm offers, for the type checker: none is built from this class."""

    num_features: int
    feature_info: list[dict[str, Any]]
    pretrained_cfg: dict[str, Any]
    forward_features: Callable[[Tensor], Tensor]
    forward_head: Callable[..., Tensor]
    get_classifier: Callable[[], nn.Module]


def draw(*shape: int) -> Tensor:
    """Random numbers, the same at every call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def agree(one: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor], inputs: Tensor) -> bool:
    """Whether two modules give the same output (relative 1e-5) on the inputs."""
    try:
        first, second = one(inputs), other(inputs)
    except (RuntimeError, TypeError, AttributeError, AssertionError, ValueError):
        return False
    if first.shape != second.shape:
        return False
    return torch.allclose(first, second, TOLERANCE, TOLERANCE * float(second.abs().max()))


def find_called(network: nn.Module, method: str, inputs: Tensor) -> set[str]:
    """Names of the network's children that a method calls (or whose descendants it calls)."""
    called: set[str] = set()
    handles = [
        module.register_forward_pre_hook(lambda *_, child=name: called.add(child))
        for name, branch in network.named_children()
        for module in branch.modules()
    ]
    getattr(network, method)(inputs)
    for handle in handles:
        handle.remove()
    return called


def keep(network: nn.Module, names: set[str], weights: bool = True) -> nn.Module:
    """A copy of a network whose children with weights are those named alone; weights are shared, not copied.

    weights: it keeps those that belong to no child, too.
    """
    kept = copy.copy(network)
    kept._modules = {
        name: nn.Identity()
        if child is not None and name not in names and any(True for _ in child.parameters())
        else child
        for name, child in network._modules.items()
    }
    if not weights:
        kept._parameters = dict.fromkeys(network._parameters)
    return kept
