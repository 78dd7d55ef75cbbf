"""One map an image that says where its object is, whatever its class."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from weakseg.artifacts.activations import CamEntry, Cams
from weakseg.artifacts.formats.labels import class_names
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
    """One class-agnostic map an image: with the class given (GT-known), or of the best predicted class.

    archive: maps of all images, those of test images for predicted classes; `known`: maps of the labels that the
    archive lacks. A map's own threshold, chosen without boxes, is Otsu's with the map clipped at its `tails` and
    1 - `tails` quantiles; for logits (`source` distilled) it is 0, placed on the scale of the map.
    """

    def __init__(self, archive: Cams, known: Cams, frame: pd.DataFrame, recipe: BoxRecipe) -> None:
        self.archive, self.known, self.labels, self.recipe = archive, known, frame["labels"], recipe
        self.classes = class_names(frame)

    def read(self, image_id: str) -> ObjectMap:
        """The map of an image's labels; of the best predicted class where the image has none; zeros without any map.

        With several labels the scores are the largest of the labels' maps at each pixel, each scaled on its own.
        Distilled ones are all of the image's logits, the largest at each pixel: one rule, object against background,
        gave them, so that the same comes out whatever the class.
        """
        entry, labels = self.archive.cams(image_id), self.labels.at[image_id]
        if self.recipe.source == "distilled":
            return self.place_logits(entry.scores, bool(labels))
        own = self.find(entry, labels)
        if len(own) < len(labels) and image_id in self.known:
            entry = self.known.cams(image_id)
            own = self.find(entry, labels)
        return self.join(entry.scores[own or [0]] if len(entry.classes) else entry.scores, len(own) == len(labels) > 0)

    def read_predicted(self, image_id: str) -> ObjectMap:
        """The map of a test image's best predicted class, as where no label is at hand; zeros without any map."""
        entry = self.archive.cams(image_id)
        if self.recipe.source == "distilled":
            return self.place_logits(entry.scores, False)
        return self.join(entry.scores[:1], False)

    def find(self, entry: CamEntry, labels: Collection[str]) -> list[int]:
        """Places of the maps of these labels."""
        return [place for place, k in enumerate(entry.classes) if self.classes[k] in labels]

    def join(self, scores: np.ndarray, of_label: bool) -> ObjectMap:
        """One map of scores (K, h, w)."""
        size = self.recipe.grid_size
        if not len(scores):
            return ObjectMap(np.zeros((size, size)), False, 0.0)
        ready = np.max([evaluation_map(one, size) for one in scores], axis=0)  # (size, size)
        return ObjectMap(ready, of_label, otsu.threshold(ready, self.recipe.tails))

    def place_logits(self, scores: np.ndarray, of_label: bool) -> ObjectMap:
        """One map of logits (K, h, w), which share a scale."""
        size = self.recipe.grid_size
        if not len(scores):
            return ObjectMap(np.zeros((size, size)), False, 0.0)
        highest = scores.max(0)  # (h, w)
        return ObjectMap(evaluation_map(highest, size), of_label, zero_level(highest, size))
