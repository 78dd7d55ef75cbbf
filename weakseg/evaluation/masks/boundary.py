"""Agreement of mask outlines, and the filling of undecided pixels.

Boundary F-score: F. Perazzi, J. Pont-Tuset, B. McWilliams, L. Van Gool, M. Gross, A. Sorkine-Hornung, "A
Benchmark Dataset and Evaluation Methodology for Video Object Segmentation" (2016); first in G. Csurka et al.,
"What is a good evaluation measure for semantic segmentation?" (2013).
Differs from the paper: ignored pixels are first given to the nearest decided one, so that an undefined border
is cut in the middle.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from weakseg.artifacts.formats.masks import IGNORE


def fill_ignored(mask: np.ndarray, ignore: int = IGNORE) -> np.ndarray:
    """Give each ignored pixel of mask (H, W) uint8 the id of the nearest decided pixel (of one, where several are).

    All ignored becomes background (0).
    """
    unknown = mask == ignore
    if not unknown.any():
        return mask
    if unknown.all():
        return np.zeros_like(mask)
    nearest = ndimage.distance_transform_edt(unknown, return_distances=False, return_indices=True)  # (2, H, W)
    return mask[tuple(nearest)]


def outline(foreground: np.ndarray) -> np.ndarray:
    """Foreground pixels (H, W) bool with a background pixel among their eight neighbors.

    The frame of the image is no outline.
    """
    solid = foreground.astype(np.uint8)
    return (solid > 0) & (cv2.erode(solid, np.ones((3, 3), np.uint8)) == 0)


def boundary_f(prediction: np.ndarray, truth: np.ndarray, tolerance: float = 0.008) -> float:
    """F-score of the outline of prediction > 0 against that of truth > 0, masks (H, W) uint8 with 255 ignored.

    A pixel of one outline is right when the other passes within `tolerance` of the image diagonal (at least
    one pixel). F = 2 P R / (P + R); two empty outlines give 1, one empty outline 0.
    """
    ours, theirs = (outline(fill_ignored(mask) > 0) for mask in (prediction, truth))
    if not ours.any() or not theirs.any():
        return float(ours.any() == theirs.any())
    reach = max(round(tolerance * float(np.hypot(*truth.shape))), 1)
    steps = np.arange(-reach, reach + 1)
    disk = (steps[:, None] ** 2 + steps**2 <= reach**2).astype(np.uint8)
    near_ours, near_theirs = (cv2.dilate(line.astype(np.uint8), disk) > 0 for line in (ours, theirs))
    precision, recall = near_theirs[ours].mean(), near_ours[theirs].mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0
