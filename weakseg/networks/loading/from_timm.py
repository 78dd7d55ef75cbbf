"""Any convolutional network of timm behind the `Classifier` contract: its levels split, its pooled head recognized.

Ross Wightman, "PyTorch Image Models", 2019, https://github.com/huggingface/pytorch-image-models
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable
from typing import Any

import timm
import torch
from timm.layers import LayerNorm2d
from timm.models.efficientnet import EfficientNet, decode_arch_def
from torch import Tensor, nn

from weakseg.errors import UserError
from weakseg.networks.classifier import IMAGENET_MEAN, IMAGENET_STD, Classifier, PooledHead
from weakseg.networks.loading import checkpoints

# Levels of the families: each row is one level, a name ending in * is opened into one level per child.
LAYOUTS = (
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


class Forward(nn.Module):
    """One method of a timm network as a module: `forward_features` as a block, or `forward_head` as a head."""

    def __init__(self, network: nn.Module, method: str) -> None:
        super().__init__()
        self.network = network
        self.method = method

    def forward(self, inputs: Tensor) -> Tensor:
        """(B,...) -> what the method returns."""
        return getattr(self.network, self.method)(inputs)


def levels(network: nn.Module, layout: tuple[tuple[str, ...], ...]) -> nn.Sequential | None:
    """The network's children in the levels of `layout`; None if it lacks one of them."""
    blocks: list[nn.Module] = []
    for names in layout:
        parts = [getattr(network, name.rstrip("*"), None) for name in names]
        if not all(isinstance(part, nn.Module) for part in parts):
            return None
        if names[0].endswith("*"):
            blocks.extend(parts[0].children())
        elif not all(isinstance(part, nn.Identity) for part in parts):
            blocks.append(nn.Sequential(*parts) if len(parts) > 1 else parts[0])
    return nn.Sequential(*blocks)


def agree(one: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor], inputs: Tensor) -> bool:
    """Whether two modules give the same output (relative 1e-5) on the inputs."""
    try:
        first, second = one(inputs), other(inputs)
    except (RuntimeError, TypeError, AttributeError):
        return False
    return first.shape == second.shape and torch.allclose(
        first, second, TOLERANCE, TOLERANCE * float(second.abs().max())
    )


def used(network: nn.Module, method: str, inputs: Tensor) -> set[str]:
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


def keep(network: nn.Module, children: set[str]) -> nn.Module:
    """The network without its other parametric children."""
    for name, child in list(network.named_children()):
        if name not in children and any(True for _ in child.parameters()):
            setattr(network, name, nn.Identity())
    return network


def pooled_head(network: nn.Module, channels: int) -> PooledHead | None:
    """The pooled head the network's head may be: its last linear layer, after the LayerNorm of its head if any."""
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


def classifier(network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> Classifier:
    """Split a timm network into a Classifier that computes the same logits.

    A split is taken only where it reproduces `forward_features` (and `forward_head`) on a random image; a network of
    unknown layout becomes one block, a head that is no linear layer on pooled features stays timm's.
    UserError: the network has no feature map (B,C,h,w).
    """
    training = network.training
    network.eval()
    with torch.no_grad():
        blocks, head = split(network)
    stride = network.feature_info[-1]["reduction"]
    return Classifier(blocks, head, stride, mean, std).train(training)


def split(network: nn.Module) -> tuple[nn.Sequential, nn.Module]:
    """Blocks and head of a network in evaluation mode, each proved on random numbers."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(1, 3, PROBE_SIZE, PROBE_SIZE, generator=generator)
    features = network.forward_features(images)
    if not isinstance(features, Tensor) or features.ndim != 4 or features.shape[1] != network.num_features:
        raise UserError(f"{type(network).__name__} is not a convolutional network: it has no feature map (B,C,h,w)")
    candidates = (levels(network, layout) for layout in LAYOUTS)
    blocks = next((c for c in candidates if c is not None and agree(c, network.forward_features, images)), None)
    features = torch.rand(features.shape, generator=generator)
    head: nn.Module | None = pooled_head(network, features.shape[1])
    if head is None or not agree(head, network.forward_head, features):
        head = Forward(keep(copy.deepcopy(network), used(network, "forward_head", features)), "forward_head")
    if blocks is None:
        kept = keep(network, used(network, "forward_features", images))
        blocks = nn.Sequential(Forward(kept, "forward_features"))
    return blocks, head


def efficient(classes: int, architecture: tuple[str, ...], **options: Any) -> nn.Module:
    """A network of the EfficientNet / MobileNet family that has no name in timm, one block string per level."""
    return EfficientNet(decode_arch_def([[block] for block in architecture]), num_classes=classes, **options)


def create(name: str, classes: int, pretrained: bool, options: dict[str, Any]) -> nn.Module:
    """timm's network by name. UserError: no such network, no pretrained weights, or they cannot be downloaded."""
    if "architecture" in options:
        if pretrained:
            raise UserError(f"'{name}' has no pretrained weights: give a weight file or 'random'")
        return efficient(classes, **options)
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), 3, 0.4)
        raise UserError(f"timm has no network '{name}': close names are {', '.join(close) or 'none'}")
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=classes, **options)
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"pretrained weights of '{name}' cannot be had ({reason}):"
            " connect to the network, or give a weight file or 'random'"
        ) from error


def skeleton(
    name: str,
    classes: int,
    *,
    pretrained: bool = False,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    adapt: Callable[[nn.Module], nn.Module] | None = None,
    **options: Any,
) -> nn.Module:
    """The network of a variant before it is split, its keys as a weight file has them; `adapt` changes it."""
    network = create(name, classes, pretrained, options)
    return adapt(network) if adapt else network


def head_keys(network: nn.Module) -> tuple[str, ...]:
    """Prefixes of the keys that depend on the number of classes."""
    names = getattr(network, "pretrained_cfg", {}).get("classifier", "classifier")
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))


def build(
    name: str,
    classes: int,
    weights: str,
    *,
    convert: Callable[[checkpoints.State], checkpoints.State] | None = None,
    **options: Any,
) -> Classifier:
    """timm's network `name` with its options; weights `random`, `pretrained` or the path of a file in timm's keys.

    `convert` renames the keys of a file; the constants mean and std default to timm's for the network.
    """
    network = skeleton(name, classes, pretrained=weights == "pretrained", **options)
    if weights not in ("random", "pretrained"):
        checkpoints.load(network, weights, head_keys(network), convert)
    constants = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD, **getattr(network, "pretrained_cfg", {}), **options}
    return classifier(network, tuple(constants["mean"]), tuple(constants["std"]))
