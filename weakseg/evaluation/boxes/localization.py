"""How well the activation maps of one network find the objects of its images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weakseg.artifacts import activations, zips
from weakseg.artifacts.truth import load_boxes
from weakseg.errors import UserError
from weakseg.evaluation.boxes.max_box_acc import (
    BoxAccuracy,
    best_ious,
    check_boxes,
    evaluation_map,
    scale_boxes,
    zero_level,
)
from weakseg.evaluation.boxes.pxap import PixelPrecision
from weakseg.evaluation.boxes.regions import Regions, find_regions
from weakseg.harness import files
from weakseg.masks.thresholds import otsu

HALF = 0.5  # the overlap that MaxBoxAcc, GT-known and Top-1 localization ask for


@dataclass(frozen=True)
class Protocol:
    """Side of the evaluation grid in pixels, thresholds (T,), overlaps that count as a hit, convention of boxes."""

    size: int
    thresholds: np.ndarray
    ious: tuple[float, ...]
    convention: str

    @classmethod
    def build(cls, size: int, step: float, ious: list[float], convention: str) -> Protocol:
        """Thresholds 0, step, 2 step, ... below 1; UserError where a number is out of range."""
        if not (0 < step < 1 and size > 0 and all(0 < value <= 1 for value in ious) and HALF in ious):
            raise UserError(
                f"evaluate_boxes: step {step} must be in (0, 1), size {size} positive, and the overlaps {ious} in "
                f"(0, 1] with {HALF} among them: mend params.yaml"
            )
        return cls(size, np.arange(0, 1, step), tuple(ious), convention)

    def regions(self, scores: np.ndarray) -> Regions:
        """Regions of scores (size, size) in [0, 1] at every threshold."""
        return find_regions(scores, self.thresholds, self.convention)

    def accuracy(self) -> BoxAccuracy:
        """An empty accumulator."""
        return BoxAccuracy(self.thresholds, self.ious, self.convention)

    def overlap(self, scores: np.ndarray, threshold: float, truth: np.ndarray) -> float:
        """Best overlap of the largest region at one threshold, which need not be of the grid, with boxes (N, 4)."""
        found = find_regions(scores, np.array([threshold]), self.convention)
        return float(best_ious(found, truth, self.convention)[0, 0])


class TrueBoxes:
    """True boxes on the evaluation grid, and masks."""

    def __init__(self, frame: pd.DataFrame, boxes: Path, masks: Path, protocol: Protocol) -> None:
        """UserError where a box belongs to no image of the table, is empty or leaves its image."""
        self.masks = zips.Masks(masks)
        self.pixels: dict[str, np.ndarray] = {}
        self.grid: dict[str, np.ndarray] = {}
        for image_id, rows in load_boxes(boxes).groupby("image_id"):
            if image_id not in frame.index:
                raise UserError(f"{boxes} has a box of '{image_id}', which labels.csv lacks: rerun prepare_data")
            height, width = (int(frame.at[image_id, side]) for side in ("height", "width"))
            found = rows[["x0", "y0", "x1", "y1"]].to_numpy(float)
            check_boxes(found, height, width, f"{boxes}: image '{image_id}'")
            self.pixels[image_id] = found
            self.grid[image_id] = scale_boxes(found, height, width, protocol.size, protocol.convention)

    def ids(self, frame: pd.DataFrame, split: str) -> list[str]:
        """Images of a split that have a box or a mask, sorted."""
        names = frame.index[frame["split"] == split]
        return [name for name in names if name in self.grid or name in self.masks]

    def require_boxes(self, ids: list[str]) -> None:
        """UserError when no image of the list has a true box."""
        if not any(image_id in self.grid for image_id in ids):
            raise UserError("no test image has a true box: evaluate_boxes needs some in data/truth/boxes.csv")


class Maps:
    """One class-agnostic map an image: that of the label where it is stored, else of the best predicted class.

    A map's own threshold, chosen without boxes, is Otsu's with the map clipped at its `tails` and 1 - `tails`
    quantiles; for logits (`source` distilled) it is 0, placed on the scale of the map.
    """

    def __init__(
        self,
        cams: activations.Cams,
        frame: pd.DataFrame,
        classes: list[str],
        protocol: Protocol,
        source: str,
        tails: float,
    ) -> None:
        self.cams, self.frame, self.classes, self.protocol = cams, frame, classes, protocol
        self.signed, self.tails = source == "distilled", tails

    def map(self, image_id: str) -> tuple[np.ndarray, bool, float]:
        """Scores (size, size) in [0, 1], whether they are the label's, the map's own threshold.

        With several labels the scores are the largest of the labels' maps at each pixel, each scaled on its own but for
        logits, which share a scale. An image without any map gets zeros.
        """
        entry, size = self.cams.cams(image_id), self.protocol.size
        labels = self.frame.at[image_id, "labels"]
        chosen = [place for place, k in enumerate(entry.classes) if self.classes[k] in labels]
        if not len(entry.classes):
            return np.zeros((size, size)), False, 0.0
        whole_label, scores = len(chosen) == len(labels) > 0, entry.scores[chosen or [0]]
        if self.signed:
            highest = scores.max(0)
            return evaluation_map(highest, size), whole_label, zero_level(highest, size)
        ready = np.max([evaluation_map(one, size) for one in scores], axis=0)
        return ready, whole_label, otsu.threshold(ready, self.tails)


class Scores:
    """Streaming box and pixel scores of one source of maps."""

    def __init__(self, protocol: Protocol, truth: TrueBoxes) -> None:
        self.truth = truth
        self.boxes = protocol.accuracy()
        self.pixels = PixelPrecision(protocol.thresholds)

    def add(self, image_id: str, scores: np.ndarray, regions: Regions, right: bool = True) -> np.ndarray | None:
        """Count one image; returns the overlaps (2, T) of its largest and of any region, None without a true box."""
        if image_id in self.truth.masks:
            self.pixels.add(scores, self.truth.masks.mask(image_id))
        if image_id not in self.truth.grid:
            return None
        return self.boxes.add(regions, self.truth.grid[image_id], right)

    def metrics(self) -> dict[str, float]:
        """Scores at the oracle threshold, and PxAP where there are masks. UserError without any true box."""
        found = self.boxes.result()
        share = found["max_box_acc"]
        found["max_box_acc_error"] = float(np.sqrt(share * (1 - share) / self.boxes.images))
        return found | ({"pxap": self.pixels.result()} if self.pixels.counts[1].any() else {})


@dataclass(frozen=True)
class Evaluation:
    """Scores of a split, and one row for each image with a true box: overlaps of its largest region."""

    scores: Scores
    rows: list[dict[str, Any]]


def evaluate(
    protocol: Protocol,
    truth: TrueBoxes,
    maps: Maps,
    ids: Iterable[str],
    right: dict[str, bool],
    carried: int | None,
) -> Evaluation:
    """Score the maps of a split; `right`: images whose class was recognized; carried: index of a fixed threshold."""
    scores, rows = Scores(protocol, truth), []
    for image_id in ids:
        ready, of_label, own = maps.map(image_id)
        best = scores.add(image_id, ready, protocol.regions(ready), right[image_id])
        if best is not None:
            row: dict[str, Any] = {"image_id": image_id, "recognized": int(right[image_id]), "label_map": int(of_label)}
            row["iou_label_free"] = protocol.overlap(ready, own, truth.grid[image_id])
            rows.append(row | ({} if carried is None else {"iou_carried": float(best[0, carried])}))
    return Evaluation(scores, rows)


def recognized(predictions: Path, frame: pd.DataFrame) -> dict[str, bool]:
    """Whether a class predicted for an image is among its labels. UserError where a labeled image is not predicted."""
    table = pd.read_csv(files.existing(predictions), dtype=str, keep_default_na=False).set_index("image_id")[
        "predicted"
    ]
    absent = frame.index.difference(table.index)
    if len(absent):
        raise UserError(f"{predictions} holds no prediction for '{absent[0]}': rerun train_classifier")
    return {name: bool(set(table[name].split("|")) & set(labels)) for name, labels in frame["labels"].items()}
