"""Ridge regression inside the image, then GrabCut from what it says: the seeds of the cut are better for it.

Ridge Regression: Biased Estimation for Nonorthogonal Problems (Hoerl, Kennard, 1970); GrabCut: Interactive Foreground
Extraction using Iterated Graph Cuts (Rother, Kolmogorov, Blake, 2004).
"""

from __future__ import annotations

import numpy as np

from weakseg.data import grids
from weakseg.masks.refining import image_regression, seeded_grabcut
from weakseg.masks.refining.seeded_grabcut import Cut


def refine(
    scores: np.ndarray,
    image: np.ndarray,
    segments: np.ndarray,
    features: np.ndarray | None,
    *,
    threshold: float,
    decide_all: bool,
    penalty: float,
    grid: int,
    certain: float,
    iterations: int,
    longest: int,
    smallest: int,
) -> np.ndarray:
    """Mask (H,W) uint8 of image (H,W,3) from scores (K,h,w) and features (D,h',w'): 0 or j + 1; nothing is ignored.

    The regression runs with its longer side `grid` cells long, the cut with `longest` pixels; the other options are
    those of `ridge` and `grabcut`.
    """
    if len(scores) == 0:
        return np.zeros(image.shape[:2], np.uint8)
    shape = grids.bound(image.shape[:2], grid)
    logits = image_regression.regress(scores - threshold, image, features, penalty, shape)
    return seeded_grabcut.cut_mask(logits, image, Cut(certain, iterations, longest, smallest))
