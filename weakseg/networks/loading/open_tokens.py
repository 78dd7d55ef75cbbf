"""Transformers of timm cut into levels on grids, family by family.

Ross Wightman, "PyTorch Image Models", 2019, https://github.com/huggingface/pytorch-image-models
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from weakseg.networks.layers.token_grid import ChannelsLast, Rotary, SharedBias, TokenBlock, TokenEmbed
from weakseg.networks.loading.timm_network import keep

BEFORE = {"patch_embed", "stem", "norm_pre", "pos_drop", "rope"}  # children of a network that embed images


def embed_tokens(network: Any, images: Tensor) -> Tensor:
    """Tokens (B,P+N,C) of images before the first block of a vision transformer."""
    tokens = network.patch_embed(images)
    if hasattr(network, "_pos_embed"):
        tokens = network._pos_embed(tokens)
        tokens = tokens[0] if isinstance(tokens, tuple) else tokens
        return network.norm_pre(tokens)
    tokens = torch.cat([network.cls_token.expand(len(tokens), -1, -1), tokens], 1)
    tokens = tokens if network.pos_embed is None else tokens + network.pos_embed
    return network.pos_drop(tokens)


def embed_stem(network: Any, images: Tensor) -> Tensor:
    """Tokens (B,N,C) of images before the first block of an MLP-Mixer."""
    return network.stem(images)


def embed_plane(network: Any, images: Tensor) -> Tensor:
    """Tokens (B,N,C) of images before the first block of SAM's image encoder."""
    from timm.layers import resample_abs_pos_embed_nhwc

    plane = network.patch_embed(images)
    if network.pos_embed is not None:
        plane = plane + resample_abs_pos_embed_nhwc(network.pos_embed, plane.shape[1:3])
    return network.norm_pre(network.pos_drop(plane)).flatten(1, 2)


def size_of_patches(network: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Grid (h, w) of images (H, W) cut into patches."""
    embed = network.stem if hasattr(network, "stem") else network.patch_embed
    height, width = embed.dynamic_feat_size(size)
    return int(height), int(width)


def contexts(network: Any, count: int) -> Iterator[nn.Module | None]:
    """What each block is told beside its tokens: rotary position embeddings, a bias that all share, or nothing."""
    rope, bias = getattr(network, "rope", None), getattr(network, "rel_pos_bias", None)
    for number in range(count):
        if isinstance(rope, nn.Module):
            yield Rotary(rope, number, bool(getattr(network, "rope_mixed", False)))
        else:
            yield SharedBias(bias) if isinstance(bias, nn.Module) else None


def open_tokens(network: Any, prefix: int) -> list[nn.Module]:
    """Levels of a vision transformer (ViT, DeiT, BEiT, EVA, DINOv2, DINOv3, CLIP) or an MLP-Mixer."""
    blocks = list(network.blocks)
    stem = embed_stem if hasattr(network, "stem") else embed_tokens
    told = contexts(network, len(blocks))
    levels: list[nn.Module] = [TokenEmbed(keep(network, BEFORE), stem, size_of_patches, prefix)]
    for number, (block, context) in enumerate(zip(blocks, told, strict=True), 1):
        after = network.norm if number == len(blocks) else None
        levels.append(TokenBlock(block, prefix, after, context))
    return levels


def open_plane(network: Any, prefix: int) -> list[nn.Module]:
    """Levels of SAM's image encoder, whose last one is its neck."""
    embed = TokenEmbed(keep(network, BEFORE), embed_plane, size_of_patches, 0)
    return [embed, *(ChannelsLast(block) for block in network.blocks), network.neck]


def open_stages(network: Any, prefix: int) -> list[nn.Module]:
    """Levels of Swin, which keeps channels last."""
    *layers, last = network.layers
    embed = ChannelsLast(network.patch_embed, embeds=True)
    return [embed, *map(ChannelsLast, layers), ChannelsLast(last, network.norm)]


OPENERS: tuple[Callable[[Any, int], list[nn.Module]], ...] = (open_tokens, open_plane, open_stages)
