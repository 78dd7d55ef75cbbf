"""Labels for the next round from masks refined in image space, on some of the training images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from weakseg.errors import UserError
from weakseg.harness import workers
from weakseg.harness.progress import track
from weakseg.masks.contracts import Refine
from weakseg.masks.distillation.cells import Cells, join_cells, share_labels, take_cells
from weakseg.masks.distillation.linear_rule import Rule
from weakseg.masks.distillation.task import Task, image_logits


@dataclass(frozen=True)
class Relabeler:
    """Refines what a rule says of the images number `places`."""

    task: Task
    features: np.ndarray  # (N,C,h,w) of all images, on disk
    places: list[int]
    refine: Refine

    def label_image(self, place: int, rule: Rule) -> Cells | None:
        """All cells of one image, labeled by its refined mask; None for an image without class."""
        entry = self.task.entry(place)
        if len(entry.classes) == 0:
            return None
        features = self.features[place].astype(np.float32)  # (C,h,w)
        logits = image_logits(self.task, rule, features, entry)
        labels = share_labels(self.refine_mask(place, logits, entry.features), features.shape[1:], len(logits))
        labels = self.task.label_rules(labels, entry.classes)  # (h,w)
        return take_cells(features, labels, self.task.flag_rules(entry.classes), np.arange(labels.size))

    def refine_mask(self, place: int, logits: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Mask (H,W) of map numbers; pixels the refiner leaves out are no map's."""
        name, sources = self.task.ids[place], self.task.sources
        image, segments = sources.images.image(name), sources.segments.segments(name)
        return self.refine(logits, image, segments, features, threshold=0.0, decide_all=False)

    def __call__(self, rule: Rule) -> Cells:
        """Cells for the fit that follows `rule`; UserError where no image has a class."""
        work = workers.threaded(partial(self.label_image, rule=rule), self.places)
        parts = [part for part in track(work, "refined labels", len(self.places)) if part is not None]
        if not parts:
            raise UserError("refine_images: none of them has a class: raise it, or set refined_rounds to 0")
        return join_cells(parts)
