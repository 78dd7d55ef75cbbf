"""Any network of timm behind the `Classifier` contract, by its name and with weights of a file.

Ross Wightman, "PyTorch Image Models", 2019, https://github.com/huggingface/pytorch-image-models
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from torch import nn

from weakseg.errors import UserError
from weakseg.networks.classifier import IMAGENET_MEAN, IMAGENET_STD, Classifier, LinearHead
from weakseg.networks.loading import checkpoints, split_timm
from weakseg.networks.loading.timm_network import TimmNetwork

FLEXIBLE: tuple[dict[str, Any], ...] = (  # options by which families take images of other sizes than their own
    {"dynamic_img_size": True},
    {"strict_img_size": False},
)
Convert = Callable[[checkpoints.State], checkpoints.State]


@dataclass(frozen=True)
class Variant:
    """A network of timm as a backbone's variant: its name in timm, and the options of its builder.

    `architecture`: block strings, one a level, of a network of the EfficientNet family that has no name in timm.
    `mean`, `std`: constants of its images where they are not timm's. `adapt` changes the network before it is split.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    architecture: tuple[str, ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    adapt: Callable[[Any], nn.Module] | None = None


def create(variant: Variant, classes: int, pretrained: bool) -> nn.Module:
    """timm's network. UserError: no such network, no pretrained weights, or they cannot be downloaded."""
    import timm

    name = variant.name
    if variant.architecture:
        if pretrained:
            raise UserError(f"'{name}' has no pretrained weights: give a weight file or 'random'")
        return create_unnamed(variant, classes)
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), 3, 0.4)
        raise UserError(f"timm has no network '{name}': close names are {', '.join(close) or 'none'}")
    try:
        return create_flexible(name, pretrained, classes, variant.options)
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"pretrained weights of '{name}' cannot be had ({reason}):"
            " connect to the network, or give a weight file or 'random'"
        ) from error


def create_flexible(name: str, pretrained: bool, classes: int, options: Mapping[str, Any]) -> nn.Module:
    """timm's network, for images of any size where it offers that."""
    import timm

    # A builder that does not know an option refuses it before it draws or loads any weight.
    for flexible in FLEXIBLE:
        try:
            return timm.create_model(name, pretrained=pretrained, num_classes=classes, **flexible, **options)
        except TypeError as error:
            if not any(option in str(error) for option in flexible):
                raise
    return timm.create_model(name, pretrained=pretrained, num_classes=classes, **options)


def create_unnamed(variant: Variant, classes: int) -> nn.Module:
    """A network of the EfficientNet / MobileNet family from its block strings, one level each."""
    from timm.models.efficientnet import EfficientNet, decode_arch_def

    blocks = decode_arch_def([[block] for block in variant.architecture])
    return EfficientNet(blocks, num_classes=classes, **variant.options)


def create_skeleton(variant: Variant, classes: int, *, pretrained: bool = False) -> TimmNetwork:
    """The network of a variant before it is split, its keys as a weight file has them."""
    network = create(variant, classes, pretrained)
    return cast(TimmNetwork, variant.adapt(network) if variant.adapt else network)


def find_head_keys(network: nn.Module) -> tuple[str, ...]:
    """Prefixes of the keys that depend on the number of classes."""
    names = read_config(network).get("classifier", "classifier")
    return tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))


def read_config(network: nn.Module) -> dict[str, Any]:
    """What timm says of a network's published weights, empty for one that has no name in timm."""
    return getattr(network, "pretrained_cfg", {})


def build(variant: Variant, classes: int, weights: str, convert: Convert | None = None) -> Classifier:
    """A variant with weights `random`, `pretrained` or the path of a file in timm's keys, or that this project saved.

    `convert` renames the keys of a file; the constants mean and std default to timm's for the network.
    """
    network = create_skeleton(variant, classes, pretrained=weights == "pretrained")
    named = weights in ("random", "pretrained")
    saved = not named and checkpoints.is_classifier(Path(weights))
    if not named and not saved:
        checkpoints.load(network, weights, find_head_keys(network), convert)
    config = read_config(network)
    mean = variant.mean or config.get("mean", IMAGENET_MEAN)
    std = variant.std or config.get("std", IMAGENET_STD)
    classifier = split_timm.split(network, tuple(mean), tuple(std))
    if saved:
        checkpoints.load(classifier, weights, find_class_keys(classifier))
    return classifier


def find_class_keys(classifier: Classifier) -> tuple[str, ...]:
    """Prefixes of a classifier's keys that hold a row for each class: its head's, or of a U-Net its maps'.

    A U-Net's head is the fixed mean of its maps, so that its classes are the channels of its last convolution.
    """
    head = classifier.head
    if not isinstance(head, LinearHead):
        return tuple(f"head.network.{key}" for key in find_head_keys(cast(TimmNetwork, head.network)))
    if head.linear.weight.requires_grad:
        return ("head.linear.",)
    *_, maps = (name for name, layer in classifier.named_modules() if isinstance(layer, nn.Conv2d))
    return (f"{maps}.",)
