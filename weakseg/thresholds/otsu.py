"""Otsu's threshold over all scores given: of one image, or pooled over many.

A Threshold Selection Method from Gray-Level Histograms (Otsu, 1979).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weakseg import otsu


def pick(scores: Sequence[np.ndarray], *, tails: float) -> float:
    """Threshold of the maps (any shapes) taken together; scores are clipped at the `tails` and 1 - `tails` quantiles.

    All scores equal: that value, so that nothing is foreground.
    """
    return otsu.threshold(np.concatenate([np.ravel(item) for item in scores]), tails)
