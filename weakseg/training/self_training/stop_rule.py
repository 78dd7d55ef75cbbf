"""When self-training stops: by how much the predictions of two rounds in a row agree; no mask is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

Verdict = Literal["converged", "departed", "on"]


def agreement(first: Iterator[tuple[str, np.ndarray]], second: Iterator[tuple[str, np.ndarray]]) -> float:
    """Foreground IoU of two networks' predictions (C,h,w) over the same images; 1 where neither finds anything."""
    both = either = 0
    for (_, one), (_, other) in zip(first, second, strict=True):
        front, back = one.argmax(0) > 0, other.argmax(0) > 0
        both += int((front & back).sum())
        either += int((front | back).sum())
    return both / either if either else 1.0


def judge(agreement: float, converged: float, departed: float) -> Verdict:
    """Whether to go on: "converged" from that agreement on, "departed" below the other, else "on"."""
    if agreement < departed:
        return "departed"
    return "converged" if agreement >= converged else "on"
