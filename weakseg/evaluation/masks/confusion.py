"""Confusion counts of two masks, what becomes of the border between object and background, and overlaps from counts."""

from __future__ import annotations

import numpy as np

from weakseg.artifacts.formats.masks import IGNORE

BORDERS = ("ignore", "foreground", "background", "class")


def count_pairs(prediction: np.ndarray, truth: np.ndarray, classes: int, ignore: int = IGNORE) -> np.ndarray:
    """Count the pixels of each (true, predicted) pair: (classes + 1, classes + 1) int64, row = truth.

    prediction, truth: (H, W) uint8 ids in 0..classes-1 or `ignore`. The last row counts the pixels ignored by
    the truth, the last column those on which the prediction abstains. ValueError on another id or on unequal
    shapes.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction {prediction.shape} and truth {truth.shape} differ in shape")
    index = np.full(256, -1, dtype=np.int32)
    index[:classes] = np.arange(classes)
    index[ignore] = classes
    pairs = index[truth] * (classes + 1) + index[prediction]
    if min(index[truth].min(initial=0), index[prediction].min(initial=0)) < 0:
        raise ValueError(f"a mask holds a class id outside 0..{classes - 1} and {ignore}")
    return np.bincount(pairs.ravel(), minlength=(classes + 1) ** 2).reshape(classes + 1, classes + 1)


def border_cases(counts: np.ndarray) -> np.ndarray:
    """Settle the border row of confusion counts (..., n, n), n = classes + 1, as BORDERS say: (..., 4, n, n).

    ignore drops the row; background adds it to class 0; foreground adds it to the image's most frequent
    foreground class (its only one where an image has one object class; background where it has none); class
    keeps it as a class of its own. For background, classes 1 and 2, and a border of 5 pixels; columns are
    background, 1, 2 and abstained:

        counts       ignore       foreground   background   class
        6 0 1 0      6 0 1 0      6 0 1 0      8 2 2 0      6 0 1 0
        0 3 0 0      0 3 0 0      0 3 0 0      0 3 0 0      0 3 0 0
        1 0 4 0      1 0 4 0      3 2 5 0      1 0 4 0      1 0 4 0     (class 2 has 5 pixels, class 1 has 3)
        2 2 1 0      0 0 0 0      0 0 0 0      0 0 0 0      2 2 1 0     (the border)
    """
    decided, border = counts.copy(), counts[..., -1:, :]  # (..., n, n), (..., 1, n)
    decided[..., -1, :] = 0
    one_row = np.eye(counts.shape[-1], dtype=counts.dtype)[..., None]  # (n, n, 1): a column that picks one row
    pixels = counts[..., 1:-1, :].sum(-1)  # (..., classes - 1), of each foreground class
    owner = np.where(pixels.sum(-1) > 0, pixels.argmax(-1) + 1, 0)  # (...)
    rules = {
        "ignore": decided,
        "foreground": decided + one_row[owner] * border,  # (..., n, 1) * (..., 1, n)
        "background": decided + one_row[0] * border,
        "class": counts,
    }
    return np.stack([rules[name] for name in BORDERS], axis=-3)


def iou(hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Intersection over union of pixel counts (...): hits / (predicted + true - hits).

    NaN for a class absent from both.
    """
    union = predicted + true - hits
    return np.divide(hits, union, out=np.full(np.shape(union), np.nan), where=union > 0)


def class_counts(counts: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hits, predicted and true pixels (..., classes) of the first classes of confusion counts (..., n, n)."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)[..., :classes]
    return hits, counts.sum(-2)[..., :classes], counts.sum(-1)[..., :classes]


def mean_present(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN; NaN where nothing is left."""
    present = ~np.isnan(values)
    total = np.where(present, values, 0).sum(-1)
    number = present.sum(-1)
    return np.divide(total, number, out=np.full(np.shape(total), np.nan), where=number > 0)


def case_miou(cases: np.ndarray) -> np.ndarray:
    """Mean IoU (..., 4) of border cases (..., 4, n, n) over present classes; the border counts in case `class` only."""
    values = iou(*class_counts(cases, cases.shape[-1]))  # (..., 4, n)
    border_counts = np.array([name == "class" for name in BORDERS])
    values[..., -1] = np.where(border_counts, values[..., -1], np.nan)
    return mean_present(values)
