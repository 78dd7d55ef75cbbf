"""GrabCut from scores: color mixtures and a graph cut, with hard seeds where the scores are sure.

GrabCut: Interactive Foreground Extraction using Iterated Graph Cuts (Rother, Kolmogorov, Blake, 2004).
Differs from the paper: the user's strokes are the scores beyond `certain`.
"""

from __future__ import annotations

import cv2
import numpy as np

from weakseg.data import grids

MIXTURES = 65


def seeds(scores: np.ndarray, certain: float) -> np.ndarray:
    """GrabCut's four labels for centered scores (h,w): sure beyond +-certain, probable by sign in between."""
    probable = np.where(scores > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    sure = np.where(scores > 0, cv2.GC_FGD, cv2.GC_BGD)
    return np.where(np.abs(scores) > certain, sure, probable).astype(np.uint8)


def cut(scores: np.ndarray, image: np.ndarray, certain: float, iterations: int, smallest: int) -> np.ndarray:
    """Foreground (h,w) bool of image (h,w,3) from centered scores (h,w).

    The scores' own sign where one side has fewer than `smallest` pixels. OpenCV draws the first color mixtures from a
    generator of its own, which is set before each cut, so that a mask does not depend on the images before it.
    """
    labels = seeds(scores, certain)
    foreground = scores > 0
    if min(foreground.sum(), (~foreground).sum()) < smallest:
        return foreground
    cv2.setRNGSeed(0)
    mixtures = np.zeros((1, MIXTURES)), np.zeros((1, MIXTURES))
    cv2.grabCut(np.ascontiguousarray(image), labels, None, *mixtures, iterations, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def mask(
    scores: np.ndarray, image: np.ndarray, certain: float, iterations: int, longest: int, smallest: int
) -> np.ndarray:
    """Mask (H,W) uint8 of image (H,W,3) from centered scores (K,h,w), cut at `longest` pixels: 0 or j + 1 for map j.

    The cut separates the highest of all maps from the background; each pixel inside takes the class of its highest
    map. K = 0: all background. The foreground is enlarged bilinearly and cut at one half.
    """
    if len(scores) == 0:
        return np.zeros(image.shape[:2], np.uint8)
    shape = grids.bound(image.shape[:2], longest)
    centered = grids.resize(scores.max(0, keepdims=True), shape)[0]
    inside = cut(centered, grids.resize_image(image, shape), certain, iterations, smallest)
    whole = grids.resize(inside[None].astype(np.float32), image.shape[:2])[0] > 0.5
    return grids.split_by_class(whole, scores)
