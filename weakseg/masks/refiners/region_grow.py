"""Region growing on features: cells next to a region join it where they look like its mean.

Step of system (1), the weakly supervised U-Net: five rounds on L2-normalized features of the trained backbone.
Differs from that system: the features are the backbone's own, not those of a projection that is never trained; all
classes grow at once on the feature grid, without a loop over pixels.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from weakseg.data import grids
from weakseg.errors import UserError
from weakseg.masks import appearance

RING = np.ones((3, 3), bool)


def grow(region: np.ndarray, features: np.ndarray, strictness: float) -> tuple[np.ndarray, np.ndarray]:
    """One round for one region (h,w) bool: the larger region, and each cell's cosine with the region's mean.

    A cell of the 3x3 ring joins where its cosine exceeds mean + strictness * std over all cells; features (D,h,w)
    are of unit length. An empty region stays empty.
    """
    if not region.any():
        return region, np.zeros(region.shape, np.float32)
    center = appearance.unit(features[:, region].mean(1))
    likeness = np.einsum("d,dhw->hw", center, features)
    ring = ndimage.binary_dilation(region, RING) & ~region
    return region | ring & (likeness > likeness.mean() + strictness * likeness.std()), likeness


def refine(
    scores: np.ndarray,
    image: np.ndarray,
    segments: np.ndarray,
    features: np.ndarray | None,
    *,
    threshold: float,
    decide_all: bool,
    rounds: int,
    strictness: float,
    relaxation: float,
    lowest: float,
    highest: float,
) -> np.ndarray:
    """Mask (H,W) uint8 of image (H,W,3) from scores (K,h,w) and features (D,h',w'): 0 or j + 1 for map j.

    Regions start where a map is above `threshold`; round r asks for mean + (strictness - relaxation r) std. Cells that
    several regions reached go to the most alike, its cosine clamped to [lowest, highest]; ties to the first.
    UserError without features.
    """
    if features is None or not features.size:
        raise UserError("region_grow needs features beside the scores: choose another refiner, such as grabcut")
    if len(scores) == 0:
        return np.zeros(image.shape[:2], np.uint8)
    directions = appearance.unit(features)
    regions = list(grids.resize(scores, features.shape[1:]) > threshold)
    confidence = np.zeros((len(regions), *features.shape[1:]), np.float32)
    for number in range(rounds):
        for k, region in enumerate(regions):
            regions[k], likeness = grow(region, directions, strictness - relaxation * number)
            confidence[k] = np.where(regions[k], np.clip(likeness, lowest, highest), 0)
    owner = confidence.argmax(0)
    shares = [(np.asarray(region) & (owner == k)).astype(np.float32) for k, region in enumerate(regions)]
    return grids.decide(grids.resize(np.stack(shares), image.shape[:2]), 0.5, 0.0)
