"""How two measurements go together: correlations with their uncertainty, and a straight line.

Bradley Efron, Robert Tibshirani, "An Introduction to the Bootstrap", 1993 (percentile interval).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from weakseg.errors import UserError

MINIMUM_MODELS = 5


@dataclass(frozen=True)
class Relation:
    """Pearson and Spearman, each with the 95 % bootstrap interval and the permutation p-value of two sides."""

    pearson: float
    pearson_low: float
    pearson_high: float
    pearson_p: float
    spearman: float
    spearman_low: float
    spearman_high: float
    spearman_p: float


@dataclass(frozen=True)
class Line:
    """y = intercept + slope x by least squares; r2: share of the variance of y it explains."""

    slope: float
    intercept: float
    r2: float
    slope_error: float


def require_models(count: int) -> None:
    """UserError under five models: two points always give |r| = 1, and a few more say hardly less."""
    if count < MINIMUM_MODELS:
        raise UserError(
            f"fit: a fit between models needs at least {MINIMUM_MODELS} models and there are {count}: add networks, or "
            "choose images for the regression over the images of each model"
        )


def correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson's r along the last axis of x and y (..., n); NaN where one of them is constant."""
    dx, dy = x - x.mean(axis=-1, keepdims=True), y - y.mean(axis=-1, keepdims=True)
    scale = np.sqrt((dx**2).sum(axis=-1) * (dy**2).sum(axis=-1))
    tiny = 1e-12 * np.maximum(np.abs(x).max(axis=-1) * np.abs(y).max(axis=-1), np.finfo(float).tiny)
    r = np.clip((dx * dy).sum(axis=-1) / np.where(scale > tiny, scale, 1), -1, 1)
    return np.where(scale > tiny, r, np.nan)


def interval(x: np.ndarray, y: np.ndarray, resamples: int, generator: np.random.Generator) -> tuple[float, float]:
    """Percentile interval (95 %) of Pearson's r of x, y (n,) over bootstrap resamples of the pairs.

    Resamples in which x or y is constant have no correlation and are left out.
    """
    index = generator.integers(0, len(x), (resamples, len(x)))
    low, high = np.nanpercentile(correlation(x[index], y[index]), [2.5, 97.5])
    return float(low), float(high)


def permutation_p(x: np.ndarray, y: np.ndarray, resamples: int, generator: np.random.Generator) -> float:
    """Two-sided p-value of Pearson's r of x, y (n,) when the pairing is shuffled; exact when n! <= resamples."""
    test = stats.permutation_test(
        (x,),
        lambda shuffled, axis: np.abs(correlation(np.moveaxis(shuffled, axis, -1), y)),
        permutation_type="pairings",
        vectorized=True,
        n_resamples=resamples,
        alternative="greater",
        batch=1000,
        rng=generator,
    )
    return float(test.pvalue)


def relation(x: np.ndarray, y: np.ndarray, resamples: int, generator: np.random.Generator) -> Relation | None:
    """Correlations of x with y (n,); None where one of them is constant, because no correlation is defined then.

    UserError under three pairs.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(x) < 3:
        raise UserError(f"a correlation needs at least 3 pairs and there are {len(x)}: give more images or models")
    if np.isnan(correlation(x, y)):
        return None
    values: list[float] = []
    for one, other in ((x, y), (stats.rankdata(x), stats.rankdata(y))):
        values += [float(correlation(one, other)), *interval(one, other, resamples, generator)]
        values.append(permutation_p(one, other, resamples, generator))
    return Relation(*values)


def line(x: np.ndarray, y: np.ndarray) -> Line | None:
    """Least-squares line of y on x (n,); None where x or y is constant."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if np.isnan(correlation(x, y)):
        return None
    fit = stats.linregress(x, y)
    return Line(float(fit.slope), float(fit.intercept), float(fit.rvalue**2), float(fit.stderr))
