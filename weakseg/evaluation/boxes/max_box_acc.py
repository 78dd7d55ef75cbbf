"""MaxBoxAcc and MaxBoxAccV2: how often a box around the bright region meets a true box.

Junsuk Choe, Seong Joon Oh, Seungho Lee, Sanghyuk Chun, Zeynep Akata, Hyunjung Shim, "Evaluating Weakly
Supervised Object Localization Methods Right", 2020, arXiv 2001.07437.
Differs from the paper: one pass serves both scores and all thresholds; `convention="exact"` drops the
published evaluator's quantization, truncations and one-pixel-fat boxes; the threshold carried over from
other images is scored beside the oracle one.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from weakseg.errors import UserError
from weakseg.evaluation.boxes.recipe import HALF, Convention
from weakseg.evaluation.boxes.regions import Regions, find_regions


def evaluation_map(scores: np.ndarray, size: int) -> np.ndarray:
    """Bicubic resize of scores (h, w) to (size, size) float64, then min-max to [0, 1].

    A constant map becomes all zeros. UserError on NaN or infinite scores.
    """
    if not np.isfinite(scores).all():
        raise UserError("the score map holds NaN or infinite values: regenerate the maps")
    resized = cv2.resize(scores.astype(np.float64), (size, size), interpolation=cv2.INTER_CUBIC)
    low, high = resized.min(), resized.max()
    if low == high:
        return np.zeros_like(resized)
    raised = resized - low
    return raised / raised.max()


def zero_level(scores: np.ndarray, size: int) -> float:
    """Where a score of 0 lies in the evaluation map of scores (h, w), clipped to [0, 1]; 1 for a constant map."""
    resized = cv2.resize(scores.astype(np.float64), (size, size), interpolation=cv2.INTER_CUBIC)
    low, high = resized.min(), resized.max()
    return 1.0 if low == high else float(np.clip(-low / (high - low), 0, 1))


def center_gaussian(size: int) -> np.ndarray:
    """Isotropic Gaussian of standard deviation size / 4 about the middle, min-max to [0, 1]; (size, size)."""
    offset = (np.arange(size) - (size - 1) / 2) / (size / 4)
    profile = np.exp(-(offset**2) / 2)
    return evaluation_map(np.outer(profile, profile), size)


def check_boxes(boxes: np.ndarray, height: int, width: int, where: str) -> None:
    """UserError unless every box (N, 4) x0 y0 x1 y1 is non-empty and inside the image."""
    x0, y0, x1, y1 = np.asarray(boxes, float).T
    bad = ~((x0 >= 0) & (x0 < x1) & (x1 <= width) & (y0 >= 0) & (y0 < y1) & (y1 <= height))
    if bad.any():
        box = np.asarray(boxes)[bad][0].tolist()
        raise UserError(f"{where}: box {box} is empty or outside the {width}x{height} image: clip it to the image")


def scale_boxes(boxes: np.ndarray, height: int, width: int, size: int, convention: Convention) -> np.ndarray:
    """True boxes (N, 4) in image pixels on the (size, size) grid: truncated to integers in `reference`."""
    scaled = np.asarray(boxes, float) * size / np.array([width, height, width, height], float)
    return np.trunc(scaled).astype(np.int64) if convention == "reference" else scaled


def iou(boxes: np.ndarray, truth: np.ndarray, convention: Convention) -> np.ndarray:
    """Intersection over union (R, N) of boxes (R, 4) with truth (N, 4); 0 where the union is empty.

    reference counts both edges of a box as inside: each side is x1 - x0 + 1.
    """
    fat = 1 if convention == "reference" else 0
    low = np.maximum(boxes[:, None, :2], truth[None, :, :2])  # (R, N, 2)
    high = np.minimum(boxes[:, None, 2:], truth[None, :, 2:])
    shared = np.maximum(high - low + fat, 0).prod(axis=2)  # (R, N)
    areas = [(item[:, 2:] - item[:, :2] + fat).prod(axis=1) for item in (boxes, truth)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    return np.where(union > 0, shared / np.where(union > 0, union, 1), 0.0)


def best_ious(regions: Regions, truth: np.ndarray, convention: Convention) -> np.ndarray:
    """Best overlap at each threshold, (2, T): row 0 of the largest region, row 1 of any; truth (N, 4) on the grid."""
    largest, every = (iou(boxes, truth, convention).max(axis=1) for boxes in (regions.largest, regions.boxes))
    # the best region of each binarization, then each threshold's binarization
    return np.stack([largest, np.maximum.reduceat(every, regions.starts)])[:, regions.which]


class BoxAccuracy:
    """Streaming MaxBoxAcc: `add` one image at a time, then `result`.

    thresholds (T,) ascending in [0, 1]; ious: the overlaps that count as a hit. Memory does not grow with the
    number of images.
    """

    def __init__(self, thresholds: np.ndarray, ious: Iterable[float], convention: Convention) -> None:
        self.thresholds = np.asarray(thresholds, float)
        self.ious = tuple(ious)
        self.convention = convention
        self.images = 0
        self.recognized = 0
        self.listed = 0
        shape = (len(self.ious), len(self.thresholds))
        self.largest = np.zeros(shape, np.int64)
        self.any = np.zeros(shape, np.int64)
        self.top1 = np.zeros(shape, np.int64)
        self.top5 = np.zeros(shape, np.int64)

    def add(self, regions: Regions, truth: np.ndarray, right: bool = True, listed: bool = True) -> np.ndarray:
        """Count one image; truth (N, 4) on the grid of the map.

        right: its class was recognized; listed: its class is among the five most probable ones. Returns the best
        overlaps (2, T) of the largest and of any region.
        """
        best = best_ious(regions, truth, self.convention)
        hits = best[:, None, :] >= np.array(self.ious)[None, :, None]  # (2, overlaps, T)
        self.largest += hits[0]
        self.any += hits[1]
        self.top1 += hits[0] & right
        self.top5 += hits[0] & listed
        self.images += 1
        self.recognized += bool(right)
        self.listed += bool(listed)
        return best

    def accuracy(self, kind: str) -> np.ndarray:
        """Share of hits (len(ious), T); kind: largest, any, top1 or top5. UserError without images."""
        if self.images == 0:
            raise UserError("no image with a true box to evaluate: box scores need boxes in data/truth/boxes.csv")
        return getattr(self, kind) / self.images

    def optimum(self, overlap: float = HALF) -> int:
        """Index of the one threshold, the first of equals, that is best for the largest region over all images."""
        return int(self.accuracy("largest")[self.ious.index(overlap)].argmax())

    def result(self) -> dict[str, float]:
        """Scores at the oracle threshold, which is chosen once for all images.

        max_box_acc: largest region, overlap 0.5; GT-known where the maps are of the images' labels. max_box_acc_v2: any
        region, mean over the overlaps of the maximum over thresholds. top1_loc, top5_loc: largest region right and
        class recognized, or among the five most probable ones, at the threshold of max_box_acc.
        """
        row, best = self.ious.index(HALF), self.optimum()
        scores = {
            "max_box_acc": self.accuracy("largest")[row, best],
            "max_box_acc_v2": self.accuracy("any").max(axis=1).mean(),
            "top1_loc": self.accuracy("top1")[row, best],
            "top5_loc": self.accuracy("top5")[row, best],
            "optimal_threshold": self.thresholds[best],
        }
        return {name: float(value) for name, value in scores.items()}

    def tabulate(self) -> list[dict[str, float]]:
        """One row an overlap: hits of the largest and of any region, each at its own best threshold.

        iou; largest, threshold: GT-known accuracy of one box an image, and where it is reached (the first of equals);
        top1, top5: class and largest region right, at the same threshold; any, any_threshold: of any region, whose mean
        over the rows is MaxBoxAccV2.
        """
        rows = []
        for place, overlap in enumerate(self.ious):
            best, other = (int(self.accuracy(kind)[place].argmax()) for kind in ("largest", "any"))
            row = {"iou": overlap, "largest": self.accuracy("largest")[place, best]}
            row |= {"threshold": self.thresholds[best]}
            row |= {kind: self.accuracy(kind)[place, best] for kind in ("top1", "top5")}
            row |= {"any": self.accuracy("any")[place, other], "any_threshold": self.thresholds[other]}
            rows.append({name: float(value) for name, value in row.items()})
        return rows


def max_box_acc(
    maps: Iterable[np.ndarray],
    boxes: Iterable[np.ndarray],
    thresholds: np.ndarray,
    ious: Iterable[float],
    convention: Convention,
) -> BoxAccuracy:
    """Accumulate maps (H, W) in [0, 1] with their true boxes (N, 4) on the grid of the maps; `.result()` has scores."""
    accuracy = BoxAccuracy(thresholds, ious, convention)
    for scores, truth in zip(maps, boxes, strict=True):
        accuracy.add(find_regions(scores, accuracy.thresholds, convention), np.asarray(truth))
    return accuracy
