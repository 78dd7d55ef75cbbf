"""Region growing of a batch of activation maps while a network trains: the Dice term's target, grown on features.

System (1), the weakly supervised U-Net, offers it in training and advises against it: it is off unless asked for.
The rule and the constants of masks/refiners/region_grow.py, which works on the maps of one image of a trained network;
here all maps of a batch grow at once, and nothing decides between the classes of an image.
Differs from that system: the features are the backbone's own, not those of a projection that is never trained.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

STRICTNESS, RELAXATION = 0.5, 0.05  # round r asks for mean + (.5 - .05 r) standard deviations; as published


@torch.no_grad()
def grow(regions: Tensor, features: Tensor, rounds: int) -> Tensor:
    """Regions (P,h,w) bool, each grown on the features (P,D,h,w) of its image for some rounds: (P,h,w) bool.

    A cell of the 3x3 ring around a region joins it where its cosine with the region's mean exceeds mean + strictness *
    std over all cells. An empty region stays empty.
    """
    directions = F.normalize(features.float(), dim=1)
    for number in range(rounds):
        weights = regions.float()[:, None]  # (P,1,h,w)
        center = F.normalize((directions * weights).sum((2, 3)), dim=1)  # (P,D): a sum points where the mean does
        likeness = torch.einsum("pd,pdhw->phw", center, directions)
        spread, mean = torch.std_mean(likeness, (1, 2), keepdim=True, correction=0)
        ring = F.max_pool2d(weights, 3, stride=1, padding=1)[:, 0] > 0  # (P,h,w), with the region itself
        regions = regions | ring & (likeness > mean + (STRICTNESS - RELAXATION * number) * spread)
    return regions
