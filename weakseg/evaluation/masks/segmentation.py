"""Segmentation scores of a stream of masks, under every published protocol at once.

Over- and under-activation: Y. Wang, J. Zhang, M. Kan, S. Shan, X. Chen, "Self-supervised Equivariant
Attention Mechanism for Weakly Supervised Semantic Segmentation" (2020), arXiv 2004.04581. Intervals: N.
Chamandy et al., "Estimating Uncertainty for Massive Data Streams" (2012), the Poisson bootstrap.
Differs from the paper: false positives and false negatives are divided by the union instead of the true
positives, so that IoU + over-activation + under-activation = 1.
"""

from __future__ import annotations

import itertools

import numpy as np

from weakseg.data.grids import resize_ids
from weakseg.evaluation.masks.confusion import (
    BORDERS,
    border_cases,
    case_miou,
    class_counts,
    count_pairs,
    iou,
    mean_present,
)  # fmt: skip

AVERAGES = ("dataset", "image", "batch")
SIZES = ("original", "square")
HEADLINE = SIZES.index("original"), BORDERS.index("ignore")  # of a table (2 sizes, 4 borders, ...)


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
        self.total = np.zeros(shape, dtype=np.int64)
        self.pending = np.zeros(shape, dtype=np.int64)  # of the batch that is not full yet
        self.sums = {name: np.zeros(shape[:2]) for name in ("image", "batch")}
        self.numbers = {name: np.zeros(shape[:2]) for name in ("image", "batch")}
        self.replicas = np.zeros((replicates, 3, classes))
        self.generator = np.random.default_rng(seed)

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> float:
        """Add one image's masks (H, W) uint8; return its own mean IoU, border ignored, original size.

        NaN where the truth decides no pixel; such an image counts in no average.
        """
        square = (self.side, self.side)
        counts = {
            "original": count_pairs(prediction, truth, self.classes),  # (n, n)
            "square": count_pairs(resize_ids(prediction, square), resize_ids(truth, square), self.classes),
        }
        cases = border_cases(np.stack([counts[name] for name in SIZES]))  # (2, 4, n, n)
        self.total += cases
        self.pending += cases
        self.images += 1
        own = case_miou(cases)  # (2, 4)
        self._average("image", own)
        if self.images % self.batch == 0:
            self._average("batch", case_miou(self.pending))
            self.pending[:] = 0
        parts = np.stack(class_counts(cases[HEADLINE], self.classes))  # (3, classes)
        weights = self.generator.poisson(1.0, len(self.replicas))  # how often each replicate draws this image
        self.replicas += weights[:, None, None] * parts  # (replicates, 3, classes)
        return float(own[HEADLINE])

    def result(self) -> dict[str, float]:
        """Scores at the headline protocol (dataset, border ignored, original size), fractions in [0, 1].

        miou with its interval miou_low, miou_high; miou_kept over the pixels on which the prediction does not
        abstain and kept, their share; pixel_accuracy; dice (mean over present classes); foreground_iou,
        over_activation and under_activation of everything but background, which add up to 1 (NaN without any
        foreground).
        """
        counts = self.total[HEADLINE]  # (n, n), row = truth, last column: abstained
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
        return iou(*class_counts(self.total[HEADLINE], self.classes))

    def protocols(self) -> list[dict[str, str | float]]:
        """One row {average, border, size, miou} for each of the 3 x 4 x 2 protocols."""
        tables = dict(zip(AVERAGES, self._averages(), strict=True))
        cells = itertools.product(AVERAGES, enumerate(BORDERS), enumerate(SIZES))
        return [
            {"average": average, "border": border, "size": size, "miou": float(tables[average][column, row])}
            for average, (row, border), (column, size) in cells
        ]

    def _averages(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean IoU (2 sizes, 4 borders) of the whole set, of images and of batches, in the order of AVERAGES."""
        last = case_miou(self.pending)  # of the batch that is not full; all NaN where there is none
        batches = self.sums["batch"] + np.where(np.isnan(last), 0, last), self.numbers["batch"] + ~np.isnan(last)
        return case_miou(self.total), _mean(self.sums["image"], self.numbers["image"]), _mean(*batches)

    def _average(self, name: str, values: np.ndarray) -> None:
        self.sums[name] += np.where(np.isnan(values), 0, values)
        self.numbers[name] += ~np.isnan(values)


def _dice(hits: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    total = predicted + true
    return np.divide(2 * hits, total, out=np.full(np.shape(total), np.nan), where=total > 0)


def _mean(sums: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    return np.divide(sums, numbers, out=np.full(sums.shape, np.nan), where=numbers > 0)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
