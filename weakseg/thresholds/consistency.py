"""Classifier consistency: the threshold whose foreground alone keeps the class and whose background alone loses it.

RISE: Randomized Input Sampling for Explanation of Black-box Models (Petsiuk, Das, Saenko, 2018, arXiv:1806.07421).
Differs from the paper: insertion and deletion choose one threshold for all maps instead of scoring a map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Confidence = Callable[[Sequence[int], Sequence[np.ndarray]], np.ndarray]


def pick(scores: Sequence[np.ndarray], *, confidence: Confidence, steps: int, tested: int) -> float:
    """Threshold t of `steps` equal steps over the range of the maps that maximizes mean(inside - outside).

    scores: maps (h,w). confidence(places, masks) gives the probability (n,) of each map's class when only the pixels
    of masks (h,w) bool are shown; inside is that of map > t, outside that of the rest. At most `tested` maps, evenly
    spaced. All scores equal: that value, so that nothing is foreground.
    """
    places = np.unique(np.linspace(0, len(scores) - 1, min(tested, len(scores))).round().astype(int))
    maps = [scores[place] for place in places]
    low, high = min(one.min() for one in maps), max(one.max() for one in maps)
    if low == high:
        return float(high)
    cuts = low + (high - low) * np.arange(1, steps + 1) / (steps + 1)
    gains = []
    for cut in cuts:
        inside = confidence(places, [one > cut for one in maps])
        outside = confidence(places, [one <= cut for one in maps])
        gains.append(float(np.mean(inside - outside)))
    return float(cuts[int(np.argmax(gains))])
