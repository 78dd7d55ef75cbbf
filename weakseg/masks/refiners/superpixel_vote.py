"""Superpixel vote: every superpixel takes the class of its mean score, then opening and closing.

Step two of system (3): Grad-CAM++ with SLIC superpixels and self-training on Oxford-IIIT Pet.
"""

from __future__ import annotations

import numpy as np

from weakseg.artifacts.formats import masks
from weakseg.data import grids
from weakseg.masks import superpixels


def refine(
    scores: np.ndarray,
    image: np.ndarray,
    segments: np.ndarray,
    features: np.ndarray | None,
    *,
    threshold: float,
    decide_all: bool,
    band: float,
    radius: int,
) -> np.ndarray:
    """Mask (H,W) uint8 from scores (K,h,w) and superpixels (H,W): 0, j + 1 for map j, 255 = ignore.

    Superpixels whose mean is within `band` of the threshold are ignored. The foreground is opened and closed with a
    square of 2 radius + 1 pixels; a pixel that closing adds takes the class of its superpixel's highest map.
    """
    means = superpixels.average(grids.resize(scores, segments.shape), segments)  # (S,K)
    painted = superpixels.paint(means, segments)  # (K,H,W)
    mask = grids.decide(painted, threshold, 0.0 if decide_all else band)
    ignored = mask == masks.IGNORE
    foreground = superpixels.smooth((mask > 0) & ~ignored, radius)
    return np.where(ignored, mask, grids.split_by_class(foreground, painted)).astype(np.uint8)
