"""Area prior: the threshold above which a known share of all cells lies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weakseg.masks.contracts import Confidence


def pick(scores: Sequence[np.ndarray], *, confidence: Confidence | None = None, share: float) -> float:
    """The (1 - share) quantile of the maps (any shapes) taken together; `share` in (0, 1).

    All scores equal: that value, so that nothing is foreground.
    """
    return float(np.quantile(np.concatenate([np.ravel(item) for item in scores]), 1 - share))
