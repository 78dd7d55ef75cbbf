"""Pixel-adaptive mask refinement (PAMR): each pixel takes, again and again, the mean of neighbors that look alike.

Single-Stage Semantic Segmentation from Image Labels (Araslanov, Roth, 2020, arXiv:2005.08104).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from weakseg.data import grids
from weakseg.masks import pseudomasks

OFFSETS = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if (row, column) != (0, 0)]


def shifted(planes: np.ndarray, dilations: list[int]) -> Iterator[np.ndarray]:
    """Planes (C,H,W) seen from each of the eight neighbors at each distance, the border repeated."""
    reach = max(dilations)
    height, width = planes.shape[1:]
    padded = np.pad(planes, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    for distance in dilations:
        for row, column in OFFSETS:
            top, left = reach + row * distance, reach + column * distance
            yield padded[:, top : top + height, left : left + width]


def kernel(image: np.ndarray, dilations: list[int], sharpness: float) -> np.ndarray:
    """Weights (8 * len(dilations),H,W) that sum to 1: softmax over neighbors of -|I - I_n| * sharpness / std.

    image (3,H,W) in [0, 1]; std is that of each channel over the neighbors, the exponent a mean over channels.
    """
    neighbors = np.stack(list(shifted(image, dilations)))
    spread = neighbors.std(0) + 1e-8
    likeness = -(np.abs(neighbors - image) * (sharpness / spread)).mean(1)
    powers = np.exp(likeness - likeness.max(0))
    return powers / powers.sum(0)


def refine(
    scores: np.ndarray,
    image: np.ndarray,
    segments: np.ndarray,
    features: np.ndarray | None,
    *,
    threshold: float,
    band: float,
    iterations: int,
    dilations: list[int],
    sharpness: float,
    longest: int,
) -> np.ndarray:
    """Mask (H,W) uint8 of image (H,W,3) from scores (K,h,w): 0, j + 1, or 255 within `band`.

    Probabilities are averaged `iterations` times at `longest` pixels over the eight neighbors at each of the
    `dilations` (pixels there); `sharpness` 10 as published.
    """
    if len(scores) == 0:
        return np.zeros(image.shape[:2], np.uint8)
    shape = grids.bound(image.shape[:2], longest)
    small = np.moveaxis(grids.resize_image(image, shape), 2, 0).astype(np.float32) / 255
    weights = kernel(small, dilations, sharpness)
    found = pseudomasks.class_probabilities(grids.resize(scores, shape), threshold)
    for _ in range(iterations):
        found = sum(weight * seen for weight, seen in zip(weights, shifted(found, dilations), strict=True))
    return grids.decide(grids.resize(pseudomasks.class_logits(found), image.shape[:2]), 0.0, band)
