"""Classifier consistency: the threshold whose foreground holds more of the class's evidence than its area explains.

RISE: Randomized Input Sampling for Explanation of Black-box Models (Petsiuk, Das, Saenko, 2018, arXiv:1806.07421).
Differs from the paper: insertion and deletion choose one threshold for all maps instead of scoring a map, and are
measured against a mask of the same area that knows nothing; without that the largest mask wins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weakseg.artifacts.sampling import evenly
from weakseg.masks.contracts import Confidence

SMALLEST = 1e-6  # mean probability of the class below which the classifier knows nothing


def pick(scores: Sequence[np.ndarray], *, confidence: Confidence, steps: int, tested: int) -> float:
    """Threshold t of `steps` equal steps over the range of the maps with the largest gain over chance.

    The gain is mean(inside - outside) / mean(whole) - (2 area - 1): what the foreground keeps of the class and its rest
    loses, less what a mask of that share of the image would give if evidence were spread evenly. Where a hidden image
    keeps nothing of the class, it is 0 for no mask and for the whole image.

    scores: maps (h,w). confidence(places, masks) gives the probability (n,) of each map's class when only the pixels
    of masks (h,w) bool are shown; inside is that of map > t, outside that of the rest, whole that of all pixels. At
    most `tested` maps, evenly spaced. All scores equal: that value, so that nothing is foreground.
    """
    places = evenly(range(len(scores)), tested)
    maps = [scores[place] for place in places]
    low, high = min(one.min() for one in maps), max(one.max() for one in maps)
    if low == high:
        return float(high)
    cuts = low + (high - low) * np.arange(1, steps + 1) / (steps + 1)  # (steps,), both ends left out
    whole = max(float(np.mean(confidence(places, [np.ones(one.shape, bool) for one in maps]))), SMALLEST)
    gains = []
    for cut in cuts:
        masks = [one > cut for one in maps]
        inside, outside = confidence(places, masks), confidence(places, [~mask for mask in masks])
        # Evidence spread evenly would give area to the inside and 1 - area to the outside: 2 area - 1 by chance.
        area = np.mean([mask.mean() for mask in masks])
        gains.append(float(np.mean(inside - outside)) / whole - (2 * area - 1))
    return float(cuts[int(np.argmax(gains))])
