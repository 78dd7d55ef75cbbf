"""Pixel cross-entropy with ignored pixels, class weights and hard or soft targets."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from weakseg.artifacts.formats.masks import IGNORE


def cross_entropy(logits: Tensor, targets: Tensor, *, weights: Tensor | None) -> Tensor:
    """Weighted mean over kept pixels of -sum_c t_c log softmax(logits)_c; logits (B,C,H,W).

    Hard targets (B,H,W) integer class ids, 255 left out; soft targets (B,C,H,W) that sum to 1 over C, all-zero
    pixels left out. weights (C,), mean over the kept pixels' own weights. Nothing kept: 0.
    """
    if targets.ndim == 3:
        total = F.cross_entropy(logits.float(), targets.long(), weights, ignore_index=IGNORE, reduction="sum")
    else:
        total = -(_weighted(targets, weights) * logits.float().log_softmax(1)).sum()
    return total / weigh(targets, weights).clamp(min=torch.finfo(torch.float32).tiny)


def weigh(targets: Tensor, weights: Tensor | None) -> Tensor:
    """What the mean is over, a scalar: the weights of all kept pixels; without weights their number."""
    if targets.ndim == 4:
        return _weighted(targets, weights).sum()
    kept = targets != IGNORE
    return kept.sum().float() if weights is None else (weights[torch.where(kept, targets, 0).long()] * kept).sum()


def _weighted(targets: Tensor, weights: Tensor | None) -> Tensor:
    return targets if weights is None else targets * weights[:, None, None]
