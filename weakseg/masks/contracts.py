"""What the choices of this room are called with, once their options from params.yaml are bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np


class Refine(Protocol):
    """A refiner: scores (K,h,w), image (H,W,3), segments (H,W), features (D,h',w') or None -> mask (H,W) uint8.

    0 where every map is below `threshold`, j + 1 where map j wins, 255 where the refiner does not decide; with
    `decide_all` every pixel is decided.
    """

    def __call__(
        self,
        scores: np.ndarray,
        image: np.ndarray,
        segments: np.ndarray,
        features: np.ndarray | None,
        *,
        threshold: float,
        decide_all: bool,
    ) -> np.ndarray: ...


# (n,) from n numbers of maps and n masks (h,w): how sure the classifier is of each map's class where it sees the mask
Confidence = Callable[[Sequence[int], Sequence[np.ndarray]], np.ndarray]


class Pick(Protocol):
    """A threshold: from maps of any shapes to the value above which a cell is foreground, without looking at masks.

    A `pick` that asks the classifier calls `confidence`, and gives that argument no default.
    """

    def __call__(self, scores: Sequence[np.ndarray], *, confidence: Confidence | None = None) -> float: ...
