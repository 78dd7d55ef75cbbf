"""Deep seeded region growing: sure pixels that hang together with a seed join its class, the rest is ignored.

Weakly-Supervised Semantic Segmentation Network with Deep Seeded Region Growing (Huang, Wang, Wang, Liu, Wang, 2018).
Differs from the paper: seeds and probabilities both come from the scores, seeds where they are surest.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from weakseg.artifacts.formats import masks
from weakseg.data import grids
from weakseg.masks import pseudomasks

EIGHT = np.ones((3, 3), bool)


def keep_seeded(candidates: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Pixels of the 8-connected components of `candidates` (H,W) bool that hold a seed (H,W) bool."""
    components, count = ndimage.label(candidates, EIGHT)
    seeded = np.zeros(count + 1, bool)
    seeded[np.unique(components[seeds & candidates])] = True
    seeded[0] = False
    return seeded[components]


def refine(
    scores: np.ndarray,
    image: np.ndarray,
    segments: np.ndarray,
    features: np.ndarray | None,
    *,
    threshold: float,
    decide_all: bool,
    foreground: float,
    background: float,
    seed: float,
    longest: int,
) -> np.ndarray:
    """Mask (H,W) uint8 of image (H,W,3) from scores (K,h,w): 0, j + 1 for map j, 255 where no seed reaches.

    p is the softmax over background and maps. A pixel joins class c where c has the highest p, above `foreground`
    (`background` for the background), in an 8-connected component with a pixel whose p is above `seed`, at `longest`
    pixels. With `decide_all` the scores themselves decide where no seed reaches. K = 0: all background.
    """
    if len(scores) == 0:
        return np.zeros(image.shape[:2], np.uint8)
    small = grids.resize(scores, grids.bound(image.shape[:2], longest))
    probability = pseudomasks.class_probabilities(small, threshold)  # (K+1,h',w')
    winner = probability.argmax(0)
    regions = []
    for k, plane in enumerate(probability):
        sure = (winner == k) & (plane > (foreground if k else background))
        regions.append(keep_seeded(sure, plane > seed).astype(np.float32))
    shares = grids.resize(np.stack(regions), image.shape[:2])  # (K+1,H,W)
    unreached = grids.decide(grids.resize(scores, image.shape[:2]), threshold, 0.0) if decide_all else masks.IGNORE
    return np.where(shares.max(0) > 0.5, shares.argmax(0), unreached).astype(np.uint8)
