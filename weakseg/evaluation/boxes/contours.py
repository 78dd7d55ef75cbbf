"""Regions as the published evaluator sees them: outer contours, borders of holes, polygon areas.

Junsuk Choe, Seong Joon Oh, Seungho Lee, Sanghyuk Chun, Zeynep Akata, Hyunjung Shim, "Evaluating Weakly
Supervised Object Localization Methods Right", 2020, arXiv 2001.07437.
Differs from the paper: no contour is traced threshold by threshold; regions, holes and areas of all binarizations
come from one merge tree each, and a contour is traced only where areas tie.
"""

from __future__ import annotations

import cv2
import numpy as np

from weakseg.evaluation.boxes.merge_tree import Components, Samples, find_components


def find_contours(ranks: np.ndarray, scores: np.ndarray, cuts: int) -> tuple[Components, Components]:
    """Regions and holes of ranks (H, W) > n for n = 0..cuts-1; a region's mass is twice its area without holes."""
    return find_components(ranks, scores, cuts, 8, sample_quads(ranks)), find_holes(ranks, scores, cuts)


def sample_quads(ranks: np.ndarray) -> Samples:
    """Samples that count twice the area of a region between its pixel centers.

    A square of four neighboring pixels holds area 1 where all four are in the region and 1/2 where three are: it
    gives one sample with the lowest of its four ranks and one with the second lowest. Both belong to its highest
    pixel, which is in the region whenever three are.
    """
    height, width = ranks.shape
    index = np.arange(ranks.size).reshape(height, width)
    up, down, left, right = slice(0, height - 1), slice(1, height), slice(0, width - 1), slice(1, width)
    corners = (up, left), (up, right), (down, left), (down, right)
    (a, b, c, d), (i, j, k, m) = ([array[corner] for corner in corners] for array in (ranks, index))  # (H-1, W-1) each
    low, high = (np.minimum(a, b), np.minimum(c, d)), (np.maximum(a, b), np.maximum(c, d))
    lowest, second = np.minimum(*low), np.minimum(np.maximum(*low), np.minimum(*high))
    top = np.where(high[0] >= high[1], np.where(a >= b, i, j), np.where(c >= d, k, m)).ravel()
    return np.concatenate([top, top]), np.concatenate([lowest.ravel(), second.ravel()])


def find_holes(ranks: np.ndarray, scores: np.ndarray, cuts: int) -> Components:
    """Holes of ranks > n for n = 0..cuts-1: 4-connected background that does not reach the frame.

    Boxes are those of the pixels around a hole, one pixel wider than the hole on each side.
    """
    # upside down, holes are components; the padding is the highest peak, number 0: the background outside
    depth = np.pad(cuts - ranks, 1, constant_values=cuts + 1)  # (H + 2, W + 2)
    components = find_components(depth, np.pad(1 - scores, 1, constant_values=1), cuts, 4)
    # depth > m is ranks <= n for m = cuts - 1 - n, so columns turn around; the padding shifts boxes by 1, the rim by 1
    boxes = components.boxes[1:, :, ::-1] + np.array([-2, -2, 0, 0])[:, None]
    return Components(components.alive[1:, ::-1], boxes, components.mass[1:, ::-1])


def pick_largest(regions: Components, holes: Components, ranks: np.ndarray) -> np.ndarray:
    """Half-open box (N, 4) of the contour with the largest polygon area; (0, 0, 0, 0) where there is none.

    A contour's area fills its holes, mass leaves them out: where this leaves the largest open, or where areas tie,
    the contours of that binarization are traced.
    """
    boxes, top, most = regions.pick_heaviest()
    # twice the most that a region's area can be: mass and all holes, and no more than its rectangle between centers
    filled = np.where(holes.alive, 2 * _inner_areas(holes), 0).sum(axis=0)  # (N,)
    bound = np.where(regions.alive, np.minimum(regions.mass + filled, 2 * _inner_areas(regions)), -1)  # (M, N)
    bound[top, np.arange(len(top))] = -1
    for cut in np.flatnonzero((bound.max(axis=0) >= most) & (most >= 0)):
        boxes[cut] = trace_largest(ranks > cut)
    return boxes


def trace_largest(foreground: np.ndarray) -> tuple[int, int, int, int]:
    """Half-open box of the contour with the largest polygon area, the first of equals in OpenCV's order."""
    contours, _ = cv2.findContours(foreground.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    x, y, w, h = cv2.boundingRect(max(contours, key=cv2.contourArea))
    return x, y, x + w, y + h


def _inner_areas(components: Components) -> np.ndarray:
    """Areas (M, N) of the boxes from the center of their first pixel to that of their last."""
    return (components.boxes[:, 2:] - components.boxes[:, :2] - 1).prod(axis=1)
