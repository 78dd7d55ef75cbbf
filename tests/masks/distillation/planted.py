"""Cells whose truth is known."""

from __future__ import annotations

import numpy as np

from weakseg.masks.distillation.cells import Cells


def planted(count: int = 3000, noise: float = 0.3, classes: int = 1, seed: int = 0) -> tuple[Cells, np.ndarray]:
    """Cells whose classes shift one feature each, and whose foreground labels are wrong with chance `noise`."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes + 1, count)
    features = rng.normal(size=(count, 6)).astype(np.float32)
    features[np.arange(count), truth] += 4
    labels = np.where((rng.random(count) < noise) & (truth > 0), 0, truth)
    return Cells(features, labels, np.ones((count, classes), bool)), truth
