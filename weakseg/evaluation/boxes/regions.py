"""Boxes of the bright regions of a score map at every threshold at once.

Junsuk Choe, Seong Joon Oh, Seungho Lee, Sanghyuk Chun, Zeynep Akata, Hyunjung Shim, "Evaluating Weakly
Supervised Object Localization Methods Right", 2020, arXiv 2001.07437.
Differs from the paper: no contour is traced threshold by threshold; regions, holes and areas of all binarizations
come from one merge tree each, and a contour is traced only where areas tie.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from weakseg.errors import UserError
from weakseg.evaluation.boxes.merge_tree import Components, find_components

CONVENTIONS = ("reference", "exact")


@dataclass(frozen=True)
class Regions:
    """The regions of one map, binarization by binarization; N binarizations are distinct.

    boxes (R, 4) int64 x0 y0 x1 y1 on the grid of the map; starts (N,) first region of each binarization;
    largest (N, 4) the box of its largest region; which (T,) the binarization each threshold falls on.
    """

    boxes: np.ndarray
    starts: np.ndarray
    largest: np.ndarray
    which: np.ndarray


def check_convention(convention: str) -> None:
    """UserError unless `convention` is one of CONVENTIONS."""
    if convention not in CONVENTIONS:
        raise UserError(f"unknown convention '{convention}' for boxes: choose one of {', '.join(CONVENTIONS)}")


def rank_map(scores: np.ndarray, thresholds: np.ndarray, convention: str) -> tuple[np.ndarray, np.ndarray]:
    """Ranks (H, W) and binarization `which` (T,) of each threshold: above threshold t means ranks > which[t].

    reference: scores are quantized to 0..255 by truncation and the cut is int(threshold * largest).
    exact: score > threshold.
    """
    if convention == "exact":
        return np.searchsorted(thresholds, scores, side="left").astype(np.int32), np.arange(len(thresholds))
    codes = (scores * 255).astype(np.uint8)
    cuts, which = np.unique((thresholds * float(codes.max())).astype(np.int64), return_inverse=True)
    return np.searchsorted(cuts, np.arange(256), side="left").astype(np.int32)[codes], which


def quad_samples(ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples (pixel indices, ranks) that count twice the area of a region between its pixel centers.

    A square of four neighboring pixels holds area 1 where all four are in the region and 1/2 where three are.
    """
    height, width = ranks.shape
    index = np.arange(ranks.size).reshape(height, width)
    corners = [(slice(0, height - 1), slice(0, width - 1)), (slice(0, height - 1), slice(1, width))]
    corners += [(slice(1, height), slice(0, width - 1)), (slice(1, height), slice(1, width))]
    (a, b, c, d), (i, j, k, m) = ([array[corner] for corner in corners] for array in (ranks, index))
    low, high = (np.minimum(a, b), np.minimum(c, d)), (np.maximum(a, b), np.maximum(c, d))
    three = np.minimum(np.maximum(*low), np.minimum(*high))
    top = np.where(high[0] >= high[1], np.where(a >= b, i, j), np.where(c >= d, k, m)).ravel()
    return np.concatenate([top, top]), np.concatenate([np.minimum(*low).ravel(), three.ravel()])


def find_holes(ranks: np.ndarray, scores: np.ndarray, cuts: int) -> Components:
    """Holes of ranks > n for n = 0..cuts-1: 4-connected background that does not reach the frame.

    Boxes are those of the pixels around a hole, one pixel wider than the hole on each side.
    """
    depth = np.pad(cuts - ranks, 1, constant_values=cuts + 1)
    found = find_components(depth, np.pad(1 - scores, 1, constant_values=1), cuts, 4)
    boxes = found.boxes[1:, :, ::-1] + np.array([-2, -2, 0, 0])[:, None]
    return Components(found.alive[1:, ::-1], boxes, found.mass[1:, ::-1])


def trace_largest(foreground: np.ndarray) -> tuple[int, int, int, int]:
    """Half-open box of the contour with the largest polygon area, the first of equals in OpenCV's order."""
    contours, _ = cv2.findContours(foreground.astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    x, y, w, h = cv2.boundingRect(max(contours, key=cv2.contourArea))
    return x, y, x + w, y + h


def largest_boxes(found: Components, holes: Components | None, ranks: np.ndarray) -> np.ndarray:
    """Half-open box (N, 4) of the component with the most mass; (0, 0, 0, 0) where there is no component.

    With `holes`, mass is twice the area without holes, and the contour's area fills them: where this leaves the
    largest open, or where areas tie, the contours of that binarization are traced.
    """
    mass = np.where(found.alive, found.mass, -1)
    top, column = mass.argmax(axis=0), np.arange(mass.shape[1])
    boxes = found.boxes[top, :, column] * (mass[top, column] >= 0)[:, None]
    if holes is None:
        return boxes
    filled = np.where(holes.alive, 2 * (holes.boxes[:, 2:] - holes.boxes[:, :2] - 1).prod(axis=1), 0).sum(axis=0)
    rectangle = 2 * (found.boxes[:, 2:] - found.boxes[:, :2] - 1).prod(axis=1)
    rivals = np.where(found.alive, np.minimum(found.mass + filled, rectangle), -1)
    rivals[top, column] = -1
    for cut in np.flatnonzero((rivals.max(axis=0) >= mass[top, column]) & (mass[top, column] >= 0)):
        boxes[cut] = trace_largest(ranks > cut)
    return boxes


def find_regions(scores: np.ndarray, thresholds: np.ndarray, convention: str) -> Regions:
    """Regions of scores (H, W) in [0, 1] above each of the ascending thresholds (T,).

    reference: contours as in the published evaluator: a hole's border is a region too, the largest has the largest
    polygon area, x1 and y1 are at most W - 1 and H - 1. exact: one half-open box for each 8-connected component, the
    largest has the most pixels (of equals, the one whose peak is read first). Nothing above: box (0, 0, 0, 0).
    """
    check_convention(convention)
    ranks, which = rank_map(scores, thresholds, convention)
    cuts = int(which.max()) + 1
    reference = convention == "reference"
    samples = quad_samples(ranks) if reference else (np.arange(ranks.size), ranks.ravel())
    found = find_components(ranks, scores, cuts, 8, samples)
    holes = find_holes(ranks, scores, cuts) if reference else None
    largest = largest_boxes(found, holes, ranks)
    cut, boxes = np.arange(cuts), largest
    for part in (found, holes) if holes else (found,):
        column, row = np.nonzero(part.alive.T)
        cut, boxes = np.concatenate([cut, column]), np.concatenate([boxes, part.boxes[row, :, column]])
    order = np.argsort(cut, kind="stable")
    boxes, starts = boxes[order], np.searchsorted(cut[order], np.arange(cuts))
    if reference:
        limit = np.array([np.inf, np.inf, scores.shape[1] - 1, scores.shape[0] - 1])
        boxes, largest = (np.minimum(item, limit).astype(np.int64) for item in (boxes, largest))
    return Regions(boxes, starts, largest, which)


def whole_image(size: int, count: int, convention: str) -> Regions:
    """The all-foreground baseline: one box over the (size, size) grid at each of `count` thresholds."""
    check_convention(convention)
    end = size - 1 if convention == "reference" else size
    box = np.array([[0, 0, end, end]])
    return Regions(box, np.zeros(1, np.int64), box, np.zeros(count, np.int64))
