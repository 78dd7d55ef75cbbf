"""A network of timm split into the levels and the head of a `Classifier`, which computes the same.

Ross Wightman, "PyTorch Image Models", 2019, https://github.com/huggingface/pytorch-image-models
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from weakseg.errors import UserError
from weakseg.networks.classifier import Classifier, Tokens
from weakseg.networks.image_sizes import ImageSizes
from weakseg.networks.layers.token_grid import TokenBlock
from weakseg.networks.loading.head_timm import find_head, read_by_head
from weakseg.networks.loading.open_tokens import OPENERS
from weakseg.networks.loading.timm_network import TimmNetwork, agree, draw, find_called, keep
from weakseg.networks.loading.token_form import Form, Whole, find_form

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
    (("stem",), ("stages*",), ("norm",)),
    (("patch_embed",), ("stages*",)),
)
PROBE_SIZE = 96
ODD = 4  # pixels more: no multiple of any stride


@dataclass(frozen=True)
class Parts:
    """Blocks and head of a network; `of_tokens`: timm lays its features out otherwise than (B,C,h,w)."""

    blocks: nn.Sequential
    head: nn.Module
    tokens: Tokens | None = None
    of_tokens: bool = False


def split(network: TimmNetwork, mean: tuple[float, ...], std: tuple[float, ...]) -> Classifier:
    """Split a timm network into a Classifier that computes the same logits.

    A split is taken only where it reproduces `forward_features` (and `forward_head`) on a random image; a network of
    unknown layout becomes one block, a head that is no linear layer on pooled features stays timm's.
    UserError: the network's features are no grid of cells, or it takes no image of its own size.
    """
    training = network.training
    network.eval()
    with torch.no_grad():
        side = find_side(network)
        parts = prove_split(network, draw(1, 3, side, side))
        plain = side == PROBE_SIZE and not parts.of_tokens
        sizes = None if plain else find_sizes(parts.blocks, side, find_stride(network))
    classifier = Classifier(parts.blocks, parts.head, find_stride(network), mean, std)
    classifier.tokens, classifier.sizes = parts.tokens, sizes
    return classifier.train(training)


def find_stride(network: TimmNetwork) -> int:
    """Pixels a cell of the network's features."""
    return network.feature_info[-1]["reduction"]


def takes(blocks: Callable[[Tensor], Any], side: int) -> bool:
    """Whether a network's blocks take images of a side; timm asserts sizes, or fails to give tokens another shape."""
    try:
        blocks(draw(1, 3, side, side))
    except (AssertionError, RuntimeError, ValueError, IndexError):
        return False
    return True


def find_side(network: TimmNetwork) -> int:
    """A side, small where it can be, of images that a network takes. UserError: it takes not even its own."""
    native = getattr(network, "pretrained_cfg", {}).get("input_size", (3, PROBE_SIZE, PROBE_SIZE))[-1]
    sides = dict.fromkeys((PROBE_SIZE, 6 * find_stride(network), native))
    side = next((side for side in sides if takes(network.forward_features, side)), None)
    if side is None:
        raise UserError(f"{type(network).__name__} takes no image of {native} pixels: use another network")
    return side


def find_sizes(blocks: nn.Sequential, side: int, stride: int) -> ImageSizes:
    """The sides of images that a network takes, beside the `side` that is known."""
    if not takes(blocks, side + stride):
        return ImageSizes(stride, only=side)
    return ImageSizes(stride, multiple=1 if takes(blocks, side + ODD) else stride)


def prove_split(network: TimmNetwork, images: Tensor) -> Parts:
    """The parts of a network in evaluation mode, each proved on random numbers."""
    features, stride = network.forward_features(images), find_stride(network)
    prefix = getattr(network, "num_prefix_tokens", 0)
    form = find_form(features, prefix, images.shape[-1], stride) if isinstance(features, Tensor) else None
    if form is None:
        raise UserError(
            f"{type(network).__name__} has no grid of cells (B,C,h,w) or tokens (B,N,C): its features cannot become"
            " maps, so use another network"
        )
    blocks = find_levels(network, images) if form.kind == "cells" else None
    if blocks is not None:
        return Parts(blocks, find_head(network, draw(*features.shape).abs()))
    return split_grid(network, form, images)


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


def open_grid(network: TimmNetwork, form: Form, images: Tensor, grid: Tensor) -> nn.Sequential:
    """Levels of a network that give the grid: those of the first opener that does, else all of it as one level."""
    for opener in OPENERS:
        try:
            blocks = nn.Sequential(*opener(network, form.prefix)).eval()
        except (AttributeError, TypeError, ValueError):
            continue  # another family's
        if agree(blocks, lambda _: grid, images):
            return blocks
    called = find_called(network, "forward_features", images)
    return nn.Sequential(Whole(keep(network, called), form, find_stride(network)))


def split_grid(network: TimmNetwork, form: Form, images: Tensor) -> Parts:
    """Parts of a network whose features are tokens, or have channels last.

    Tokens of no cell that the head does not read leave with the last level.
    """
    stride, side = find_stride(network), images.shape[-1]
    shape = (-(-side // stride),) * 2
    features = network.forward_features(images)
    blocks = open_grid(network, form, images, form.grid(features, shape))
    grid = form.grid(draw(*features.shape), shape)
    channels = grid.shape[1] // (1 + form.prefix)
    reads_cells, reads_others = read_by_head(network, form, grid, channels)
    dropped = form.prefix > 0 and not reads_others
    if dropped:
        last = blocks[-1]
        assert isinstance(last, (TokenBlock, Whole))
        last.dropped, form, grid = True, replace(form, dropped=True), grid[:, :channels]
    head = find_head(network, grid, form)
    if not form.prefix:
        return Parts(blocks, head, of_tokens=True)
    carried = [form.prefix * channels] * len(blocks)
    carried[-1] *= not dropped
    return Parts(blocks, head, Tokens(tuple(carried), len(blocks) - (not reads_cells)), of_tokens=True)
