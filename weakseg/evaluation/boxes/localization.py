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

LISTED = 5  # classes, of Top-5 localization


@dataclass(frozen=True)
class Named:
    """Whether a network names an image's class, and whether the class is among its five most probable ones."""

    right: bool
    listed: bool


SURELY = Named(True, True)  # what names no class is scored as if it named the right one


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

    def add(self, image_id: str, scores: np.ndarray, regions: Regions, named: Named = SURELY) -> np.ndarray | None:
        """Count one image; returns the overlaps (2, T) of its largest and of any region, None without a true box."""
        if image_id in self.truth.masks:
            self.pixels.add(scores, self.truth.masks.mask(image_id))
        if image_id not in self.truth.grid:
            return None
        return self.boxes.add(regions, self.truth.grid[image_id], named.right, named.listed)

    def metrics(self) -> dict[str, float]:
        """Scores at the oracle threshold, and PxAP where there are masks. UserError without any true box."""
        scores = self.boxes.result()
        share = scores["max_box_acc"]
        scores["max_box_acc_error"] = float(np.sqrt(share * (1 - share) / self.boxes.images))
        return scores | ({"pxap": self.pixels.result()} if self.has_pixels else {})


@dataclass(frozen=True)
class Evaluation:
    """Scores of a split with the class given, and with maps of the predicted class; one row for each image with a true
    box: overlaps of its largest region."""

    scores: LocalizationScores
    predicted: LocalizationScores
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Localization:
    """The maps of a network beside the truth; `named`: what the network calls each image."""

    protocol: BoxProtocol
    truth: TrueBoxes
    maps: ObjectMaps
    named: dict[str, Named]

    def evaluate(self, ids: Sequence[str], carried: int | None = None) -> Evaluation:
        """Score the maps of some images; carried: index of a threshold that was chosen on others."""
        scores, guesses = (LocalizationScores(self.protocol, self.truth) for _ in range(2))
        rows: list[dict[str, Any]] = []
        for image_id in track(ids, "boxes"):
            one, other, named = self.maps.read(image_id), self.maps.read_predicted(image_id), self.named[image_id]
            regions = self.protocol.find_regions(one.scores)
            same = np.array_equal(one.scores, other.scores)  # as where the prediction is right
            guesses.add(image_id, other.scores, regions if same else self.protocol.find_regions(other.scores))
            best = scores.add(image_id, one.scores, regions, named)
            if best is None:
                continue
            row: dict[str, Any] = {"image_id": image_id, "recognized": int(named.right), "label_map": int(one.of_label)}
            row["iou_label_free"] = self.protocol.overlap(one.scores, one.threshold, self.truth.grid[image_id])
            rows.append(row | ({} if carried is None else {"iou_carried": float(best[0, carried])}))
        return Evaluation(scores, guesses, rows)

    def choose_threshold(self, ids: Sequence[str]) -> int | None:
        """Index of the threshold that is best on these images with the class given; None where they have no box."""
        boxes = self.protocol.open_accuracy()
        for image_id in track([image_id for image_id in ids if image_id in self.truth.grid], "validation"):
            regions = self.protocol.find_regions(self.maps.read(image_id).scores)
            boxes.add(regions, self.truth.grid[image_id])
        return boxes.optimum() if boxes.images else None


def compare_labels(predictions: Path, frame: pd.DataFrame) -> dict[str, Named]:
    """What a network calls each image, beside its labels. UserError where a labeled image is not predicted."""
    table = pd.read_csv(files.existing(predictions), dtype={"image_id": str, "predicted": str}, keep_default_na=False)
    table = table.set_index("image_id")
    absent = frame.index.difference(table.index)
    if len(absent):
        raise UserError(f"{predictions} holds no prediction for '{absent[0]}': rerun train_classifier")
    columns = [name for name in table.columns if name.startswith("p_")]
    order = (-table.loc[frame.index, columns].to_numpy(float)).argsort(axis=1, kind="stable")[:, :LISTED]  # (N, 5)
    first = [{columns[k].removeprefix("p_") for k in row} for row in order]
    predicted = [set(value.split("|")) for value in table.loc[frame.index, "predicted"]]
    rows = zip(frame.index, frame["labels"], predicted, first, strict=True)
    return {str(name): Named(bool(one & set(labels)), bool(five & set(labels))) for name, labels, one, five in rows}
