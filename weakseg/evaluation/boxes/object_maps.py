"""One map an image that says where its object is, whatever its class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from weakseg.artifacts.activations import Cams
from weakseg.artifacts.labels import class_names
from weakseg.evaluation.boxes.max_box_acc import evaluation_map, zero_level
from weakseg.evaluation.boxes.recipe import BoxRecipe
from weakseg.masks.thresholds import otsu


@dataclass(frozen=True)
class ObjectMap:
    """Scores (size, size) in [0, 1], whether they are those of the image's labels, and the map's own threshold."""

    scores: np.ndarray
    of_label: bool
    threshold: float


class ObjectMaps:
    """One class-agnostic map an image: that of the label where it is stored, else of the best predicted class.

    A map's own threshold, chosen without boxes, is Otsu's with the map clipped at its `tails` and 1 - `tails`
    quantiles; for logits (`source` distilled) it is 0, placed on the scale of the map.
    """

    def __init__(self, archive: Cams, frame: pd.DataFrame, recipe: BoxRecipe) -> None:
        self.archive, self.labels, self.recipe = archive, frame["labels"], recipe
        self.classes = class_names(frame)

    def read(self, image_id: str) -> ObjectMap:
        """The map of one image; without any map it gets zeros.

        With several labels the scores are the largest of the labels' maps at each pixel, each scaled on its own but for
        logits, which share a scale.
        """
        entry, size = self.archive.cams(image_id), self.recipe.grid_size
        labels = self.labels.at[image_id]
        own = [place for place, k in enumerate(entry.classes) if self.classes[k] in labels]
        if not len(entry.classes):
            return ObjectMap(np.zeros((size, size)), False, 0.0)
        of_label, scores = len(own) == len(labels) > 0, entry.scores[own or [0]]  # (K,h,w)
        if self.recipe.source == "distilled":
            highest = scores.max(0)  # (h,w)
            return ObjectMap(evaluation_map(highest, size), of_label, zero_level(highest, size))
        ready = np.max([evaluation_map(one, size) for one in scores], axis=0)  # (size,size)
        return ObjectMap(ready, of_label, otsu.threshold(ready, self.recipe.tails))
