"""Superpixel alignment of activation maps: a map should be constant inside a superpixel.

T. Chen et al., "Spatial Structure Constraints for Weakly Supervised Semantic Segmentation", 2024, arXiv 2401.11122.
Differs from the paper: all images and classes at once by `index_add_`, no loop over superpixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SURE = 0.3  # share of the class maximum above which the eroded map counts as object
EROSION = 3  # cells, side of the erosion's window


def segment_means(maps: Tensor, segments: Tensor) -> Tensor:
    """Mean of maps (P,H,W) inside each segment of segments (P,H,W) ids from 0, spread back over it: (P,H,W)."""
    count = int(segments.max()) + 1
    # Ids are made unique over the maps by an offset each, so that one sum serves all segments of all maps.
    offsets = torch.arange(len(maps), device=maps.device)[:, None, None] * count  # (P,1,1)
    index = (segments.long() + offsets).flatten()  # (P*H*W,)
    sums = maps.new_zeros(len(maps) * count).index_add(0, index, maps.flatten())
    sizes = torch.bincount(index, minlength=len(sums)).clamp(min=1)
    return (sums / sizes)[index].view_as(maps)


def _by_maximum(maps: Tensor) -> Tensor:
    """relu(maps) over its maximum in each (P,H,W); a map with nothing positive becomes 0."""
    positive = maps.clamp(min=0)
    peak = positive.amax((1, 2), keepdim=True)
    return torch.where(peak > 0, positive / peak.clamp(min=torch.finfo(maps.dtype).tiny), torch.zeros_like(positive))


@torch.no_grad()
def targets(maps: Tensor, segments: Tensor) -> Tensor:
    """What raw maps (P,H,W) should become: max(segment mean, own map where the eroded map > .3), both by maximum."""
    means, own = _by_maximum(segment_means(maps, segments)), _by_maximum(maps)
    eroded = -F.max_pool2d(-own[:, None], EROSION, stride=1, padding=EROSION // 2)[:, 0]
    return torch.maximum(means, own * (eroded > SURE))


def alignment(maps: Tensor, present: Tensor, segments: Tensor) -> Tensor:
    """Mean squared distance of the present classes' maps from their superpixel targets.

    maps (B,K,h,w) raw; present (B,K) bool; segments (B,H,W) ids from 0 at half the image's size, to which the
    maps are resized bilinearly. Both are divided by their own maximum after a clamp at 0. The target carries no
    gradient. No present class, or only flat ones: 0.
    """
    images, classes = present.nonzero(as_tuple=True)
    if len(images) == 0:
        return maps.sum() * 0
    chosen = F.interpolate(maps[images, classes][:, None].float(), segments.shape[-2:], mode="bilinear")
    chosen = chosen[:, 0]  # (P,H,W)
    return F.mse_loss(_by_maximum(chosen), targets(chosen, segments[images]))
