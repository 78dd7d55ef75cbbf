"""Guided filter: a local linear model of the probabilities in the image's brightness, so that edges align.

Guided Image Filtering (He, Sun, Tang, 2010).
"""

from __future__ import annotations

import cv2
import numpy as np

from weakseg.data import grids
from weakseg.masks import pseudomasks
from weakseg.masks.refining import appearance


def mean(plane: np.ndarray, radius: int) -> np.ndarray:
    """Mean (H,W) over a square of 2 radius + 1 pixels, the border repeated."""
    return cv2.blur(plane, (2 * radius + 1,) * 2, borderType=cv2.BORDER_REPLICATE)


def filter_plane(plane: np.ndarray, guide: np.ndarray, radius: int, smoothness: float) -> np.ndarray:
    """q = mean(a) I + mean(b) with a = cov(I, p) / (var(I) + smoothness), b = mean(p) - a mean(I); all (H,W)."""
    brightness, value = mean(guide, radius), mean(plane, radius)
    slope = mean(guide * plane, radius) - brightness * value
    slope /= mean(guide * guide, radius) - brightness**2 + smoothness
    return mean(slope, radius) * guide + mean(value - slope * brightness, radius)


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
    smoothness: float,
    longest: int,
) -> np.ndarray:
    """Mask (H,W) uint8 of image (H,W,3) from scores (K,h,w): 0, j + 1, or 255 within `band`.

    Probabilities are filtered at `longest` pixels with windows of `radius` pixels there; `smoothness` is the variance
    of the brightness, in [0, 1], under which a window is flat.
    """
    if len(scores) == 0:
        return np.zeros(image.shape[:2], np.uint8)
    shape = grids.bound(image.shape[:2], longest)
    guide = appearance.lab(grids.resize_image(image, shape))[0]
    probability = pseudomasks.class_probabilities(grids.resize(scores, shape), threshold)
    filtered = np.stack([filter_plane(plane, guide, radius, smoothness) for plane in probability])  # (K+1,*shape)
    logits = grids.resize(pseudomasks.log_odds(filtered), image.shape[:2])  # (K,H,W)
    return grids.decide(logits, 0.0, 0.0 if decide_all else band)
