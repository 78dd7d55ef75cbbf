"""GrabCut: color mixtures of foreground and background and a graph cut, with hard seeds where the scores are sure.

GrabCut: Interactive Foreground Extraction using Iterated Graph Cuts (Rother, Kolmogorov, Blake, 2004).
Differs from the paper: the user's strokes are the scores beyond `certain`; it runs at a bounded image size.
"""

from __future__ import annotations

import numpy as np

from weakseg.masks.refining import seeded_grabcut
from weakseg.masks.refining.seeded_grabcut import Cut


def refine(
    scores: np.ndarray,
    image: np.ndarray,
    segments: np.ndarray,
    features: np.ndarray | None,
    *,
    threshold: float,
    decide_all: bool,
    certain: float,
    iterations: int,
    longest: int,
    smallest: int,
) -> np.ndarray:
    """Mask (H,W) uint8 of image (H,W,3) from scores (K,h,w): 0 or j + 1 for map j; nothing is ignored.

    The cut separates the highest of all maps from the background at `longest` pixels; each pixel inside takes the
    class of its highest map. Where one side has fewer than `smallest` pixels, or K = 0, the scores' own sign decides.
    """
    return seeded_grabcut.cut_mask(scores - threshold, image, Cut(certain, iterations, longest, smallest))
