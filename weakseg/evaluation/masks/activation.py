"""What maps light up: thresholds swept over a whole set, and the share and recall of heads and bodies.

Threshold sweep: J. Choe, S. J. Oh, S. Lee, S. Chun, Z. Akata, H. Shim, "Evaluating Weakly Supervised Object
Localization Methods Right" (2020), arXiv 2001.07437, which tunes one threshold for the whole set.
Differs from the paper: the score that is swept is the mean IoU of foreground and background.
"""

from __future__ import annotations

import numpy as np

from weakseg.artifacts.formats.masks import IGNORE


class ThresholdSweep:
    """Streaming search for the one threshold with the best mean IoU over a whole set.

    An oracle, since it reads the true masks. Scores are counted in `bins` equal bins from low to high; what lies
    outside is counted in the first or last bin.
    """

    def __init__(self, low: float, high: float, bins: int = 1000):
        self.low, self.high, self.bins = low, high, bins
        self.background = np.zeros(bins, dtype=np.int64)
        self.foreground = np.zeros(bins, dtype=np.int64)

    def add(self, scores: np.ndarray, truth: np.ndarray) -> None:
        """Count scores (H, W) under truth (H, W) uint8: 0 background, 255 ignored, all else foreground."""
        scaled = (scores - self.low) / (self.high - self.low) * self.bins  # (H, W)
        index = np.clip(scaled, 0, self.bins - 1).astype(np.int64)
        self.background += np.bincount(index[truth == 0], minlength=self.bins)
        self.foreground += np.bincount(index[(truth > 0) & (truth != IGNORE)], minlength=self.bins)

    def result(self) -> tuple[float, float]:
        """The best threshold (foreground = scores above it; the lowest of equals) and its mean IoU.

        NaN where one side is empty.
        """
        front, back = self.foreground.sum(), self.background.sum()
        if not front or not back:
            return float("nan"), float("nan")
        missed, right = (np.cumsum(part) for part in (self.foreground, self.background))
        foreground = (front - missed) / (front + back - right)
        background = right / (back + missed)
        best = int(np.argmax(foreground + background))
        threshold = self.low + (best + 1) * (self.high - self.low) / self.bins
        return threshold, float(foreground[best] + background[best]) / 2


class HeadBias:
    """Streaming means, over the images with a head box, of what is found of the head and of the body."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.numbers: dict[str, int] = {}

    def add(
        self,
        prediction: np.ndarray,
        truth: np.ndarray,
        boxes: np.ndarray,
        activation: np.ndarray | None = None,
    ) -> None:
        """Add one image: masks (H, W) uint8, head boxes (N, 4) half-open in pixels, activation (H, W) >= 0.

        Without an activation the prediction itself is taken, as 0 and 1. Object = truth other than 0 and 255;
        head = the object inside any box, body = the object outside all of them. A part without pixels does not
        count for its recall.
        """
        inside = np.zeros(truth.shape, dtype=bool)
        for x0, y0, x1, y1 in np.rint(boxes).astype(int):
            inside[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = True
        object_ = (truth > 0) & (truth != IGNORE)
        predicted = (prediction > 0) & (prediction != IGNORE)
        head, body = object_ & inside, object_ & ~inside
        values = predicted.astype(np.float64) if activation is None else activation
        self._add("head_recall", predicted[head].sum(), head.sum())
        self._add("body_recall", predicted[body].sum(), body.sum())
        self._add("head_area", head.sum(), object_.sum())
        self._add("head_share", values[head].sum(), values[object_].sum())

    def result(self) -> dict[str, float]:
        """head_recall, body_recall, head_area and head_share.

        The last two are the head's share of the object's pixels and of the object's activation. A key without a
        single image is left out.
        """
        return {name: total / self.numbers[name] for name, total in self.sums.items()}

    def _add(self, name: str, part: float, whole: float) -> None:
        if whole > 0:
            self.sums[name] = self.sums.get(name, 0.0) + float(part) / float(whole)
            self.numbers[name] = self.numbers.get(name, 0) + 1
