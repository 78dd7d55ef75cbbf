"""Numbers, curves and pictures of a localization evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from weakseg.artifacts import zips
from weakseg.evaluation.boxes.localization import Evaluation, Localization, LocalizationScores
from weakseg.evaluation.boxes.protocol import BoxProtocol
from weakseg.evaluation.boxes.recipe import HALF
from weakseg.figures import sheets
from weakseg.figures.heat import blend
from weakseg.figures.pictures import draw_boxes

WHITE = (255, 255, 255)
SHORT = {"max_box_acc": "box_acc", "top1_loc": "top1_loc", "label_free_box_acc": "auto_box"}  # fmt: skip


def summarize(protocol: BoxProtocol, evaluation: Evaluation, carried: int | None) -> dict[str, float]:
    """All scores of a network: oracle threshold, threshold of the validation split, each map's own threshold."""
    boxes, rows = evaluation.scores.boxes, pd.DataFrame(evaluation.rows)
    scores = evaluation.scores.metrics() | {
        "images": boxes.images,
        "accuracy": boxes.recognized / boxes.images,
        "label_map_share": float(rows["label_map"].mean()),
        "label_free_box_acc": float((rows["iou_label_free"] >= HALF).mean()),
    }
    if rows["label_map"].all():
        scores["gt_known_loc"] = scores["max_box_acc"]
    if carried is not None:
        scores["carried_threshold"] = float(protocol.thresholds[carried])
        scores["carried_box_acc"] = float(boxes.accuracy("largest")[protocol.half, carried])
        scores["carried_top1_loc"] = float(boxes.accuracy("top1")[protocol.half, carried])
    return scores


def summarize_baselines(sources: Mapping[str, LocalizationScores]) -> dict[str, float]:
    """The scores of each baseline under its name; Top-1 is left out, since a baseline names no class."""
    return {
        f"{name}_{key}": value
        for name, scores in sources.items()
        for key, value in scores.metrics().items()
        if key != "top1_loc"
    }


def headline(scores: Mapping[str, float]) -> dict[str, float]:
    """The few scores to compare networks by, under their short names."""
    return {short: scores[name] for name, short in SHORT.items() if name in scores}


def tabulate_curve(
    protocol: BoxProtocol, model: LocalizationScores, baselines: Mapping[str, LocalizationScores]
) -> list[dict[str, Any]]:
    """One row a threshold: hits of the largest region, of any at each overlap, Top-1, and the baselines' largest.

    Where there are masks also precision and recall of pixels.
    """
    columns: dict[str, np.ndarray] = {"threshold": protocol.thresholds}
    for prefix, scores in {"": model, **{f"{name}_": one for name, one in baselines.items()}}.items():
        columns[f"{prefix}box_acc"] = scores.boxes.accuracy("largest")[protocol.half]
    columns["top1_loc"] = model.boxes.accuracy("top1")[protocol.half]
    for place, overlap in enumerate(protocol.ious):
        columns[f"any_{round(100 * overlap)}"] = model.boxes.accuracy("any")[place]
    if model.has_pixels:
        precision, recall = model.pixels.curve()
        columns |= {"precision": precision[:-1], "recall": recall[:-1]}
    return pd.DataFrame(columns).to_dict("records")


def draw_maps(localization: Localization, images: zips.Images, ids: Sequence[str], threshold: int) -> np.ndarray:
    """Each image with the heat of its map, true boxes in white and the largest region's in yellow, four a row."""
    cells = []
    for image_id in ids:
        image, scores = images.image(image_id), localization.maps.read(image_id).scores
        height, width = image.shape[:2]
        regions = localization.protocol.find_regions(scores)
        box = regions.largest[regions.which[threshold]][None] * np.array([width, height, width, height])  # (1, 4)
        true = draw_boxes(blend(image, scores), localization.truth.pixels[image_id], WHITE)
        cells.append(draw_boxes(true, box / localization.protocol.size))
    return sheets.lay_out([cells[start : start + 4] for start in range(0, len(cells), 4)], size=192)
