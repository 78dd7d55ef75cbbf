"""Ridge regression inside one image: scores as a linear function of shallow features, color and position.

Ridge Regression: Biased Estimation for Nonorthogonal Problems (Hoerl, Kennard, 1970).
"""

from __future__ import annotations

import numpy as np

from weakseg.data import grids
from weakseg.masks import appearance

LARGEST = 0.99


def regressors(image: np.ndarray, features: np.ndarray | None, shape: tuple[int, int]) -> np.ndarray:
    """(P, h w): color, position and its squares, features where there are any, on a grid of `shape`."""
    place = appearance.positions(shape)
    rows = [appearance.lab(grids.resize_image(image, shape)), place, place**2, place[:1] * place[1:]]
    if features is not None and features.size:
        rows.append(grids.resize(features, shape))
    return np.concatenate(rows).reshape(-1, shape[0] * shape[1]).astype(np.float64)


def standardized(rows: np.ndarray) -> np.ndarray:
    """Rows (P,N) with mean 0 and variance 1, and a row of ones; constant rows become zeros."""
    centered = rows - rows.mean(1, keepdims=True)
    spread = centered.std(1, keepdims=True)
    return np.concatenate([centered / np.where(spread > 1e-9, spread, np.inf), np.ones((1, rows.shape[1]))])


def fitted(rows: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
    """(R R' / N + penalty I)^-1 R T' / N applied to R: rows (P,N), targets (K,N) -> (K,N)."""
    count = rows.shape[1]
    matrix = rows @ rows.T / count + penalty * np.eye(len(rows))
    return np.linalg.solve(matrix, rows @ targets.T / count).T @ rows


def regressed(
    scores: np.ndarray, image: np.ndarray, features: np.ndarray | None, penalty: float, shape: tuple[int, int]
) -> np.ndarray:
    """Logits (K,*shape) that a regression of centered scores (K,h,w) gives, fitted and read on a grid of `shape`.

    The targets are 2 p - 1 with p the logistic of each map; image (H,W,3), features (D,h',w') or None.
    """
    targets = np.tanh(grids.resize(scores, shape) / 2).reshape(len(scores), -1)
    found = fitted(standardized(regressors(image, features, shape)), targets, penalty)
    return 2 * np.arctanh(np.clip(found, -LARGEST, LARGEST)).reshape(-1, *shape).astype(np.float32)
