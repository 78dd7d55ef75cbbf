"""Pixel-adaptive mask refinement (PAMR): each pixel takes, again and again, the mean of neighbors that look alike.

Single-Stage Semantic Segmentation from Image Labels (Araslanov, Roth, 2020, arXiv:2005.08104).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from weakseg.data import grids
from weakseg.masks import pseudomasks

OFFSETS = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1) if (row, column) != (0, 0)]


def shift(planes: np.ndarray, dilations: list[int]) -> Iterator[np.ndarray]:
    """Planes (C,H,W) seen from each of the eight neighbors at each distance, the border repeated."""
    # One padding for all: a neighbor's view is then a slice of it, without a copy.
    reach = max(dilations)
    height, width = planes.shape[1:]
    padded = np.pad(planes, ((0, 0), (reach, reach), (reach, reach)), mode="edge")  # (C, H + 2 reach, W + 2 reach)
    for distance in dilations:
        for row, column in OFFSETS:
            top, left = reach + row * distance, reach + column * distance
            yield padded[:, top : top + height, left : left + width]


def weigh_neighbors(image: np.ndarray, dilations: list[int], sharpness: float) -> np.ndarray:
    """Weights (8 * len(dilations),H,W) that sum to 1: softmax over neighbors of -|I - I_n| * sharpness / std.

    image (3,H,W) in [0, 1]; std is that of each channel over the neighbors, the exponent a mean over channels.
    """
    neighbors = np.stack(list(shift(image, dilations)))  # (N,3,H,W), N = 8 len(dilations)
    deviation = neighbors.std(0) + 1e-8  # (3,H,W): contrast counts by what is usual around the pixel
    likeness = -(np.abs(neighbors - image) * (sharpness / deviation)).mean(1)  # (N,H,W)
    powers = np.exp(likeness - likeness.max(0))
    return powers / powers.sum(0)


def refine(
    scores: np.ndarray,
    image: np.ndarray,
    segments: np.ndarray,
    features: np.ndarray | None,
    *,
    threshold: float,
    decide_all: bool,
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
    small = np.moveaxis(grids.resize_image(image, shape), 2, 0).astype(np.float32) / 255  # (3,*shape)
    weights = weigh_neighbors(small, dilations, sharpness)  # (N,*shape)
    probability = pseudomasks.class_probabilities(grids.resize(scores, shape), threshold)
    for _ in range(iterations):
        # A mean over the neighbors with weights that sum to 1: still a distribution over the classes.
        shifted = shift(probability, dilations)
        probability = sum(weight * seen for weight, seen in zip(weights, shifted, strict=True))
    logits = grids.resize(pseudomasks.log_odds(probability), image.shape[:2])  # (K,H,W)
    return grids.decide(logits, 0.0, 0.0 if decide_all else band)
