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
        kept = targets[targets != IGNORE].long()
        mass = weights[kept].sum() if weights is not None else torch.tensor(float(len(kept)), device=logits.device)
    else:
        shares = targets if weights is None else targets * weights[:, None, None]
        total, mass = -(shares * logits.float().log_softmax(1)).sum(), shares.sum()
    return total / mass.clamp(min=torch.finfo(torch.float32).tiny)
