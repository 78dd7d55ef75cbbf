"""Ridge regression inside one image: what the scores say, as a linear function of shallow features, color and position.

Ridge Regression: Biased Estimation for Nonorthogonal Problems (Hoerl, Kennard, 1970).
"""

from __future__ import annotations

import numpy as np

from weakseg.data import grids
from weakseg.masks.refining import image_regression


def refine(
    scores: np.ndarray,
    image: np.ndarray,
    segments: np.ndarray,
    features: np.ndarray | None,
    *,
    threshold: float,
    decide_all: bool,
    band: float,
    penalty: float,
    longest: int,
) -> np.ndarray:
    """Mask (H,W) uint8 of image (H,W,3) from scores (K,h,w) and features (D,h',w'): 0, j + 1, or 255 within `band`.

    The regression is fitted and read at `longest` pixels; `penalty` is that of standardized regressors.
    """
    if len(scores) == 0:
        return np.zeros(image.shape[:2], np.uint8)
    shape = grids.bound(image.shape[:2], longest)
    logits = image_regression.regress(scores - threshold, image, features, penalty, shape)
    return grids.decide(grids.resize(logits, image.shape[:2]), 0.0, 0.0 if decide_all else band)
