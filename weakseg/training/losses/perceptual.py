"""Perceptual distance: mean absolute difference of a fixed network's features.

J. Johnson, A. Alahi, L. Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", 2016,
arXiv 1603.08155.
Differs from the paper: L1, and a weight for each level, as in T.-C. Wang et al., pix2pixHD, 2018, arXiv 1711.11585.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def level_weights(levels: int) -> list[float]:
    """1/2^levels ... 1/4, 1: each level twice the one before, the last 1 (five: 1/32 1/16 1/8 1/4 1)."""
    return [2.0 ** -(levels - index) for index in range(levels - 1)] + [1.0]


def perceptual(features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """sum_l weight_l mean|features_l - targets_l| over matching lists of (B,C,h,w); targets carry no gradient."""
    pairs = zip(level_weights(len(features)), features, targets, strict=True)
    terms = [weight * (ours - theirs.detach()).abs().mean() for weight, ours, theirs in pairs]
    return torch.stack(terms).sum()
