"""Dice distance of an activation map from its own thresholded self: it pushes maps toward two values.

Dice after F. Milletari, N. Navab, S. Ahmadi, "V-Net", 2016, arXiv 1606.04797. Of a map and itself it is a term of
system (1), the weakly supervised U-Net, there with weight .1.
Differs from V-Net: no mask is seen. The target is the map's own thresholded self, so the term sharpens what is there
and cannot move it to the object. Differs from system (1): `sigmoid` at threshold .5 is its own form, a value taken as a
logit; `share`, the value over the map's maximum at threshold .3, is ours and does not depend on the map's scale. Both
look at the maps of the classes that an image has, and at no other.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Form = Literal["share", "sigmoid"]


def squash(maps: Tensor, form: Form) -> Tensor:
    """Raw maps (P,h,w) to [0, 1]: `sigmoid`, or `share`, relu over its maximum (detached; nothing positive: zeros)."""
    if form == "sigmoid":
        return maps.sigmoid()
    positive = maps.clamp(min=0)
    peak = positive.amax((1, 2), keepdim=True).detach()
    return positive / torch.where(peak > 0, peak, torch.ones_like(peak))


def dice(shares: Tensor, target: Tensor) -> Tensor:
    """1 - 2 sum(p t) / (sum(p) + sum(t)) of each p (P,h,w) in [0, 1] and its t (P,h,w) bool, averaged over P.

    Where p and t are both empty the distance is 0; with no map at all it is 0.
    """
    shares, target = shares.flatten(1), target.flatten(1).to(shares.dtype)
    overlap, total = 2 * (shares * target).sum(1), (shares + target).sum(1)
    flat = total == 0
    distance = torch.where(flat, total, 1 - overlap / torch.where(flat, torch.ones_like(total), total))
    return distance.mean() if len(distance) else shares.sum()


def self_dice(maps: Tensor, form: Form, threshold: float) -> Tensor:
    """Mean `dice` of raw maps (P,h,w), squashed to p, and p > threshold.

    `share`: a map with nothing positive counts 0. `sigmoid`: one below the threshold everywhere counts 1, without
    gradient.
    """
    shares = squash(maps, form)
    return dice(shares, shares > threshold)
