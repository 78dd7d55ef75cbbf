"""How alike two places of an image look: colors, positions and directions of features on a grid."""

from __future__ import annotations

import cv2
import numpy as np


def lab(image: np.ndarray) -> np.ndarray:
    """CIE Lab (3,H,W) float32 of an RGB image (H,W,3) uint8, scaled by 1/100: L in [0, 1]."""
    return np.moveaxis(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), 2, 0) / 100


def positions(shape: tuple[int, int]) -> np.ndarray:
    """Row and column of each pixel's center, (2,H,W) float32 in [-1, 1]."""
    rows, columns = ((np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1 for size in shape)
    return np.stack(np.meshgrid(rows, columns, indexing="ij"))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (D,...) divided by their length; zero vectors stay zero."""
    length = np.sqrt((vectors**2).sum(0, keepdims=True))
    return vectors / np.where(length > 0, length, 1)


def relative_squares(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Squared distances (E,) of rows of (E,D), divided by their mean; all equal: zeros."""
    squares = ((one - other) ** 2).sum(1)
    mean = squares.mean() if len(squares) else 0.0
    return squares / mean if mean > 0 else np.zeros_like(squares)
