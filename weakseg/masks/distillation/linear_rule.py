"""Cross-layer linear distillation: a linear rule on an earlier layer learns the activation maps of the last one.

The seed's mistakes are tied to position and to the last layer. A linear rule on single cells of an earlier layer cannot
reproduce them, so only what is consistent over the data set survives; relabeling with the rule and fitting again
makes it better. The rule is linear discriminant analysis in closed form:
The Use of Multiple Measurements in Taxonomic Problems (Fisher, 1936).
This project's own method: docs/distillation.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from weakseg.data import grids
from weakseg.masks.thresholds import otsu

IGNORED = -1
CHUNK = 65_536
SEEDS = ("product", "cam", "norm", "norm_squared")


@dataclass(frozen=True)
class Rule:
    """Linear scores z = cells @ weight + offset, weight (C,K), offset (K,): class k where z_k > 0.

    The unit of z_k is the standard deviation of the scores the rule was calibrated on.
    """

    weight: np.ndarray
    offset: np.ndarray

    def maps(self, features: np.ndarray) -> np.ndarray:
        """z (K,h,w) of features (C,h,w)."""
        flat = features.reshape(len(features), -1).astype(np.float32)
        z = self.weight.T @ flat + self.offset[:, None]
        return z.reshape(-1, *features.shape[1:])


@dataclass(frozen=True)
class Cells:
    """Cells of many images: features (N,C), labels (N,) int64 and the classes of each cell's image, present (N,K) bool.

    A label is 0 for background, k + 1 for class k, -1 for ignored.
    """

    features: np.ndarray
    labels: np.ndarray
    present: np.ndarray


@dataclass(frozen=True)
class Round:
    """One round: its rule, 1 - IoU of its foreground with the one before, and its share of foreground."""

    rule: Rule
    change: float
    foreground: float


def seed_maps(scores: np.ndarray, norm: np.ndarray, kind: str) -> np.ndarray:
    """Seeds (K,h,w) in [0, 1] from activation maps (K,h,w) and the feature norm (h,w); `kind` is one of SEEDS.

    product: min-max map times min-max norm; cam: the map alone; norm and norm_squared: the norm alone, the same
    for every class.
    """
    maps, strength = grids.minmax(scores), grids.minmax(norm[None])
    repeated = np.repeat(strength, len(scores), 0)
    kinds = {"product": maps * strength, "cam": maps, "norm": repeated, "norm_squared": repeated**2}
    return kinds[kind]


def seed_labels(seeds: np.ndarray, band: float, tails: float) -> np.ndarray:
    """Labels (h,w) of seed maps (K,h,w) in [0, 1]: j + 1, 0 background, -1 within `band` of Otsu's threshold.

    Each map has its own threshold. K = 0 (an image without class): all background. A flat map: all ignored.
    """
    if len(seeds) == 0:
        return np.zeros(seeds.shape[1:], np.int64)
    margins = np.stack([one - otsu.threshold(one, tails) for one in seeds])
    best = margins.max(0)
    labels = np.where(best > band, margins.argmax(0) + 1, IGNORED)
    return np.where(best < -band, 0, labels)


def with_class_ids(labels: np.ndarray, ids: Sequence[int]) -> np.ndarray:
    """Labels j + 1 of an image's maps -> labels ids[j] + 1; 0 and -1 stay."""
    table = np.array([0, *(np.asarray(ids, int) + 1), IGNORED])
    return table[labels]


def image_cells(features: np.ndarray, labels: np.ndarray, present: np.ndarray, chosen: np.ndarray) -> Cells:
    """Cells number `chosen` (n,) of one image: features (C,h,w), labels (h,w), present (K,) bool."""
    flat = features.reshape(len(features), -1)[:, chosen].T
    return Cells(flat, labels.ravel()[chosen], np.repeat(present[None], len(chosen), 0))


def joined(parts: Sequence[Cells]) -> Cells:
    """All cells of `parts`."""
    return Cells(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.present for part in parts]),
    )


def moments(cells: Cells, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count (K+1,), sum (K+1,C) and second moment (C,C) of the labeled cells, in chunks, float64."""
    counts, channels = np.zeros(classes + 1), cells.features.shape[1]
    sums, second = np.zeros((classes + 1, channels)), np.zeros((channels, channels))
    for start in range(0, len(cells.labels), CHUNK):
        labels = cells.labels[start : start + CHUNK]
        kept = labels != IGNORED
        features = cells.features[start : start + CHUNK][kept].astype(np.float64)
        member = (np.arange(classes + 1)[:, None] == labels[kept]).astype(np.float64)
        counts, sums, second = counts + member.sum(1), sums + member @ features, second + features.T @ features
    return counts, sums, second


def discriminant(cells: Cells, covariance_ridge: float) -> np.ndarray:
    """Weights (C,K) of the linear discriminants of standardized cells: S w_k = mean_k - mean_0.

    S is the covariance inside the classes plus `covariance_ridge` times the identity. A class without cells takes
    the mean of all foreground cells.
    """
    counts, sums, second = moments(cells, cells.present.shape[1])
    means = sums / np.maximum(counts, 1)[:, None]
    inside = second - (means * counts[:, None]).T @ means
    covariance = inside / max(counts.sum(), 1) + covariance_ridge * np.eye(len(second))
    foreground = sums[1:].sum(0) / max(counts[1:].sum(), 1)
    means = np.where(counts[:, None] > 0, means, foreground)
    return np.linalg.solve(covariance, (means[1:] - means[0]).T).astype(np.float32)


def calibrated(weight: np.ndarray, cells: Cells, tails: float, shares: np.ndarray | None = None) -> Rule:
    """The rule whose zero is Otsu's threshold of the linear scores, in units of their standard deviation.

    Class k's scores are those in images that have class k; for a class that no image has, those of all cells. With
    `shares` (K,) the zero is where that share of class k's scores lies above it, instead.
    """
    raw = cells.features @ weight
    owned = [raw[cells.present[:, k], k] if cells.present[:, k].any() else raw[:, k] for k in range(weight.shape[1])]
    if shares is None:
        zero = np.array([otsu.threshold(own, tails) for own in owned])
    else:
        zero = np.array([np.quantile(own, 1 - share) for own, share in zip(owned, shares, strict=True)])
    unit = np.array([max(float(own.std()), 1e-12) for own in owned])
    return Rule((weight / unit).astype(np.float32), (-zero / unit).astype(np.float32))


def shares_above(z: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Share (K,) of z (N,K) above 0 among the cells of images that have the class, present (N,K); 0 where none has."""
    return ((z > 0) & present).sum(0) / np.maximum(present.sum(0), 1)


def relabeled(z: np.ndarray, present: np.ndarray, band: float) -> np.ndarray:
    """Labels (N,) from z (N,K): k + 1 of the highest class among those present (N,K) if z > band, 0 if all are below
    -band, else -1. Cells of an image without class are background."""
    allowed = np.where(present, z, -np.inf)
    best = allowed.max(1, initial=-np.inf)
    labels = np.where(best > band, allowed.argmax(1) + 1, IGNORED)
    return np.where(best < -band, 0, labels)


def unstandardized(rule: Rule, mean: np.ndarray, std: np.ndarray) -> Rule:
    """The rule for raw features from the one for (features - mean) / std."""
    weight = rule.weight / std[:, None]
    return Rule(weight.astype(np.float32), (rule.offset - mean @ weight).astype(np.float32))


class Trainer:
    """The state of the rounds: standardized cells, the labels to fit next, the share to hold, and what was found."""

    def __init__(self, cells: Cells, covariance_ridge: float, tails: float, band: float) -> None:
        self.mean = cells.features.mean(0, dtype=np.float64)
        self.std = cells.features.std(0, dtype=np.float64) + 1e-6
        self.cells = self.fitted = self.standardized(cells)
        self.covariance_ridge, self.tails, self.band = covariance_ridge, tails, band
        self.shares: np.ndarray | None = None
        self.inside = cells.labels > 0
        self.z = np.zeros(cells.present.shape)

    def standardized(self, cells: Cells) -> Cells:
        """The cells with features of mean 0 and variance 1 over the sample the trainer was made from."""
        return replace(cells, features=((cells.features - self.mean) / self.std).astype(np.float32))

    def round(self) -> Round:
        """Fit and calibrate; the labels of the rule become those of the next fit."""
        rule = calibrated(discriminant(self.fitted, self.covariance_ridge), self.cells, self.tails, self.shares)
        self.z = self.cells.features @ rule.weight + rule.offset
        before, self.inside = self.inside, relabeled(self.z, self.cells.present, 0.0) > 0
        change = 1 - (self.inside & before).sum() / max((self.inside | before).sum(), 1)
        self.fitted = replace(self.cells, labels=relabeled(self.z, self.cells.present, self.band))
        return Round(unstandardized(rule, self.mean, self.std), float(change), float(self.inside.mean()))

    def replace(self, cells: Cells, hold: bool) -> None:
        """Fit other cells next; with `hold`, keep the share of foreground of the last round from now on."""
        self.fitted = self.standardized(cells)
        if hold and self.shares is None:
            self.shares = shares_above(self.z, self.cells.present)


def run(
    cells: Cells,
    *,
    rounds: int,
    covariance_ridge: float,
    tails: float,
    band: float,
    least_change: float,
    smallest: float,
    largest: float,
    refined_rounds: int = 0,
    hold: bool = False,
    relabel: Callable[[Rule], Cells] | None = None,
) -> list[Round]:
    """Fit, calibrate, relabel, until the foreground changes by less than `least_change` (1 - IoU) or `rounds` times.

    Then `refined_rounds` more, each fitted on the cells `relabel(rule)` gives, their share of foreground held if
    `hold`. A round whose share of foreground leaves [smallest, largest] has diverged: it is thrown away and the rounds
    before it are returned, none if it is the first.
    """
    trainer, history = Trainer(cells, covariance_ridge, tails, band), []
    plain, left = rounds, refined_rounds if relabel is not None else 0
    while True:
        found = trainer.round()
        if not smallest <= found.foreground <= largest:
            return history
        history.append(found)
        settled, plain = found.change < least_change, plain - 1
        if plain > 0 and not settled:
            continue
        if left == 0:
            return history
        trainer.replace(relabel(found.rule), hold)
        plain, left = 0, left - 1


def mutual_agreement(masks: Sequence[np.ndarray]) -> list[float]:
    """Mean mIoU of each level's masks (n,h,w) bool, all on one grid, with those of the other levels; one alone: 0."""
    scores = np.array([[mask_iou(one, other) for other in masks] for one in masks]).reshape(len(masks), len(masks))
    np.fill_diagonal(scores, 0)
    return list(scores.sum(1) / max(len(masks) - 1, 1))


def mask_iou(one: np.ndarray, other: np.ndarray) -> float:
    """Mean of the foreground's and the background's IoU of two stacks of masks, bool; an absent side counts as 1."""
    pairs = ((one, other), (~one, ~other))
    return float(np.mean([(a & b).sum() / (a | b).sum() if (a | b).any() else 1.0 for a, b in pairs]))
