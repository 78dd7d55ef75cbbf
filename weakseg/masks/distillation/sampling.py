"""Random cells of the training images, labeled by their activation maps: what the first round is fitted on."""

from __future__ import annotations

import numpy as np

from weakseg.artifacts.activations import CamEntry
from weakseg.data import grids
from weakseg.harness.progress import track
from weakseg.masks.distillation.cells import Cells, join_cells, seed_labels, seed_maps, take_cells
from weakseg.masks.distillation.task import Task

SEED_TAILS = 0.0  # quantile at which one image's seed is clipped before Otsu's threshold: a map has no outliers


def label_seeds(task: Task, entry: CamEntry, grid: tuple[int, int]) -> np.ndarray:
    """Labels (h,w) of an image's cells from its activation maps; numbers of rules."""
    norm = entry.norm if entry.norm.size else np.ones((1, 1), np.float32)
    maps = grids.resize(entry.scores, grid), grids.resize(norm[None], grid)[0]  # (K,*grid), (*grid)
    labels = seed_labels(seed_maps(*maps, task.recipe.first_labels), task.recipe.first_band, SEED_TAILS)
    return task.label_rules(labels, entry.classes)


def sample_cells(task: Task, features: np.ndarray) -> Cells:
    """Random cells of the training images, the same number of each, from features (N,C,h,w) on disk."""
    generator, parts = np.random.default_rng(task.seed), []
    grid = features.shape[2:]
    share = task.recipe.most_cells // max(len(task.trained), 1)
    count = max(1, min(task.recipe.cells, grid[0] * grid[1], share))
    for place in track(task.trained, "cells"):
        entry = task.entry(place)
        chosen = generator.choice(grid[0] * grid[1], count, replace=False)  # (count,)
        labels = label_seeds(task, entry, grid)
        parts.append(take_cells(features[place], labels, task.flag_rules(entry.classes), chosen))
    return join_cells(parts)
