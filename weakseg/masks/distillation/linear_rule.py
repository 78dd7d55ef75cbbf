"""Cross-layer linear distillation: a linear rule on an earlier layer learns the activation maps of the last one.

The seed's mistakes are tied to position and to the last layer. A linear rule on single cells of an earlier layer cannot
reproduce them, so only what is consistent over the data set survives; relabeling with the rule and fitting again
makes it better. The rule is linear discriminant analysis in closed form:
The Use of Multiple Measurements in Taxonomic Problems (Fisher, 1936).
This project's own method: docs/distillation.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weakseg.masks.distillation.cells import IGNORED, Cells
from weakseg.masks.thresholds import otsu

CHUNK = 65_536  # cells in float64 at a time


@dataclass(frozen=True)
class Rule:
    """Linear scores z = cells @ weight + offset, weight (C,K), offset (K,): class k where z_k > 0.

    The unit of z_k is the standard deviation of the scores the rule was calibrated on.
    """

    weight: np.ndarray
    offset: np.ndarray

    def maps(self, features: np.ndarray) -> np.ndarray:
        """z (K,h,w) of features (C,h,w)."""
        flat = features.reshape(len(features), -1).astype(np.float32)  # (C,h,w) -> (C, h w)
        z = self.weight.T @ flat + self.offset[:, None]  # (K, h w)
        return z.reshape(-1, *features.shape[1:])


def sum_moments(cells: Cells, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count (K+1,), sum (K+1,C) and second moment (C,C) of the labeled cells, in chunks, float64."""
    counts, channels = np.zeros(classes + 1), cells.features.shape[1]
    sums, second = np.zeros((classes + 1, channels)), np.zeros((channels, channels))
    for start in range(0, len(cells.labels), CHUNK):
        labels = cells.labels[start : start + CHUNK]
        kept = labels != IGNORED
        features = cells.features[start : start + CHUNK][kept].astype(np.float64)  # (n,C)
        # One-hot membership: a product with it sums over the cells of each class.
        member = (np.arange(classes + 1)[:, None] == labels[kept]).astype(np.float64)  # (K+1,n)
        counts, sums, second = counts + member.sum(1), sums + member @ features, second + features.T @ features
    return counts, sums, second


def fit_discriminant(cells: Cells, covariance_ridge: float) -> np.ndarray:
    """Weights (C,K) of the linear discriminants of standardized cells: S w_k = mean_k - mean_0.

    S is the covariance inside the classes plus `covariance_ridge` times the identity. A class without cells takes
    the mean of all foreground cells.
    """
    counts, sums, second = sum_moments(cells, cells.present.shape[1])
    means = sums / np.maximum(counts, 1)[:, None]  # (K+1,C)
    # Scatter inside the classes: sum_i x_i x_i' less sum_k n_k mean_k mean_k', so that no cell is centered twice.
    inside = second - (means * counts[:, None]).T @ means  # (C,C)
    covariance = inside / max(counts.sum(), 1) + covariance_ridge * np.eye(len(second))
    foreground = sums[1:].sum(0) / max(counts[1:].sum(), 1)  # (C,)
    means = np.where(counts[:, None] > 0, means, foreground)
    return np.linalg.solve(covariance, (means[1:] - means[0]).T).astype(np.float32)


def calibrate(weight: np.ndarray, cells: Cells, tails: float, shares: np.ndarray | None = None) -> Rule:
    """The rule whose zero is Otsu's threshold of the linear scores, in units of their standard deviation.

    Class k's scores are those in images that have class k; for a class that no image has, those of all cells. With
    `shares` (K,) the zero is where that share of class k's scores lies above it, instead.
    """
    raw = cells.features @ weight  # (N,C) -> (N,K)
    # Only images that have class k hold both of its sides; elsewhere all is background and would move the threshold.
    owned = [raw[cells.present[:, k], k] if cells.present[:, k].any() else raw[:, k] for k in range(weight.shape[1])]
    if shares is None:
        zero = np.array([otsu.threshold(own, tails) for own in owned])  # (K,)
    else:
        zero = np.array([np.quantile(own, 1 - share) for own, share in zip(owned, shares, strict=True)])  # (K,)
    unit = np.array([max(float(own.std()), 1e-12) for own in owned])  # (K,)
    # (raw - zero) / unit, with division and shift moved into the rule.
    return Rule((weight / unit).astype(np.float32), (-zero / unit).astype(np.float32))


def count_shares(z: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Share (K,) of z (N,K) above 0 among the cells of images that have the class, present (N,K); 0 where none has."""
    return ((z > 0) & present).sum(0) / np.maximum(present.sum(0), 1)


def relabel(z: np.ndarray, present: np.ndarray, band: float) -> np.ndarray:
    """Labels (N,) from z (N,K): k + 1 of the highest class among those present (N,K) if z > band, 0 if all are below
    -band, else -1. Cells of an image without class are background."""
    allowed = np.where(present, z, -np.inf)
    best = allowed.max(1, initial=-np.inf)  # (N,K) -> (N,)
    labels = np.where(best > band, allowed.argmax(1) + 1, IGNORED)
    return np.where(best < -band, 0, labels)


def unstandardize(rule: Rule, mean: np.ndarray, std: np.ndarray) -> Rule:
    """The rule for raw features from the one for (features - mean) / std, mean and std (C,)."""
    weight = rule.weight / std[:, None]  # (C,K)
    return Rule(weight.astype(np.float32), (rule.offset - mean @ weight).astype(np.float32))
