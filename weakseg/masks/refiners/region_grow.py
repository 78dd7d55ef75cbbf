"""Region growing on features: cells next to a region join it where they look like its mean.

Step of system (1), the weakly supervised U-Net: five rounds on L2-normalized features of the trained backbone.
Differs from that system: the features are the backbone's own, not those of a projection that is never trained; all
classes grow at once on the feature grid, without a loop over pixels.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from weakseg.artifacts.formats.masks import IGNORE
from weakseg.data import grids
from weakseg.errors import UserError
from weakseg.masks.refining import appearance

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


def compete(
    scores: np.ndarray, features: np.ndarray, threshold: float, steps: list[float], limits: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """The cells that each of scores (K,h,w) wins, (K,h',w') bool, and how certain of it, (K,h',w') in [0, 1].

    On the grid of features (D,h',w'). A cell of a region carries its cosine with the region's mean, clamped to
    `limits`; the most certain region wins it, the first of equals, and the others are 0 there: system (1)'s soft
    result. `steps` is the strictness of each round; without a round a region stays as it starts, as certain as can be.
    """
    directions = appearance.unit(features)
    regions = grids.resize(scores, features.shape[1:]) > threshold
    certainty = np.where(regions, np.float32(limits[1]), np.float32(0))
    for strictness in steps:
        for k, region in enumerate(regions):
            regions[k], likeness = grow(region, directions, strictness)
            certainty[k] = np.where(regions[k], np.clip(likeness, *limits), 0)
    won = regions & (certainty.argmax(0) == np.arange(len(regions))[:, None, None])
    return won, np.where(won, certainty, 0)


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
    certain: float,
) -> np.ndarray:
    """Mask (H,W) uint8 of image (H,W,3) from scores (K,h,w) and features (D,h',w'): 0 or j + 1 for map j.

    Regions start where a map is above `threshold`; round r asks for mean + (strictness - relaxation r) std. Cells that
    several regions reached go to the most alike, its cosine clamped to [lowest, highest]; ties to the first.
    Without `decide_all`, pixels of a region that are less certain than `certain` become 255: so much of the soft result
    (`compete`) a mask of hard ids can carry. UserError without features.
    """
    if features is None or not features.size:
        raise UserError("region_grow needs features beside the scores: choose another refiner, such as grabcut")
    if len(scores) == 0:
        return np.zeros(image.shape[:2], np.uint8)
    steps = [strictness - relaxation * number for number in range(rounds)]
    won, certainty = compete(scores, features, threshold, steps, (lowest, highest))
    mask = grids.decide(grids.resize(won.astype(np.float32), image.shape[:2]), 0.5, 0.0)
    if certain > 0 and not decide_all:
        mask[(mask > 0) & (grids.resize(certainty, image.shape[:2]).max(0) < certain)] = IGNORE
    return mask
