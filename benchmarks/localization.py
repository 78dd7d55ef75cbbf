"""The localization evaluator beside plain loops over thresholds: same counts, and how much faster.

Junsuk Choe et al., "Evaluating Weakly Supervised Object Localization Methods Right", 2020, arXiv 2001.07437.
Run: python -m benchmarks.localization
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from weakseg.evaluation.boxes.max_box_acc import evaluation_map, max_box_acc
from weakseg.evaluation.boxes.regions import find_regions, label_regions

SIZE = 224
THRESHOLDS = np.arange(0, 1, 0.001)
IOUS = (0.3, 0.5, 0.7)


def plain_boxes(scores: np.ndarray, threshold: float, largest: bool) -> list[list[int]]:
    """Boxes of one binarization, step by step as published; `largest` keeps the largest contour only."""
    height, width = scores.shape
    image = (scores * 255).astype(np.uint8)
    foreground = cv2.threshold(image, int(threshold * np.max(image)), 255, cv2.THRESH_BINARY)[1]
    contours = cv2.findContours(foreground, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
    if len(contours) == 0:
        return [[0, 0, 0, 0]]
    if largest:
        contours = [max(contours, key=cv2.contourArea)]
    boxes = []
    for contour in contours:
        x, y, w, h = cv2.boundingRect(contour)
        boxes.append([x, y, min(x + w, width - 1), min(y + h, height - 1)])
    return boxes


def plain_ious(boxes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Best overlap (R,) of boxes (R, 4) with truth (N, 4), where both ends of a box are inside."""
    low = np.maximum(boxes[:, None, :2], truth[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], truth[None, :, 2:])
    shared = np.maximum(0, high[..., 0] - low[..., 0] + 1) * np.maximum(0, high[..., 1] - low[..., 1] + 1)
    areas = [(item[:, 2] - item[:, 0] + 1) * (item[:, 3] - item[:, 1] + 1) for item in (boxes, truth)]
    return (shared / (areas[0][:, None] + areas[1][None, :] - shared)).max(axis=1)


def plain_counts(maps: list[np.ndarray], truths: list[np.ndarray], largest: bool) -> np.ndarray:
    """Hits (len(IOUS), len(THRESHOLDS)): boxes one threshold after the other, overlaps of an image at once."""
    counts = np.zeros((len(IOUS), len(THRESHOLDS)), int)
    for scores, truth in zip(maps, truths, strict=True):
        groups = [plain_boxes(scores, threshold, largest) for threshold in THRESHOLDS]
        overlap = plain_ious(np.array([box for group in groups for box in group]), truth)
        ends = np.cumsum([len(group) for group in groups])
        best = np.array([max(overlap[end - len(group) : end]) for group, end in zip(groups, ends, strict=True)])
        counts += best >= np.array(IOUS)[:, None]
    return counts


def smooth_maps(count: int, cells: int, seed: int) -> list[np.ndarray]:
    """Random (cells, cells) activations brought to the evaluation size, as a class activation map is."""
    generator = np.random.default_rng(seed)
    return [evaluation_map(generator.random((cells, cells)), SIZE) for _ in range(count)]


def random_truths(count: int, seed: int) -> list[np.ndarray]:
    """One random true box for each map."""
    generator = np.random.default_rng(seed)
    low = generator.integers(0, SIZE // 2, (count, 1, 2))
    return list(np.concatenate([low, low + generator.integers(10, SIZE // 2, (count, 1, 2))], axis=2))


def measure_seconds(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """Result and seconds of processor time, which other work on the machine does not disturb."""
    start = time.process_time()
    result = function(*arguments)
    return result, time.process_time() - start


def compare_published(cells: int) -> None:
    """Convention `reference`: the published loop over 1,000 thresholds against max_box_acc."""
    maps, truths = smooth_maps(20, cells, cells), random_truths(20, cells)
    largest, largest_seconds = measure_seconds(plain_counts, maps, truths, True)
    every, every_seconds = measure_seconds(plain_counts, maps, truths, False)
    ours, seconds = measure_seconds(max_box_acc, maps, truths, THRESHOLDS, IOUS, "reference")
    same = (ours.largest == largest).all() and (ours.any == every).all()
    print(
        f"{cells}x{cells} cells: plain loop {(largest_seconds + every_seconds) / len(maps):.4f} s/image "
        f"(largest {largest_seconds / len(maps):.4f}, all {every_seconds / len(maps):.4f}), "
        f"this {seconds / len(maps):.4f} s/image, "
        f"{(largest_seconds + every_seconds) / seconds:.1f} x faster, same counts: {same}"
    )


def compare_labeling(cells: int, step: float) -> None:
    """Convention `exact`: labeling one threshold after the other against the merge tree."""
    maps, thresholds = smooth_maps(20, cells, cells), np.arange(0, 1, step)
    plain = sum(measure_seconds(label_regions, one, thresholds)[1] for one in maps)
    ours = sum(measure_seconds(find_regions, one, thresholds, "exact")[1] for one in maps)
    print(
        f"{cells}x{cells} cells, {len(thresholds)} thresholds: labeling {plain / len(maps):.4f} s/image, "
        f"merge tree {ours / len(maps):.4f} s/image, {plain / ours:.1f} x faster"
    )


def main() -> None:
    """Compare counts and time on random maps of 7x7 to 28x28 cells, and regions up to 112x112."""
    max_box_acc(smooth_maps(1, 7, 0), random_truths(1, 0), THRESHOLDS, IOUS, "reference")
    for cells in (7, 14, 28):
        compare_published(cells)
    for cells in (7, 28, 112):
        compare_labeling(cells, 0.02)
        compare_labeling(cells, 0.001)


if __name__ == "__main__":
    main()
