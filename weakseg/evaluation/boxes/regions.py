"""Boxes of the bright regions of a score map at every threshold at once.

Junsuk Choe, Seong Joon Oh, Seungho Lee, Sanghyuk Chun, Zeynep Akata, Hyunjung Shim, "Evaluating Weakly
Supervised Object Localization Methods Right", 2020, arXiv 2001.07437.
Differs from the paper: regions of all binarizations come from one merge tree; `label_regions` is the plain loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from weakseg.evaluation.boxes import contours
from weakseg.evaluation.boxes.merge_tree import Components, find_components
from weakseg.evaluation.boxes.recipe import Convention


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


def label_regions(scores: np.ndarray, thresholds: np.ndarray) -> Regions:
    """`find_regions` in convention `exact` as one would write it first: one threshold after the other.

    The same boxes in another order; of several largest ones with as many pixels it takes any.
    """
    boxes: list[tuple[int, ...]] = []
    starts, largest = [], []
    for threshold in thresholds:
        starts.append(len(boxes))
        _, _, stats, _ = cv2.connectedComponentsWithStats((scores > threshold).astype(np.uint8), connectivity=8)
        components = stats[1:]  # without the background: x, y, width, height and pixels of each
        if len(components) == 0:
            components = np.zeros((1, 5), int)
        corners = [(x, y, x + width, y + height) for x, y, width, height, _ in components.tolist()]
        largest.append(corners[components[:, cv2.CC_STAT_AREA].argmax()])
        boxes += corners
    return Regions(np.array(boxes), np.array(starts), np.array(largest), np.arange(len(thresholds)))


def find_regions(scores: np.ndarray, thresholds: np.ndarray, convention: Convention) -> Regions:
    """Regions of scores (H, W) in [0, 1] above each of the ascending thresholds (T,).

    reference: contours as in the published evaluator: a hole's border is a region too, the largest has the largest
    polygon area, x1 and y1 are at most W - 1 and H - 1. exact: one half-open box for each 8-connected component, the
    largest has the most pixels (of equals, the one whose peak is read first). Nothing above: box (0, 0, 0, 0).
    """
    ranks, which = rank_map(scores, thresholds, convention)
    cuts = int(which.max()) + 1
    if convention == "exact":
        components = find_components(ranks, scores, cuts, 8, (np.arange(ranks.size), ranks.ravel()))
        return list_regions(components.pick_heaviest()[0], [components], which)
    outer, holes = contours.find_contours(ranks, scores, cuts)
    return clip(list_regions(contours.pick_largest(outer, holes, ranks), [outer, holes], which), scores.shape)


def rank_map(scores: np.ndarray, thresholds: np.ndarray, convention: Convention) -> tuple[np.ndarray, np.ndarray]:
    """Ranks (H, W) and binarization `which` (T,) of each threshold: above threshold t means ranks > which[t].

    reference: scores are quantized to 0..255 by truncation and the cut is int(threshold * largest).
    exact: score > threshold.
    """
    if convention == "exact":
        return np.searchsorted(thresholds, scores, side="left").astype(np.int32), np.arange(len(thresholds))
    codes = (scores * 255).astype(np.uint8)
    cuts, which = np.unique((thresholds * float(codes.max())).astype(np.int64), return_inverse=True)
    return np.searchsorted(cuts, np.arange(256), side="left").astype(np.int32)[codes], which


def list_regions(largest: np.ndarray, parts: Iterable[Components], which: np.ndarray) -> Regions:
    """The boxes that are alive at each binarization, one after the other, each time the largest (N, 4) first."""
    cut, boxes = np.arange(len(largest)), largest  # (R,) binarization and (R, 4) box of each region
    for part in parts:
        column, row = np.nonzero(part.alive.T)
        cut, boxes = np.concatenate([cut, column]), np.concatenate([boxes, part.boxes[row, :, column]])
    order = np.argsort(cut, kind="stable")
    return Regions(boxes[order], np.searchsorted(cut[order], np.arange(len(largest))), largest, which)


def clip(regions: Regions, shape: tuple[int, ...]) -> Regions:
    """The same regions with x1 and y1 at most W - 1 and H - 1."""
    limit = np.array([np.inf, np.inf, shape[1] - 1, shape[0] - 1])
    boxes, largest = (np.minimum(item, limit).astype(np.int64) for item in (regions.boxes, regions.largest))
    return Regions(boxes, regions.starts, largest, regions.which)


def whole_image(size: int, count: int, convention: Convention) -> Regions:
    """The all-foreground baseline: one box over the (size, size) grid at each of `count` thresholds."""
    end = size - 1 if convention == "reference" else size
    box = np.array([[0, 0, end, end]])
    return Regions(box, np.zeros(1, np.int64), box, np.zeros(count, np.int64))
