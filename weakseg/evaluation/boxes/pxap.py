"""PxAP: the area under the pixel precision-recall curve over a whole set of score maps.

Junsuk Choe, Seong Joon Oh, Seungho Lee, Sanghyuk Chun, Zeynep Akata, Hyunjung Shim, "Evaluating Weakly
Supervised Object Localization Methods Right", 2020, arXiv 2001.07437.
"""

from __future__ import annotations

import cv2
import numpy as np

from weakseg.artifacts.formats.masks import IGNORE
from weakseg.errors import UserError


class PixelPrecision:
    """Streaming PxAP: `add` one map with its mask at a time, then `result` and `curve`.

    thresholds (T,) ascending from 0, below 1: pixels are counted in the bins between them and in one for scores of 1.
    """

    def __init__(self, thresholds: np.ndarray) -> None:
        self.edges = np.append(np.asarray(thresholds, float), 1.0)
        self.images = 0
        self.counts = np.zeros((2, len(self.edges)), np.int64)

    def add(self, scores: np.ndarray, mask: np.ndarray) -> None:
        """Count the pixels of scores (H, W) in [0, 1]; mask: class ids, 0 background, 255 left out.

        A mask of another size is brought to (H, W) by nearest neighbor.
        """
        if mask.shape != scores.shape:
            mask = cv2.resize(mask, scores.shape[::-1], interpolation=cv2.INTER_NEAREST)
        kept = mask != IGNORE
        bins = np.searchsorted(self.edges, scores[kept], side="right") - 1
        place = bins + len(self.edges) * (mask[kept] > 0)
        self.counts += np.bincount(place, minlength=self.counts.size).reshape(self.counts.shape)
        self.images += 1

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Precision and recall (T + 1,) of score >= threshold, then of score 1; precision is 1 where nothing is found.

        UserError when no foreground pixel was counted.
        """
        background, foreground = self.counts[:, ::-1].cumsum(axis=1)[:, ::-1]
        if foreground[0] == 0:
            raise UserError("no foreground pixel to evaluate: PxAP needs masks in data/truth/masks")
        chosen = foreground + background  # (T + 1,) pixels above each threshold
        precision = np.where(chosen > 0, foreground / np.maximum(chosen, 1), 1.0)
        return precision, foreground / foreground[0]

    def result(self) -> float:
        """Area under the curve: sum over thresholds, from the highest, of precision times the gain in recall."""
        precision, recall = self.curve()
        return float((precision * (recall - np.append(recall[1:], 0))).sum())
