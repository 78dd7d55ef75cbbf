"""A convolutional network of timm split into the levels and the head of a `Classifier`, which computes the same.

Ross Wightman, "PyTorch Image Models", 2019, https://github.com/huggingface/pytorch-image-models
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from weakseg.errors import UserError
from weakseg.networks.classifier import Classifier, PooledHead

# Levels of the families: each row is one level, a name ending in * is opened into one level per child.
LAYOUTS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("conv_stem", "bn1"), ("blocks*",), ("conv_head", "bn2")),
    (("conv_stem", "bn1"), ("blocks*",)),
    (("conv1", "bn1", "act1", "maxpool"), ("layer1",), ("layer2",), ("layer3",), ("layer4",)),
    (("stem",), ("stages*",), ("norm_pre",)),
    (("stem",), ("s1",), ("s2",), ("s3",), ("s4",), ("final_conv",)),
    (("stem",), ("stages*",), ("final_conv",)),
    (("stem",), ("stages*",)),
    (("features*",),),
)
PROBE_SIZE = 96
TOLERANCE = 1e-5


class TimmNetwork(nn.Module):
    """What every network of timm offers, for the type checker: none is built from this class."""

    num_features: int
    feature_info: list[dict[str, Any]]
    pretrained_cfg: dict[str, Any]
    forward_features: Callable[[Tensor], Tensor]
    forward_head: Callable[[Tensor], Tensor]
    get_classifier: Callable[[], nn.Module]


class Forward(nn.Module):
    """One method of a timm network as a module: `forward_features` as a block, or `forward_head` as a head."""

    def __init__(self, network: nn.Module, method: str) -> None:
        super().__init__()
        self.network = network
        self.method = method

    def forward(self, inputs: Tensor) -> Tensor:
        """(B,...) -> what the method returns."""
        return getattr(self.network, self.method)(inputs)


def split(network: TimmNetwork, mean: tuple[float, ...], std: tuple[float, ...]) -> Classifier:
    """Split a timm network into a Classifier that computes the same logits.

    A split is taken only where it reproduces `forward_features` (and `forward_head`) on a random image; a network of
    unknown layout becomes one block, a head that is no linear layer on pooled features stays timm's.
    UserError: the network has no feature map (B,C,h,w).
    """
    training = network.training
    network.eval()
    with torch.no_grad():
        blocks, head = prove_split(network)
    stride = network.feature_info[-1]["reduction"]
    return Classifier(blocks, head, stride, mean, std).train(training)


def prove_split(network: TimmNetwork) -> tuple[nn.Sequential, nn.Module]:
    """Blocks and head of a network in evaluation mode, each proved on random numbers."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(1, 3, PROBE_SIZE, PROBE_SIZE, generator=generator)
    features = network.forward_features(images)
    if not isinstance(features, Tensor) or features.ndim != 4 or features.shape[1] != network.num_features:
        raise UserError(f"{type(network).__name__} is not a convolutional network: it has no feature map (B,C,h,w)")
    features = torch.rand(features.shape, generator=generator)
    blocks = find_levels(network, images)
    # The head before the blocks: to make one block of all drops the network's head.
    head = find_head(network, features)
    if blocks is None:
        whole = drop_others(network, find_called(network, "forward_features", images))
        blocks = nn.Sequential(Forward(whole, "forward_features"))
    return blocks, head


def find_levels(network: TimmNetwork, images: Tensor) -> nn.Sequential | None:
    """The first layout of the network that gives its features on the images, None where there is none."""
    candidates = (open_levels(network, layout) for layout in LAYOUTS)
    return next((c for c in candidates if c is not None and agree(c, network.forward_features, images)), None)


def open_levels(network: nn.Module, layout: tuple[tuple[str, ...], ...]) -> nn.Sequential | None:
    """The network's children in the levels of `layout`; None if it lacks one of them."""
    blocks: list[nn.Module] = []
    for names in layout:
        children = [getattr(network, name.rstrip("*"), None) for name in names]
        parts = [child for child in children if isinstance(child, nn.Module)]
        if len(parts) < len(names):
            return None
        if names[0].endswith("*"):
            blocks.extend(parts[0].children())
        elif not all(isinstance(part, nn.Identity) for part in parts):
            blocks.append(nn.Sequential(*parts) if len(parts) > 1 else parts[0])
    return nn.Sequential(*blocks)


def find_head(network: TimmNetwork, features: Tensor) -> nn.Module:
    """The network's head on features (B,C,h,w): a PooledHead where one gives the same logits, else timm's own."""
    head = build_pooled_head(network, features.shape[1])
    if head is not None and agree(head, network.forward_head, features):
        return head
    own = drop_others(copy.deepcopy(network), find_called(network, "forward_head", features))
    return Forward(own, "forward_head")


def build_pooled_head(network: TimmNetwork, channels: int) -> PooledHead | None:
    """The pooled head the network's head may be: its last linear layer, after the LayerNorm of its head if any."""
    from timm.layers import LayerNorm2d

    linear = network.get_classifier()
    if not isinstance(linear, nn.Linear) or linear.in_features != channels:
        return None
    norm = getattr(getattr(network, "head", None), "norm", None)
    if isinstance(norm, LayerNorm2d):
        head = PooledHead(channels, linear.out_features, "layernorm", norm.eps)
        head.norm.load_state_dict(norm.state_dict())
    else:
        head = PooledHead(channels, linear.out_features)
    head.linear.load_state_dict(linear.state_dict())
    return head.eval()


def agree(one: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor], inputs: Tensor) -> bool:
    """Whether two modules give the same output (relative 1e-5) on the inputs."""
    try:
        first, second = one(inputs), other(inputs)
    except (RuntimeError, TypeError, AttributeError):
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


def drop_others(network: nn.Module, kept: set[str]) -> nn.Module:
    """The network without its parametric children but those `kept`, in place."""
    for name, child in list(network.named_children()):
        if name not in kept and any(True for _ in child.parameters()):
            setattr(network, name, nn.Identity())
    return network
