"""How training images are varied: the numbers that `augment` draws within."""

from __future__ import annotations

import math

from pydantic import BaseModel


class Augmentation(BaseModel, frozen=True):
    """Ranges that windows, mirroring and color are drawn from."""

    zoom_from: float  # smallest window, as a share of the image's side
    zoom_to: float  # largest window; above 1 shows a border
    aspect: float  # windows are up to this many times as wide as high, or as high as wide; 1 for squares alone
    flip: bool  # mirror half of the images
    gain: float  # each color channel is scaled by 1 +- gain
    brightness: float  # +-, of the range [0, 1]

    def load_size(self, size: int) -> int:
        """Side at which images should be read so that a window of middle zoom has about `size` pixels."""
        return math.ceil(size / math.sqrt(self.zoom_from * self.zoom_to))
