"""Ridge regression inside one image: scores as a linear function of shallow features, color and position.

Ridge Regression: Biased Estimation for Nonorthogonal Problems (Hoerl, Kennard, 1970).
"""

from __future__ import annotations

import numpy as np

from weakseg.data import grids
from weakseg.masks.refining import appearance

LARGEST = 0.99  # of the fitted 2 p - 1, so that its logit is finite


def stack_regressors(image: np.ndarray, features: np.ndarray | None, shape: tuple[int, int]) -> np.ndarray:
    """(P, h w): color, position and its squares, features where there are any, on a grid of `shape`."""
    place = appearance.positions(shape)
    rows = [appearance.lab(grids.resize_image(image, shape)), place, place**2, place[:1] * place[1:]]
    if features is not None and features.size:
        rows.append(grids.resize(features, shape))
    return np.concatenate(rows).reshape(-1, shape[0] * shape[1]).astype(np.float64)  # (P,h,w) -> (P, h w)


def standardize(rows: np.ndarray) -> np.ndarray:
    """Rows (P,N) with mean 0 and variance 1, and a row of ones; constant rows become zeros."""
    centered = rows - rows.mean(1, keepdims=True)
    deviation = centered.std(1, keepdims=True)
    scaled = centered / np.where(deviation > 1e-9, deviation, np.inf)
    return np.concatenate([scaled, np.ones((1, rows.shape[1]))])  # (P + 1, N)


def fit_and_read(rows: np.ndarray, targets: np.ndarray, penalty: float) -> np.ndarray:
    """(R R' / N + penalty I)^-1 R T' / N applied to R: rows (P,N), targets (K,N) -> (K,N)."""
    count = rows.shape[1]
    matrix = rows @ rows.T / count + penalty * np.eye(len(rows))  # (P,P)
    weights = np.linalg.solve(matrix, rows @ targets.T / count)  # (P,K)
    return weights.T @ rows


def regress(
    scores: np.ndarray, image: np.ndarray, features: np.ndarray | None, penalty: float, shape: tuple[int, int]
) -> np.ndarray:
    """Logits (K,*shape) that a regression of centered scores (K,h,w) gives, fitted and read on a grid of `shape`.

    The targets are 2 p - 1 with p the logistic of each map; image (H,W,3), features (D,h',w') or None.
    """
    # With s = log(p / (1 - p)): 2 p - 1 = tanh(s / 2). Bounded targets, so that a sure cell weighs no more than others.
    targets = np.tanh(grids.resize(scores, shape) / 2).reshape(len(scores), -1)  # (K,h,w) -> (K,N)
    values = fit_and_read(standardize(stack_regressors(image, features, shape)), targets, penalty)
    # And back: s = 2 artanh(2 p - 1).
    return 2 * np.arctanh(np.clip(values, -LARGEST, LARGEST)).reshape(-1, *shape).astype(np.float32)  # (K,*shape)
