"""How two measurements go together over all points, inside groups, and between groups.

Pooled points mix two questions. Within: of two networks of one group (the same kernel), does the one with the larger x
have the larger y? Between: does a group with the larger mean of x have the larger mean of y? The answers may have
opposite signs (Edward H. Simpson, "The Interpretation of Interaction in Contingency Tables", 1951). Intervals and
p-values as in Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; shuffling inside groups as in Phillip
Good, "Permutation, Parametric and Bootstrap Tests of Hypotheses", 2005, chapter on blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from weakseg.errors import UserError
from weakseg.evaluation.receptive_field.statistics import MINIMUM_MODELS, correlation, permutation_p


@dataclass(frozen=True)
class Association:
    """How y goes with x over n points: Pearson's r, Spearman's, slope and r2 of the least-squares line.

    Each of the three with its 95 % percentile interval over bootstrap resamples; p-values are of two sides, by
    permutation. r2 is the share of the variance of y the line explains. The slope is in units of y for a unit of x; its
    permutation p-value is that of r.
    """

    n: int
    r: float
    r_low: float
    r_high: float
    r_p: float
    spearman: float
    spearman_low: float
    spearman_high: float
    spearman_p: float
    slope: float
    slope_low: float
    slope_high: float
    r2: float


@dataclass(frozen=True)
class GroupRelation:
    """The association over all points, inside groups and between their means; None where one is not defined."""

    pooled: Association | None
    within: Association | None
    between: Association | None


@dataclass(frozen=True)
class Blocks:
    """Points that lie group by group: first point (G,) and number of points (G,) of each."""

    starts: np.ndarray
    sizes: np.ndarray

    def center(self, values: np.ndarray) -> np.ndarray:
        """Values (..., n) without the mean of their group; those of a group of equal values are exactly 0."""
        first = np.repeat(np.take(values, self.starts, axis=-1), self.sizes, axis=-1)
        rest = values - first
        means = np.add.reduceat(rest, self.starts, axis=-1) / self.sizes  # (..., G)
        return rest - np.repeat(means, self.sizes, axis=-1)

    def resample(self, resamples: int, generator: np.random.Generator) -> np.ndarray:
        """Places (resamples, n): each group drawn again from its own points, with replacement."""
        shares = generator.random((resamples, int(self.sizes.sum())))
        drawn = np.floor(shares * np.repeat(self.sizes, self.sizes)).astype(np.int64)
        return drawn + np.repeat(self.starts, self.sizes)

    def shuffle(self, resamples: int, generator: np.random.Generator) -> np.ndarray:
        """Places (resamples, n): each group in a random order of its own points."""
        keys = generator.random((resamples, int(self.sizes.sum())))  # < 1, so that groups stay apart
        return np.argsort(keys + np.repeat(np.arange(len(self.sizes)), self.sizes), axis=-1)


def relate_groups(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, resamples: int, generator: np.random.Generator
) -> GroupRelation:
    """Association of y with x (n,) over all points, inside and between groups; groups (n,) holds an id for each point.

    pooled: all points as if they were independent, groups ignored. within: each point without the mean of its group
    (groups of one point say nothing and are left out); resamples and permutations stay inside groups; Spearman's is of
    the ranks of these differences. between: one point a group, its means, whatever its size. Each is None where it has
    under five points or x or y is constant. UserError: under five points in all, lengths that differ, or a value that
    is not finite.
    """
    x, y, groups = np.asarray(x, float), np.asarray(y, float), np.asarray(groups)
    require_points(x, y, groups)
    names, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(place, kind="stable")
    order = order[counts[place[order]] > 1]  # of the points whose group has another one
    means = [np.bincount(place, values) / counts for values in (x, y)]
    return GroupRelation(
        associate(x, y, one_block(len(x)), resamples, generator),
        associate(x[order], y[order], find_blocks(place[order]), resamples, generator),
        associate(means[0], means[1], one_block(len(names)), resamples, generator),
    )


def require_points(x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> None:
    """UserError unless there are five points or more, all of them finite, each in a group."""
    if not len(x) == len(y) == len(groups):
        raise UserError(f"there are {len(x)} values of x, {len(y)} of y and {len(groups)} of groups: give one of each")
    if len(x) < MINIMUM_MODELS:
        raise UserError(f"a relation needs at least {MINIMUM_MODELS} points and there are {len(x)}: add experiments")
    bad = np.flatnonzero(~(np.isfinite(x) & np.isfinite(y)))
    if len(bad):
        raise UserError(f"point {bad[0]} (group '{groups[bad[0]]}') is not finite: leave it out or measure it again")


def one_block(count: int) -> Blocks:
    """All points in one group."""
    return Blocks(np.array([0]), np.array([count]))


def find_blocks(ids: np.ndarray) -> Blocks:
    """Groups of points (n,) whose equal ids stand beside each other."""
    starts = np.flatnonzero(np.diff(ids, prepend=ids[:1] - 1))
    return Blocks(starts, np.diff(starts, append=len(ids)))


def associate(
    x: np.ndarray, y: np.ndarray, blocks: Blocks, resamples: int, generator: np.random.Generator
) -> Association | None:
    """Association of y with x (n,) inside blocks; None under five points or where one of them is constant."""
    if len(x) < MINIMUM_MODELS:
        return None
    dx, dy = clear_dust(blocks.center(x), x), clear_dust(blocks.center(y), y)
    r, ranks = float(correlation(dx, dy)), (stats.rankdata(dx), stats.rankdata(dy))
    if np.isnan(r):
        return None
    drawn = blocks.resample(resamples, generator)  # (resamples, n)
    one, other = blocks.center(dx[drawn]), blocks.center(dy[drawn])
    pearson = r, *percentiles(correlation(one, other)), shuffle_p(dx, dy, blocks, resamples, generator)
    interval = percentiles(correlation(ranks[0][drawn], ranks[1][drawn]))
    spearman = float(correlation(*ranks)), *interval, shuffle_p(*ranks, blocks, resamples, generator)
    return Association(len(x), *pearson, *spearman, float(slope(dx, dy)), *percentiles(slope(one, other)), r**2)


def clear_dust(differences: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Differences (n,) of values (n,), those that are rounding errors of equal values set to 0."""
    return np.where(np.abs(differences) > 1e-12 * np.abs(values).max(), differences, 0.0)


def slope(dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Slope (...) of the least-squares line through centered values (..., n); NaN where dx is 0."""
    square = (dx**2).sum(axis=-1)
    return np.where(square > 0, (dx * dy).sum(axis=-1) / np.where(square > 0, square, 1), np.nan)


def percentiles(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of resampled values; resamples without a value are left out."""
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def shuffle_p(x: np.ndarray, y: np.ndarray, blocks: Blocks, resamples: int, generator: np.random.Generator) -> float:
    """Two-sided p-value of Pearson's r when the pairing is shuffled inside blocks.

    With one block exact when n! <= resamples; else (1 + as extreme ones) / (1 + resamples), never 0.
    """
    if len(blocks.sizes) == 1:
        return permutation_p(x, y, resamples, generator)
    found = np.abs(correlation(x, y[blocks.shuffle(resamples, generator)]))  # (resamples,)
    return float((1 + (found >= np.abs(correlation(x, y)) - 1e-12).sum()) / (1 + resamples))
