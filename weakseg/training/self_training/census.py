"""What the masks of a training set hold: which images can be trained on, and the pixels of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from weakseg.artifacts.formats.masks import IGNORE, MaskIds, Masks, merge_classes
from weakseg.errors import UserError
from weakseg.harness.progress import track


@dataclass(frozen=True)
class Targets:
    """The target ids (H,W) uint8 of an image, from an archive of masks: all classes as one for `binary`."""

    masks: Masks
    mask_ids: MaskIds

    def __call__(self, image_id: str) -> np.ndarray:
        mask = self.masks.mask(image_id)
        return mask if self.mask_ids == "classes" else merge_classes(mask)


@dataclass(frozen=True)
class Census:
    """Images that can be trained on, what was left out and why, and the pixels of each class id."""

    ids: list[str]
    counts: dict[str, int]
    pixels: np.ndarray


def find_flaw(pixels: np.ndarray) -> str | None:
    """Why a mask with that many pixels of each id (256,) teaches nothing: all background or all object.

    Ignored pixels do not count; a mask with nothing else is empty.
    """
    object_pixels = pixels[1:IGNORE].sum()
    if object_pixels == 0:
        return "dropped_empty"
    return "dropped_full" if pixels[0] == 0 else None


def take(targets: Targets, ids: Sequence[str]) -> Census:
    """Look at every mask once. UserError when none can be trained on."""
    kept: list[str] = []
    counts = {"images": 0, "without_mask": 0, "dropped_empty": 0, "dropped_full": 0}
    pixels = np.zeros(256, np.int64)
    for image_id in track(ids, "masks", len(ids)):
        if image_id not in targets.masks:
            counts["without_mask"] += 1
            continue
        found = np.bincount(targets(image_id).ravel(), minlength=256)
        flaw = find_flaw(found)
        if flaw:
            counts[flaw] += 1
            continue
        kept.append(image_id)
        pixels += found
    counts["images"] = len(kept)
    if not kept:
        raise UserError(
            f"{targets.masks.path} has no mask with both object and background outside of the test split: {counts}"
        )
    return Census(kept, counts, pixels[:IGNORE])
