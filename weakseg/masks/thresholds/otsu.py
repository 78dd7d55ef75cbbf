"""Otsu's threshold over all scores given: the split with the largest variance between its two sides.

A Threshold Selection Method from Gray-Level Histograms (Otsu, 1979).
Differs from the paper: scores are clipped at two percentiles first, so that a few outliers do not decide the bins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weakseg.masks.contracts import Confidence

BINS = 256


def threshold(scores: np.ndarray, tails: float) -> float:
    """Threshold of scores of any shape, clipped at the `tails` and 1 - `tails` quantiles; foreground is above it.

    Maximizes w0 w1 (m1 - m0)^2 over the edges between the bins of a histogram of 256 bins. All scores equal: that
    value, so that nothing is foreground. No score at all raises ValueError.
    """
    values = np.asarray(scores, np.float64).ravel()
    if not len(values):
        raise ValueError("no score to take a threshold of")
    low, high = np.quantile(values, [tails, 1 - tails])
    if high <= low:
        low, high = values.min(), values.max()
    if high <= low:
        return float(high)
    counts, edges = np.histogram(np.clip(values, low, high), BINS, (low, high))
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    mass = np.cumsum(counts * centers)
    above = len(values) - below
    inside = (below > 0) & (above > 0)
    gap = mass[:-1] / np.maximum(below, 1) - (mass[-1] - mass[:-1]) / np.maximum(above, 1)
    between = np.where(inside, below * above * gap**2, -1)
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return float(edges[1:-1][best].mean())


def pick(scores: Sequence[np.ndarray], *, confidence: Confidence | None = None, tails: float) -> float:
    """Threshold of the maps (any shapes) taken together; scores are clipped at the `tails` and 1 - `tails` quantiles.

    All scores equal: that value, so that nothing is foreground.
    """
    return threshold(np.concatenate([np.ravel(item) for item in scores]), tails)
