"""How boxes are scored, and the true boxes and masks they are scored by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from weakseg.artifacts.formats.masks import Masks
from weakseg.artifacts.truth import load_boxes
from weakseg.errors import UserError
from weakseg.evaluation.boxes.max_box_acc import BoxAccuracy, best_ious, check_boxes, scale_boxes
from weakseg.evaluation.boxes.recipe import HALF, BoxRecipe, Convention
from weakseg.evaluation.boxes.regions import Regions, find_regions


@dataclass(frozen=True)
class BoxProtocol:
    """Side of the evaluation grid in pixels, thresholds (T,), overlaps that count as a hit, convention of boxes."""

    size: int
    thresholds: np.ndarray
    ious: tuple[float, ...]
    convention: Convention

    @classmethod
    def build(cls, recipe: BoxRecipe) -> BoxProtocol:
        """Thresholds 0, step, 2 step, ... below 1."""
        return cls(recipe.grid_size, np.arange(0, 1, recipe.step), tuple(recipe.ious), recipe.convention)

    @property
    def half(self) -> int:
        """Place among the overlaps of the one that everyone publishes."""
        return self.ious.index(HALF)

    def find_regions(self, scores: np.ndarray) -> Regions:
        """Regions of scores (size, size) in [0, 1] at every threshold."""
        return find_regions(scores, self.thresholds, self.convention)

    def open_accuracy(self) -> BoxAccuracy:
        """An empty accumulator."""
        return BoxAccuracy(self.thresholds, self.ious, self.convention)

    def overlap(self, scores: np.ndarray, threshold: float, truth: np.ndarray) -> float:
        """Best overlap of the largest region at one threshold, which need not be of the grid, with boxes (N, 4)."""
        regions = find_regions(scores, np.array([threshold]), self.convention)
        return float(best_ious(regions, truth, self.convention)[0, 0])


class TrueBoxes:
    """True boxes by image, in `pixels` of the image and on the evaluation `grid`, and true masks."""

    def __init__(self, frame: pd.DataFrame, boxes: Path, masks: Path, protocol: BoxProtocol) -> None:
        """UserError where a box belongs to no image of the table, is empty or leaves its image."""
        self.masks = Masks(masks)
        self.pixels: dict[str, np.ndarray] = {}
        self.grid: dict[str, np.ndarray] = {}
        for image_id, rows in load_boxes(boxes).groupby("image_id"):
            if image_id not in frame.index:
                raise UserError(f"{boxes} has a box of '{image_id}', which labels.csv lacks: rerun prepare_data")
            height, width = (int(frame.at[image_id, side]) for side in ("height", "width"))
            own = rows[["x0", "y0", "x1", "y1"]].to_numpy(float)  # (N, 4)
            check_boxes(own, height, width, f"{boxes}: image '{image_id}'")
            self.pixels[str(image_id)] = own
            self.grid[str(image_id)] = scale_boxes(own, height, width, protocol.size, protocol.convention)

    def list_images(self, frame: pd.DataFrame, split: str) -> list[str]:
        """Images of a split that have a box or a mask, sorted."""
        names = frame.index[frame["split"] == split]
        return [name for name in names if name in self.grid or name in self.masks]

    def require_boxes(self, ids: list[str]) -> None:
        """UserError when no image of the list has a true box."""
        if not any(image_id in self.grid for image_id in ids):
            raise UserError("no test image has a true box: box scores need some in data/truth/boxes.csv")
