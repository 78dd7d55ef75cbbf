"""Segmentation scores from one confusion matrix an image, under every published protocol at once.

Over- and under-activation: Y. Wang, J. Zhang, M. Kan, S. Shan, X. Chen, "Self-supervised Equivariant
Attention Mechanism for Weakly Supervised Semantic Segmentation" (2020), arXiv 2004.04581. Intervals: N.
Chamandy et al., "Estimating Uncertainty for Massive Data Streams" (2012), the Poisson bootstrap.
Differs from the paper: false positives and false negatives are divided by the union instead of the true
positives, so that IoU + over-activation + under-activation = 1.
"""

from __future__ import annotations

import itertools

import numpy as np

from weakseg.artifacts.zips import IGNORE
from weakseg.data.grids import resize_ids

AVERAGES = ("dataset", "image", "batch")
BORDERS = ("ignore", "foreground", "background", "class")
SIZES = ("original", "square")


def confusion(prediction: np.ndarray, truth: np.ndarray, classes: int, ignore: int = IGNORE) -> np.ndarray:
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
    keeps it as a class of its own.
    """
    foreground = counts[..., 1:-1, :].sum(-1)
    owner = np.where(foreground.sum(-1) > 0, foreground.argmax(-1) + 1, 0)
    cases = np.repeat(counts[..., None, :, :], len(BORDERS), axis=-3)
    cases[..., :3, -1, :] = 0
    to_owner = np.eye(counts.shape[-1], dtype=counts.dtype)[owner]
    cases[..., 1, :, :] += to_owner[..., :, None] * counts[..., -1:, :]
    cases[..., 2, 0, :] += counts[..., -1, :]
    return cases


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
    """Mean IoU (..., 4) of border cases (..., 4, C + 1, C + 1) over present classes.

    The border counts in its own case only.
    """
    classes = cases.shape[-1] - 1
    values = iou(*class_counts(cases, classes + 1))
    values[..., :3, classes] = np.nan
    return mean_present(values)


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles of values (N,) that are not NaN; NaN where there is none."""
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)


class Segmentation:
    """Streaming segmentation scores of (prediction, truth) pairs; memory does not grow with their number.

    classes counts the background. The batch average takes `batch` images in the order of `add`, an incomplete
    last batch counting as one; the square size is `side` pixels. The interval is the 95 % range of
    `replicates` Poisson-bootstrap replicates over images: each image weighs Poisson(1) in each, drawn from
    `seed`.
    """

    def __init__(self, classes: int, *, side: int = 256, batch: int = 32, replicates: int = 1000, seed: int = 0):
        self.classes, self.side, self.batch = classes, side, batch
        shape = (len(SIZES), len(BORDERS), classes + 1, classes + 1)
        self.images = 0
        self.total, self.pending = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        self.sums = {name: np.zeros(shape[:2]) for name in ("image", "batch")}
        self.numbers = {name: np.zeros(shape[:2]) for name in ("image", "batch")}
        self.replicas = np.zeros((replicates, 3, classes))
        self.generator = np.random.default_rng(seed)

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> float:
        """Add one image's masks (H, W) uint8; return its own mean IoU, border ignored, original size.

        NaN where the truth decides no pixel; such an image counts in no average.
        """
        square = [resize_ids(mask, (self.side, self.side)) for mask in (prediction, truth)]
        counts = confusion(prediction, truth, self.classes), confusion(square[0], square[1], self.classes)
        cases = border_cases(np.stack(counts))
        self.total += cases
        self.pending += cases
        self.images += 1
        own = case_miou(cases)
        self._average("image", own)
        if self.images % self.batch == 0:
            self._average("batch", case_miou(self.pending))
            self.pending[:] = 0
        parts = np.stack(class_counts(cases[0, 0], self.classes))
        self.replicas += self.generator.poisson(1.0, len(self.replicas))[:, None, None] * parts
        return float(own[0, 0])

    def result(self) -> dict[str, float]:
        """Scores at the headline protocol (dataset, border ignored, original size), fractions in [0, 1].

        miou with its interval miou_low, miou_high; miou_kept over the pixels on which the prediction does not
        abstain and kept, their share; pixel_accuracy; dice (mean over present classes); foreground_iou,
        over_activation and under_activation of everything but background, which add up to 1 (NaN without any
        foreground).
        """
        counts = self.total[0, 0]
        hits, predicted, true = class_counts(counts, self.classes)
        pixels, known = counts.sum(), counts[: self.classes, : self.classes]
        hit, extra = known[1:, 1:].sum(), known[0, 1:].sum()
        missed = counts[1:, 0].sum() + counts[1:, -1].sum()
        union = hit + missed + extra
        low, high = interval(self.replicate_miou())
        return {
            "miou": float(mean_present(iou(hits, predicted, true))),
            "miou_low": low,
            "miou_high": high,
            "miou_kept": float(mean_present(iou(hits, predicted, true - counts[: self.classes, -1]))),
            "kept": _ratio(pixels - counts[:, -1].sum(), pixels),
            "pixel_accuracy": _ratio(hits.sum(), pixels),
            "dice": float(mean_present(_dice(hits, predicted, true))),
            "foreground_iou": _ratio(hit, union),
            "over_activation": _ratio(extra, union),
            "under_activation": _ratio(missed, union),
        }

    def replicate_miou(self) -> np.ndarray:
        """Mean IoU (replicates,) of each bootstrap replicate.

        Meters of the same seed that saw the same images in the same order weigh them alike, so that their
        replicates can be compared one by one.
        """
        return mean_present(iou(*np.moveaxis(self.replicas, 1, 0)))

    def class_iou(self) -> np.ndarray:
        """IoU of each class (classes,) at the headline protocol; NaN for a class that occurs nowhere."""
        return iou(*class_counts(self.total[0, 0], self.classes))

    def protocols(self) -> list[dict[str, str | float]]:
        """One row {average, border, size, miou} for each of the 3 x 4 x 2 protocols."""
        sums, numbers = dict(self.sums), dict(self.numbers)
        if self.images % self.batch:
            last = case_miou(self.pending)
            sums["batch"] = sums["batch"] + np.where(np.isnan(last), 0, last)
            numbers["batch"] = numbers["batch"] + ~np.isnan(last)
        tables = {"dataset": case_miou(self.total)}
        for name in ("image", "batch"):
            empty = np.full(sums[name].shape, np.nan)
            tables[name] = np.divide(sums[name], numbers[name], out=empty, where=numbers[name] > 0)
        cells = itertools.product(AVERAGES, enumerate(BORDERS), enumerate(SIZES))
        return [
            {"average": average, "border": border, "size": size, "miou": float(tables[average][column, row])}
            for average, (row, border), (column, size) in cells
        ]

    def _average(self, name: str, values: np.ndarray) -> None:
        self.sums[name] += np.where(np.isnan(values), 0, values)
        self.numbers[name] += ~np.isnan(values)


def _dice(hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    total = predicted + true
    return np.divide(2 * hits, total, out=np.full(np.shape(total), np.nan), where=total > 0)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
