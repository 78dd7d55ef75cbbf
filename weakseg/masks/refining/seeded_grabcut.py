"""GrabCut from scores: color mixtures and a graph cut, with hard seeds where the scores are sure.

GrabCut: Interactive Foreground Extraction using Iterated Graph Cuts (Rother, Kolmogorov, Blake, 2004).
Differs from the paper: the user's strokes are the scores beyond `certain`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from weakseg.data import grids

MIXTURE = (1, 65)  # OpenCV's form of five Gaussians in RGB: 5 weights, 5 x 3 means, 5 x 9 covariances
NO_BOX = (0, 0, 0, 0)  # of OpenCV's other mode, where a box around the object stands for the seeds


@dataclass(frozen=True)
class Cut:
    """How the graph is cut."""

    certain: float  # absolute score from which a pixel is a hard seed
    iterations: int  # rounds of mixtures and cut
    longest: int  # pixels, longer side of the image that is cut
    smallest: int  # pixels; with fewer on one side there is nothing to cut


def mark_seeds(scores: np.ndarray, certain: float) -> np.ndarray:
    """GrabCut's four labels for centered scores (h,w): sure beyond +-certain, probable by sign in between."""
    probable = np.where(scores > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    sure = np.where(scores > 0, cv2.GC_FGD, cv2.GC_BGD)
    return np.where(np.abs(scores) > certain, sure, probable).astype(np.uint8)


def cut_foreground(scores: np.ndarray, image: np.ndarray, cut: Cut) -> np.ndarray:
    """Foreground (h,w) bool of image (h,w,3) from centered scores (h,w).

    The scores' own sign where one side has fewer than `cut.smallest` pixels.
    """
    labels = mark_seeds(scores, cut.certain)
    foreground = scores > 0
    if min(foreground.sum(), (~foreground).sum()) < cut.smallest:
        return foreground
    # OpenCV draws the first mixtures from a generator of its own: set, a mask does not depend on the images before it.
    cv2.setRNGSeed(0)
    mixtures = np.zeros(MIXTURE), np.zeros(MIXTURE)
    # Labels are changed in place: hard seeds stay, each probable pixel becomes probable foreground or background.
    cv2.grabCut(np.ascontiguousarray(image), labels, NO_BOX, *mixtures, cut.iterations, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def cut_mask(scores: np.ndarray, image: np.ndarray, cut: Cut) -> np.ndarray:
    """Mask (H,W) uint8 of image (H,W,3) from centered scores (K,h,w): 0 or j + 1 for map j.

    The cut separates the highest of all maps from the background; each pixel inside takes the class of its highest
    map. K = 0: all background. What was cut at `cut.longest` pixels is enlarged bilinearly.
    """
    if len(scores) == 0:
        return np.zeros(image.shape[:2], np.uint8)
    shape = grids.bound(image.shape[:2], cut.longest)
    highest = grids.resize(scores.max(0, keepdims=True), shape)[0]  # (K,h,w) -> (*shape)
    inside = cut_foreground(highest, grids.resize_image(image, shape), cut)
    whole = grids.resize(inside[None].astype(np.float32), image.shape[:2])[0] > 0.5  # (*shape) -> (H,W)
    return grids.split_by_class(whole, scores)
