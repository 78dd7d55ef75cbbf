"""What predicted classes and class scores are worth, with one or several labels an image.

Average precision: M. Everingham, L. Van Gool, C. K. I. Williams, J. Winn, A. Zisserman, "The Pascal Visual
Object Classes Challenge" (2010).
Differs from the paper: the area under the exact precision-recall steps (as from VOC 2010 on), and equal
scores form one step.
"""

from __future__ import annotations

import numpy as np


def balanced_accuracy(predicted: np.ndarray, true: np.ndarray) -> float:
    """Mean over the classes that occur in true (N,) of the share predicted right; NaN for no image."""
    classes = np.unique(true)
    if not len(classes):
        return float("nan")
    return float(np.mean([(predicted[true == name] == name).mean() for name in classes]))


def top_k_accuracy(scores: np.ndarray, true: np.ndarray, k: int) -> float:
    """Share of rows of scores (N, K) whose true index (N,) is among the k highest.

    A tie counts against the image.
    """
    own = np.take_along_axis(scores, true[:, None], axis=1)
    better = (scores >= own).sum(1) - 1
    return float((better < k).mean())


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the precision-recall steps of scores (N,) against positive (N,) bool.

    NaN without a positive.
    """
    if not positive.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.append(np.diff(scores[order]) != 0, True)
    hits, ranks = hits[last], np.flatnonzero(last) + 1
    return float((np.diff(hits, prepend=0) * hits / ranks).sum() / positive.sum())


def mean_average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Mean over classes of the average precision of scores (N, K) against positive (N, K).

    Classes without a positive are left out.
    """
    values = [average_precision(*columns) for columns in zip(scores.T, positive.T, strict=True)]
    present = [value for value in values if not np.isnan(value)]
    return float(np.mean(present)) if present else float("nan")


def set_scores(predicted: list[set[str]], true: list[set[str]]) -> dict[str, float]:
    """Scores of predicted label sets against true ones: exact_match and the micro-averaged f1.

    NaN without an image, or for f1 without any label on either side.
    """
    hits = sum(len(guess & label) for guess, label in zip(predicted, true, strict=True))
    total = sum(len(guess) + len(label) for guess, label in zip(predicted, true, strict=True))
    exact = np.mean([guess == label for guess, label in zip(predicted, true, strict=True)]) if true else float("nan")
    return {"exact_match": float(exact), "f1": 2 * hits / total if total else float("nan")}
