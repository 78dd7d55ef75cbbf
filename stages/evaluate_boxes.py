"""Score the boxes and pixels that a network's activation maps find, beside baselines that learned nothing.

reads   images, labels, true boxes and masks, cams, predictions, the classifier (for random weights in its shape)
writes  overlaps of each image, pictures of boxes
scores  MaxBoxAcc, V2, PxAP, Top-1 localization; the same with the threshold of the validation split and without one
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from weakseg.artifacts import activations, tables, zips
from weakseg.evaluation.boxes import baselines, localization, report
from weakseg.harness import files
from weakseg.harness.params import StageParams
from weakseg.harness.progress import track
from weakseg.harness.stage import run


class Params(StageParams):
    """Section evaluate_boxes."""

    seed: int
    source: Literal["cams", "distilled"]  # whose maps; read by dvc.yaml in the path; distilled ones are logits
    convention: Literal["reference", "exact"]  # of boxes: the published evaluator's, or half-open without rounding
    size: int  # pixels, side of the evaluation grid
    step: float  # of the thresholds between 0 and 1
    ious: list[float]  # overlaps that count as a hit
    tails: float  # quantile a map of source cams is clipped at, on both ends, before its own Otsu threshold
    batch_size: int  # images a forward pass of the random network
    pictures: int  # images shown with their boxes


def main(
    params: Params, *, images: Path, labels: Path, boxes: Path, masks: Path, cams: Path, predictions: Path,
    classifier: Path, overlaps: Path, pictures: Path,
) -> tuple[dict[str, float], list[dict]]:  # fmt: skip
    protocol = localization.Protocol.build(params.size, params.step, params.ious, params.convention)
    frame, archive = tables.load_labels(labels), zips.Images(images)
    truth = localization.TrueBoxes(frame, boxes, masks, protocol)
    maps = localization.Maps(
        activations.Cams(cams), frame, tables.class_names(frame), protocol, params.source, params.tails
    )
    right = localization.recognized(predictions, frame)
    fitted, ids = truth.ids(frame, "val"), truth.ids(frame, "test")
    truth.require_boxes(ids)
    validation = localization.evaluate(protocol, truth, maps, track(fitted, "validation"), right, None)
    carried = validation.scores.boxes.optimum() if validation.scores.boxes.images else None
    found = localization.evaluate(protocol, truth, maps, track(ids, "boxes"), right, carried)
    metrics = report.summary(protocol, found, carried)
    sources = baselines.baselines(protocol, truth, ids)
    untrained = baselines.random_maps(classifier, archive, frame, ids, params.batch_size, params.seed)
    sources["random"] = baselines.of_maps(protocol, truth, track(untrained, "random weights", len(ids)))
    for name, scores in sources.items():
        metrics |= {f"{name}_{key}": value for key, value in scores.metrics().items() if key != "top1_loc"}
    threshold = found.scores.boxes.optimum()
    files.save_csv(overlaps, found.rows)
    shown = [row["image_id"] for row in found.rows[:: max(len(found.rows) // params.pictures, 1)]][: params.pictures]
    zips.save_png(pictures, report.pictures(protocol, truth, maps, archive, shown, threshold))
    return metrics, report.curve(protocol, {"": found.scores} | sources)


if __name__ == "__main__":
    run(main)
