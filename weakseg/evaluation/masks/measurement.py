"""Every score of one step's masks, image by image."""

from __future__ import annotations

import numpy as np

from weakseg.artifacts.formats.masks import merge_classes
from weakseg.evaluation.masks import boundary
from weakseg.evaluation.masks.activation import HeadBias
from weakseg.evaluation.masks.confusion import border_cases, case_miou, count_pairs
from weakseg.evaluation.masks.recipe import MaskProtocol
from weakseg.evaluation.masks.segmentation import HEADLINE, Segmentation
from weakseg.evaluation.masks.steps import StepMask

PUBLISHED = {"average": "batch", "border": "foreground", "size": "square"}  # the protocol of system (3)


def open_meter(protocol: MaskProtocol, classes: int) -> Segmentation:
    """An empty meter; classes counts the background."""
    return Segmentation(
        classes, side=protocol.square, batch=protocol.protocol_batch, replicates=protocol.replicates, seed=protocol.seed
    )


class Measurement:
    """Streaming scores of one step.

    `classes` counts the kinds of foreground: with one, mean IoU is that of foreground and background; with more, that
    of the background and every class, and foreground against background stands beside it.
    """

    def __init__(self, classes: int, protocol: MaskProtocol) -> None:
        self.meter = open_meter(protocol, classes + 1)
        self.binary = open_meter(protocol, 2) if classes > 1 else None
        self.bias, self.outlines, self.tolerance = HeadBias(), 0.0, protocol.tolerance

    def add(self, step: StepMask, truth: np.ndarray, heads: np.ndarray | None) -> float:
        """Add one image; return its own mean IoU."""
        merged = merge_classes(step.mask), merge_classes(truth)
        if self.binary is not None:
            self.binary.add(*merged)
        self.outlines += boundary.boundary_f(step.mask, truth, self.tolerance)
        if heads is not None:
            self.bias.add(step.mask, truth, heads, step.activation)
        return self.meter.add(*(merged if self.binary is None else (step.mask, truth)))

    def published(self) -> float:
        """Mean IoU under the protocol of system (3): border as foreground, square, mean over batches."""
        return float(next(row["miou"] for row in self.meter.protocols() if PUBLISHED.items() <= row.items()))

    def class_rows(self) -> list[dict[str, str | int | float]]:
        """One row {class_id, iou} for each mask id that occurs; 0 and 1 where only the foreground is scored."""
        values = self.meter.class_iou()
        return [{"class_id": k, "iou": float(value)} for k, value in enumerate(values) if not np.isnan(value)]

    def row(self) -> dict[str, float]:
        """All scores of the step; what is undefined (no head box, no foreground) is left out."""
        row = {"images": self.meter.images, **self.meter.result(), "published": self.published()}
        row["boundary_f"] = self.outlines / max(self.meter.images, 1)
        if self.binary is not None:
            row["foreground_miou"] = self.binary.result()["miou"]
        return {name: value for name, value in (row | self.bias.result()).items() if not np.isnan(value)}


def own_miou(prediction: np.ndarray, truth: np.ndarray, classes: int) -> float:
    """Mean IoU of one image from masks (H, W) of class ids: of the background and the classes that occur in either.

    Of foreground and background where there is one class of foreground.
    """
    masks = (prediction, truth) if classes > 1 else (merge_classes(prediction), merge_classes(truth))
    counts = count_pairs(*masks, classes + 1)
    _, ignore = HEADLINE
    return float(case_miou(border_cases(counts))[ignore])
