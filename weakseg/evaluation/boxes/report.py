"""Numbers, curves and pictures of a localization evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from weakseg.artifacts import zips
from weakseg.evaluation.boxes.localization import HALF, Evaluation, Maps, Protocol, Scores, TrueBoxes
from weakseg.figures import pictures as figures_pictures


def summary(protocol: Protocol, found: Evaluation, carried: int | None) -> dict[str, float]:
    """All scores of a network: oracle threshold, threshold of the validation split, each map's own threshold."""
    boxes, rows = found.scores.boxes, pd.DataFrame(found.rows)
    metrics = found.scores.metrics() | {
        "images": boxes.images,
        "accuracy": boxes.recognized / boxes.images,
        "label_map_share": float(rows["label_map"].mean()),
        "label_free_box_acc": float((rows["iou_label_free"] >= HALF).mean()),
    }
    if rows["label_map"].all():
        metrics["gt_known_loc"] = metrics["max_box_acc"]
    if carried is not None:
        row = protocol.ious.index(HALF)
        metrics["carried_threshold"] = float(protocol.thresholds[carried])
        metrics["carried_box_acc"] = float(boxes.accuracy("largest")[row, carried])
        metrics["carried_top1_loc"] = float(boxes.accuracy("top1")[row, carried])
    return metrics


def curve(protocol: Protocol, sources: dict[str, Scores]) -> list[dict[str, Any]]:
    """One row a threshold: hits of the largest region, of any at each overlap, Top-1; then those of the baselines."""
    row = protocol.ious.index(HALF)
    columns: dict[str, np.ndarray] = {"threshold": protocol.thresholds}
    for name, scores in sources.items():
        prefix = f"{name}_" if name else ""
        columns[f"{prefix}box_acc"] = scores.boxes.accuracy("largest")[row]
    model = sources[""]
    columns["top1_loc"] = model.boxes.accuracy("top1")[row]
    for place, overlap in enumerate(protocol.ious):
        columns[f"any_{round(100 * overlap)}"] = model.boxes.accuracy("any")[place]
    if model.pixels.counts[1].any():
        precision, recall = model.pixels.curve()
        columns |= {"precision": precision[:-1], "recall": recall[:-1]}
    return pd.DataFrame(columns).to_dict("records")


def pictures(
    protocol: Protocol, truth: TrueBoxes, maps: Maps, images: zips.Images, ids: list[str], threshold: int
) -> np.ndarray:
    """Each image with the heat of its map, true boxes in white and the largest region's in yellow, four a row."""
    cells = []
    for image_id in ids:
        image, (scores, _, _) = images.image(image_id), maps.map(image_id)
        height, width = image.shape[:2]
        found = protocol.regions(scores)
        box = found.largest[found.which[threshold]][None] * np.array([width, height, width, height]) / protocol.size
        shown = figures_pictures.boxes(figures_pictures.blend(image, scores), truth.pixels[image_id], (255, 255, 255))
        cells.append(figures_pictures.boxes(shown, box))
    return figures_pictures.grid([cells[start : start + 4] for start in range(0, len(cells), 4)], size=192)
