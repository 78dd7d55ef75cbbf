"""Self-attention of a vision transformer: the weights that its blocks compute, read off and joined over blocks.

Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin, "Attention is all you need" (2017),
arXiv 1706.03762; attention rollout: Abnar, Zuidema, "Quantifying attention flow in transformers" (2020),
arXiv 2005.00928.
Fused kernels never hold the weights, so a block whose weights are asked for computes them the plain way, once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce

import torch
from torch import Tensor, nn

from weakseg.errors import UserError
from weakseg.networks.classifier import Classifier
from weakseg.networks.layers.token_grid import TokenBlock, to_tokens

LARGEST = 1 << 26  # attention weights of all heads held at once: 256 MiB


def find_attention(classifier: Classifier, count: int) -> nn.Module:
    """The attention of block `count` (from 1), in which every token of an image sees every other.

    UserError: the block has none that can be read, as the first block of every network, and all of those that are no
    plain vision transformers.
    """
    block = classifier.blocks[count - 1]
    attention = getattr(block.layer, "attn", None) if isinstance(block, TokenBlock) else None
    if attention is None or not (hasattr(attention, "fused_attn") and hasattr(attention, "attn_drop")):
        raise UserError(
            f"block {count} of {classifier.levels} has no attention of all tokens to all: every block but the first of"
            " a vision transformer (ViT, DeiT, BEiT, EVA, DINO, CLIP) has it, so choose one of those, or do without"
        )
    return attention


@contextmanager
def plain(attention: nn.Module) -> Iterator[list[Tensor]]:
    """Compute attention without a fused kernel, and list the weights (B,H,N,N) of each call."""
    fused, weights = attention.fused_attn, []
    drop: nn.Module = attention.attn_drop  # type: ignore[assignment]
    handle = drop.register_forward_pre_hook(lambda _, inputs: weights.append(inputs[0]))
    attention.fused_attn = False  # type: ignore[assignment]
    try:
        yield weights
    finally:
        attention.fused_attn = fused
        handle.remove()


def weigh(classifier: Classifier, features: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Attention weights (B,N,N) in block `count`, a mean over heads, and features (B,C,h,w) after it.

    `features` are those before the block. Rows are the tokens that look, and sum to 1; columns those that are seen;
    tokens of no cell come first. Images go through in parts that hold at most LARGEST weights.
    """
    attention, block = find_attention(classifier, count), classifier.blocks[count - 1]
    tokens = to_tokens(features[:1], block.prefix).shape[1]  # type: ignore[arg-type]
    heads: int = attention.num_heads  # type: ignore[assignment]
    parts: list[tuple[Tensor, Tensor]] = []
    with plain(attention) as weights:
        for images in features.split(max(1, LARGEST // (heads * tokens * tokens))):
            after = block(images)
            parts.append((weights.pop().mean(1), after))  # (B,H,N,N) -> (B,N,N)
    found, after = (torch.cat(part) for part in zip(*parts, strict=True))
    return found, after


def between_cells(classifier: Classifier, known: dict[int, Tensor], counts: list[int]) -> Tensor:
    """Attention (B,hw,hw) of cells to cells, a mean over blocks `counts`; `known`: features by blocks passed.

    Class, register and other tokens are left out, so that rows sum to at most 1.
    """
    total = sum(weigh(classifier, known[count - 1], count)[0] for count in counts)
    assert isinstance(total, Tensor)
    prefix = total.shape[1] - known[counts[0]].shape[2] * known[counts[0]].shape[3]
    return total[:, prefix:, prefix:] / len(counts)


def walk(classifier: Classifier, grid: Tensor) -> Iterator[Tensor]:
    """W / 2 + I / 2 (B,N,N) of each block after the first, whose features are `grid`; W as `weigh` gives it."""
    for count in range(2, classifier.levels + 1):
        weights, grid = weigh(classifier, grid, count)
        yield (weights + torch.eye(weights.shape[1]).to(weights)) / 2


def roll_out(classifier: Classifier, images: Tensor) -> Tensor:
    """Attention rollout (B,h,w) of normalized images (B,3,H,W): what of each cell reaches what the head reads.

    R = A_L ... A_2 with A = W / 2 + I / 2, the halves for attention and residual connection. The class token's row of R
    where the head reads that token, else the mean of the cells' rows. UserError as `find_attention`.
    """
    find_attention(classifier, classifier.levels)
    grid = classifier.features_at(images, 1)
    rolled = reduce(lambda before, step: step @ before, walk(classifier, grid))
    cells = grid.shape[2] * grid.shape[3]
    reads_token = classifier.tokens is not None and classifier.tokens.reach < classifier.levels
    rows = rolled[:, 0] if reads_token else rolled[:, -cells:].mean(1)
    return rows[:, -cells:].unflatten(1, grid.shape[2:])
