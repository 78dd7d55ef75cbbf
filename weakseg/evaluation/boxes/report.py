"""Numbers, tables and curves of a localization evaluation.

GT-known: the map is that of the image's own label, so only the box can be wrong. Top-1: the class is recognized and the
box of its map right. `predicted`: the map of whatever class was predicted, the label unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from weakseg.evaluation.boxes.localization import Evaluation, LocalizationScores
from weakseg.evaluation.boxes.protocol import BoxProtocol
from weakseg.evaluation.boxes.recipe import HALF

SHORT = {  # headline: GT-known MaxBoxAcc, Top-1, and at the threshold of the map itself
    "max_box_acc": "max_box_acc", "top1_loc": "top1_loc", "label_free_box_acc": "auto_box",
}  # fmt: skip


def summarize(protocol: BoxProtocol, evaluation: Evaluation, carried: int | None) -> dict[str, float]:
    """All scores of a network: oracle threshold, threshold of the validation split, each map's own threshold.

    All are GT-known for the share `label_map_share` of images, whose labels' maps there are; 1 where every image has a
    label.
    """
    boxes, rows = evaluation.scores.boxes, pd.DataFrame(evaluation.rows)
    scores = evaluation.scores.metrics() | {
        "images": boxes.images,
        "accuracy": boxes.recognized / boxes.images,
        "label_map_share": float(rows["label_map"].mean()),
        "label_free_box_acc": float((rows["iou_label_free"] >= HALF).mean()),
    }
    if carried is not None:
        scores["carried_threshold"] = float(protocol.thresholds[carried])
        scores["carried_box_acc"] = float(boxes.accuracy("largest")[protocol.half, carried])
        scores["carried_top1_loc"] = float(boxes.accuracy("top1")[protocol.half, carried])
    return scores


def summarize_baselines(sources: Mapping[str, LocalizationScores]) -> dict[str, float]:
    """The scores of each source under its name; Top-1 and Top-5 are left out, since a baseline names no class."""
    return {
        f"{name}_{key}": value
        for name, scores in sources.items()
        for key, value in scores.metrics().items()
        if key not in ("top1_loc", "top5_loc")
    }


def headline(scores: Mapping[str, float]) -> dict[str, float]:
    """The few scores to compare networks by, under their short names."""
    return {short: scores[name] for name, short in SHORT.items() if name in scores}


def tabulate_accuracy(
    evaluation: Evaluation, baselines: Mapping[str, LocalizationScores], carried: int | None
) -> list[dict[str, Any]]:
    """One row a source of maps and an overlap, as `BoxAccuracy.tabulate`; `carried`: of the validation threshold.

    map: label (GT-known), predicted, or a baseline; all but label name no class and have neither Top-1 nor Top-5.
    """
    rows: list[dict[str, Any]] = []
    for name, scores in {"label": evaluation.scores, "predicted": evaluation.predicted, **baselines}.items():
        for place, found in enumerate(scores.boxes.tabulate()):
            row: dict[str, Any] = {"map": name} | found
            if name != "label":
                row |= {"top1": None, "top5": None}
            elif carried is not None:
                row["carried"] = float(scores.boxes.accuracy("largest")[place, carried])
            rows.append(row)
    return rows


def tabulate_curve(
    protocol: BoxProtocol, model: LocalizationScores, baselines: Mapping[str, LocalizationScores]
) -> list[dict[str, Any]]:
    """One row a threshold: hits of the largest region and of any at each overlap, Top-1, the baselines' largest.

    Without a number in its name, a column is of overlap 0.5. Where there are masks also precision and recall of pixels.
    """
    columns: dict[str, np.ndarray] = {"threshold": protocol.thresholds}
    for prefix, scores in {"": model, **{f"{name}_": one for name, one in baselines.items()}}.items():
        columns[f"{prefix}box_acc"] = scores.boxes.accuracy("largest")[protocol.half]
    columns["top1_loc"] = model.boxes.accuracy("top1")[protocol.half]
    for place, overlap in enumerate(protocol.ious):
        columns[f"largest_{round(100 * overlap)}"] = model.boxes.accuracy("largest")[place]
        columns[f"any_{round(100 * overlap)}"] = model.boxes.accuracy("any")[place]
    if model.has_pixels:
        precision, recall = model.pixels.curve()
        columns |= {"precision": precision[:-1], "recall": recall[:-1]}
    return pd.DataFrame(columns).to_dict("records")
