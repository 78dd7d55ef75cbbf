"""True masks and head boxes beside the list of images: which can be scored, and by what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from weakseg import store
from weakseg.errors import UserError


@dataclass(frozen=True)
class Truth:
    """True masks and head boxes of the prepared images, for evaluation alone."""

    masks: store.Masks
    labels: pd.DataFrame
    heads: dict[str, np.ndarray] = field(default_factory=dict)

    def shape(self, image_id: str) -> tuple[int, int]:
        """(H, W) of the image."""
        row = self.labels.loc[image_id]
        return int(row["height"]), int(row["width"])

    def mask(self, image_id: str) -> np.ndarray:
        """True mask (H, W) uint8; UserError where it is not as large as its image."""
        mask = self.masks.mask(image_id)
        if mask.shape != self.shape(image_id):
            sizes = [f"{width}x{height}" for height, width in (mask.shape, self.shape(image_id))]
            raise UserError(
                f"{self.masks.path}: mask '{image_id}' has {sizes[0]} pixels but its image {sizes[1]}: "
                "mend the data set and rerun prepare_data"
            )
        return mask

    def chosen(self, splits: Mapping[str, Sequence[str]], most: int) -> dict[str, list[str]]:
        """Images with a mask in each group of splits, at most `most` evenly spaced ones (0: all).

        A group without any is left out; UserError where that leaves nothing.
        """
        found = {}
        for group, names in splits.items():
            known = [name for name in self._listed(names) if name in self.masks]
            if 0 < most < len(known):
                known = [known[place] for place in np.linspace(0, len(known) - 1, most).round().astype(int)]
            if known:
                found[group] = known
        if not found:
            raise UserError(
                f"{self.masks.path} holds no mask of a listed image: there is no ground truth to score masks by"
            )
        return found

    def counts(self, splits: Mapping[str, Sequence[str]]) -> dict[str, int]:
        """How many images of each group have a mask, have none, and have a head box."""
        counts: dict[str, int] = {}
        for group, names in splits.items():
            listed = self._listed(names)
            known = sum(name in self.masks for name in listed)
            counts |= {f"{group}_with_mask": known, f"{group}_without_mask": len(listed) - known}
            counts[f"{group}_with_head"] = sum(name in self.heads for name in listed)
        return counts

    def _listed(self, splits: Sequence[str]) -> list[str]:
        return [str(name) for name in self.labels.index[self.labels["split"].isin(splits)]]


def heads(boxes: pd.DataFrame) -> dict[str, np.ndarray]:
    """Boxes (N, 4) of each image in a table of boxes."""
    columns = ["x0", "y0", "x1", "y1"]
    return {str(name): rows[columns].to_numpy(float) for name, rows in boxes.groupby("image_id")}
