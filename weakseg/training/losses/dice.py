"""Dice distance of an activation map from its own thresholded self: it pushes maps toward two values.

Dice after F. Milletari, N. Navab, S. Ahmadi, "V-Net", 2016, arXiv 1606.04797.
Differs from the paper: no mask is seen. The target is the map's own thresholded self, so the term sharpens what
is there (values above the threshold rise to the maximum, the others fall to 0) and cannot move it to the object;
its weight stays small (.1) beside the classification loss.
"""

from __future__ import annotations

import torch
from torch import Tensor

THRESHOLD = 0.3  # share of the map's maximum


def self_dice(maps: Tensor, present: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """1 - 2 sum(p t) / (sum(p) + sum(t)), averaged over the present classes' maps.

    maps (B,K,h,w) raw; present (B,K) bool. p = relu(map) / its maximum (detached), t = p > threshold, detached.
    A map with nothing positive, and a batch with no present class, count 0.
    """
    chosen = maps[present.bool()].float().clamp(min=0).flatten(1)  # (P,h*w)
    if len(chosen) == 0:
        return maps.sum() * 0
    peak = chosen.amax(1, keepdim=True).detach()
    shares = chosen / torch.where(peak > 0, peak, torch.ones_like(peak))
    target = (shares > threshold).to(shares.dtype).detach()
    overlap = 2 * (shares * target).sum(1)
    total = (shares + target).sum(1)
    flat = total == 0
    return torch.where(flat, total, 1 - overlap / torch.where(flat, torch.ones_like(total), total)).mean()
