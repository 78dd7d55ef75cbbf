"""How well the activation maps of one network find the objects of its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weakseg.errors import UserError
from weakseg.evaluation.boxes.object_maps import ObjectMaps
from weakseg.evaluation.boxes.protocol import BoxProtocol, TrueBoxes
from weakseg.evaluation.boxes.pxap import PixelPrecision
from weakseg.evaluation.boxes.regions import Regions
from weakseg.harness import files
from weakseg.harness.progress import track


class LocalizationScores:
    """Streaming box and pixel scores of one source of maps."""

    def __init__(self, protocol: BoxProtocol, truth: TrueBoxes) -> None:
        self.truth = truth
        self.boxes = protocol.open_accuracy()
        self.pixels = PixelPrecision(protocol.thresholds)

    @property
    def has_pixels(self) -> bool:
        """Whether any pixel of an object was counted."""
        return bool(self.pixels.counts[1].any())

    def add(self, image_id: str, scores: np.ndarray, regions: Regions, right: bool = True) -> np.ndarray | None:
        """Count one image; returns the overlaps (2, T) of its largest and of any region, None without a true box."""
        if image_id in self.truth.masks:
            self.pixels.add(scores, self.truth.masks.mask(image_id))
        if image_id not in self.truth.grid:
            return None
        return self.boxes.add(regions, self.truth.grid[image_id], right)

    def metrics(self) -> dict[str, float]:
        """Scores at the oracle threshold, and PxAP where there are masks. UserError without any true box."""
        scores = self.boxes.result()
        share = scores["max_box_acc"]
        scores["max_box_acc_error"] = float(np.sqrt(share * (1 - share) / self.boxes.images))
        return scores | ({"pxap": self.pixels.result()} if self.has_pixels else {})


@dataclass(frozen=True)
class Evaluation:
    """Scores of a split, and one row for each image with a true box: overlaps of its largest region."""

    scores: LocalizationScores
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Localization:
    """The maps of a network beside the truth; `recognized`: whether the network names an image's class."""

    protocol: BoxProtocol
    truth: TrueBoxes
    maps: ObjectMaps
    recognized: dict[str, bool]

    def evaluate(self, ids: Sequence[str], carried: int | None = None, title: str = "boxes") -> Evaluation:
        """Score the maps of some images; carried: index of a threshold that was chosen on others."""
        scores = LocalizationScores(self.protocol, self.truth)
        rows: list[dict[str, Any]] = []
        for image_id in track(ids, title):
            one, right = self.maps.read(image_id), self.recognized[image_id]
            best = scores.add(image_id, one.scores, self.protocol.find_regions(one.scores), right)
            if best is None:
                continue
            row: dict[str, Any] = {"image_id": image_id, "recognized": int(right), "label_map": int(one.of_label)}
            row["iou_label_free"] = self.protocol.overlap(one.scores, one.threshold, self.truth.grid[image_id])
            rows.append(row | ({} if carried is None else {"iou_carried": float(best[0, carried])}))
        return Evaluation(scores, rows)

    def choose_threshold(self, ids: Sequence[str]) -> int | None:
        """Index of the threshold that is best on these images; None where they have no true box."""
        boxes = self.evaluate(ids, title="validation").scores.boxes
        return boxes.optimum() if boxes.images else None


def compare_labels(predictions: Path, frame: pd.DataFrame) -> dict[str, bool]:
    """Whether a class predicted for an image is among its labels. UserError where a labeled image is not predicted."""
    table = pd.read_csv(files.existing(predictions), dtype=str, keep_default_na=False).set_index("image_id")
    absent = frame.index.difference(table.index)
    if len(absent):
        raise UserError(f"{predictions} holds no prediction for '{absent[0]}': rerun train_classifier")
    predicted = {str(name): set(value.split("|")) for name, value in table["predicted"].items()}
    return {str(name): bool(predicted[str(name)] & set(labels)) for name, labels in frame["labels"].items()}
