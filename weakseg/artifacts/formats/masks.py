"""Class-id masks: 0 background, k + 1 for class k, 255 where nothing is known; one PNG an image."""

from __future__ import annotations

from typing import Literal

import numpy as np

from weakseg.artifacts.formats.zips import Archive, ArchiveWriter, decode_ids, png_bytes

IGNORE = 255  # mask value of pixels that nothing is known about
MaskIds = Literal["binary", "classes"]  # one foreground, or one mask id a class


class Masks(Archive):
    """An archive of class-id masks: 0 background, k + 1 for class k, 255 = ignore."""

    def mask(self, image_id: str) -> np.ndarray:
        """One mask as (H,W) uint8."""
        return decode_ids(self.read(image_id), f"{self.path}: mask '{image_id}'").astype(np.uint8)


class MaskWriter(ArchiveWriter):
    """Writes class-id masks as PNG."""

    def add(self, image_id: str, mask: np.ndarray) -> None:
        """Add one (H,W) uint8 mask."""
        self.add_bytes(f"{image_id}.png", png_bytes(mask.astype(np.uint8)))


def merge_classes(mask: np.ndarray) -> np.ndarray:
    """Class ids (H,W) uint8 with all classes as one foreground: 0 and 1, 255 stays."""
    return np.where(mask == IGNORE, mask, mask > 0).astype(np.uint8)
