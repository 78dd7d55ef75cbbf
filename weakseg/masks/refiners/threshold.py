"""No refinement: the scores themselves, up-sampled and cut at the threshold."""

from __future__ import annotations

import numpy as np

from weakseg.data import grids


def refine(
    scores: np.ndarray,
    image: np.ndarray,
    segments: np.ndarray,
    features: np.ndarray | None,
    *,
    threshold: float,
    decide_all: bool,
    band: float,
) -> np.ndarray:
    """Mask (H,W) uint8 of image (H,W,3) from scores (K,h,w): 0, j + 1 for map j, 255 within `band` of the threshold."""
    return grids.decide(grids.resize(scores, image.shape[:2]), threshold, 0.0 if decide_all else band)
