"""Labeled cells of feature grids, and where their labels come from: activation maps at first, refined masks later.

A label is 0 for background, k + 1 for class k, -1 for ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from weakseg.data import grids
from weakseg.masks.distillation.recipe import Seeds
from weakseg.masks.thresholds import otsu

IGNORED = -1
INSIDE, OUTSIDE = 0.7, 0.3  # shares of a cell from which it is foreground, and under which it is background


@dataclass(frozen=True)
class Cells:
    """Cells of many images."""

    features: np.ndarray  # (N,C)
    labels: np.ndarray  # (N,) int64
    present: np.ndarray  # (N,K) bool, the classes of each cell's image


def take_cells(features: np.ndarray, labels: np.ndarray, present: np.ndarray, chosen: np.ndarray) -> Cells:
    """Cells number `chosen` (n,) of one image: features (C,h,w), labels (h,w), present (K,) bool."""
    flat = features.reshape(len(features), -1)[:, chosen].T  # (C,h,w) -> (n,C)
    return Cells(flat, labels.ravel()[chosen], np.repeat(present[None], len(chosen), 0))  # present (K,) -> (n,K)


def join_cells(parts: Sequence[Cells]) -> Cells:
    """All cells of `parts`."""
    return Cells(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.present for part in parts]),
    )


def seed_maps(scores: np.ndarray, norm: np.ndarray, kind: Seeds) -> np.ndarray:
    """Seeds (K,h,w) in [0, 1] from activation maps (K,h,w) and the feature norm (h,w).

    product: min-max map times min-max norm; cam: the map alone; norm and norm_squared: the norm alone, the same
    for every class.
    """
    maps, strength = grids.minmax(scores), grids.minmax(norm[None])  # (K,h,w), (1,h,w)
    repeated = np.repeat(strength, len(scores), 0)  # (K,h,w)
    kinds = {"product": maps * strength, "cam": maps, "norm": repeated, "norm_squared": repeated**2}
    return kinds[kind]


def seed_labels(seeds: np.ndarray, band: float, tails: float) -> np.ndarray:
    """Labels (h,w) of seed maps (K,h,w) in [0, 1]: j + 1, 0 background, -1 within `band` of Otsu's threshold.

    Each map has its own threshold. K = 0 (an image without class): all background. A flat map: all ignored.
    """
    if len(seeds) == 0:
        return np.zeros(seeds.shape[1:], np.int64)
    margins = np.stack([one - otsu.threshold(one, tails) for one in seeds])
    best = margins.max(0)  # (K,h,w) -> (h,w)
    labels = np.where(best > band, margins.argmax(0) + 1, IGNORED)
    return np.where(best < -band, 0, labels)


def share_labels(mask: np.ndarray, grid: tuple[int, int], count: int) -> np.ndarray:
    """Labels (h,w) of cells from a mask (H,W) of `count` maps: j + 1 where over 70 % of the cell is map j, 0 where less
    than 30 % is foreground, else -1."""
    shares = grids.resize(np.stack([mask == j + 1 for j in range(count)]).astype(np.float32), grid)  # (count,h,w)
    labels = np.where(shares.max(0) > INSIDE, shares.argmax(0) + 1, IGNORED)
    return np.where(shares.sum(0) < OUTSIDE, 0, labels)


def renumber_labels(labels: np.ndarray, ids: Sequence[int]) -> np.ndarray:
    """Labels j + 1 of an image's maps -> labels ids[j] + 1; 0 and -1 stay."""
    # The last entry is that of -1: Python's index from the end.
    table = np.array([0, *(np.asarray(ids, int) + 1), IGNORED])
    return table[labels]
