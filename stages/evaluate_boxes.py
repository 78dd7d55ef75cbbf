"""Score the boxes and pixels that a network's activation maps find, beside baselines that learned nothing.

reads   images, labels, true boxes and masks, cams, predictions, the classifier (for random weights in its shape)
writes  overlaps of each image, pictures of boxes
scores  MaxBoxAcc, V2, PxAP, Top-1 localization; the same with the threshold of the validation split and without one
"""

from __future__ import annotations

from pathlib import Path

from weakseg.evaluation.boxes.recipe import BoxRecipe
from weakseg.harness.params import StageParams
from weakseg.harness.stage import Outcome, run


class Params(StageParams, BoxRecipe):
    seed: int  # of the random weights
    batch_size: int  # images a forward pass of the random network
    pictures: int  # images shown with their boxes


def main(
    params: Params, *, images: Path, labels: Path, boxes: Path, masks: Path, cams: Path, predictions: Path,
    classifier: Path, overlaps: Path, pictures: Path,
) -> Outcome:  # fmt: skip
    from weakseg.artifacts import zips
    from weakseg.artifacts.activations import Cams
    from weakseg.artifacts.labels import load_labels
    from weakseg.artifacts.sampling import evenly
    from weakseg.evaluation.boxes import baselines, report
    from weakseg.evaluation.boxes.localization import Localization, compare_labels
    from weakseg.evaluation.boxes.object_maps import ObjectMaps
    from weakseg.evaluation.boxes.protocol import BoxProtocol, TrueBoxes
    from weakseg.harness import files

    protocol, frame, archive = BoxProtocol.build(params), load_labels(labels), zips.Images(images)
    truth, maps = TrueBoxes(frame, boxes, masks, protocol), ObjectMaps(Cams(cams), frame, params)
    localization = Localization(protocol, truth, maps, compare_labels(predictions, frame))
    ids = truth.list_images(frame, "test")
    truth.require_boxes(ids)
    carried = localization.choose_threshold(truth.list_images(frame, "val"))
    found = localization.evaluate(ids, carried)
    sources = baselines.score_constant(protocol, truth, ids)
    untrained = baselines.stream_random_maps(classifier, archive, frame.loc[ids], params.batch_size, params.seed)
    sources["random"] = baselines.score_maps(protocol, truth, untrained)
    files.save_csv(overlaps, found.rows)
    shown = evenly([row["image_id"] for row in found.rows], params.pictures)
    zips.save_png(pictures, report.draw_maps(localization, archive, shown, found.scores.boxes.optimum()))
    scores = report.summarize(protocol, found, carried) | report.summarize_baselines(sources)
    return Outcome(report.headline(scores), scores, report.tabulate_curve(protocol, found.scores, sources))


if __name__ == "__main__":
    run(main)
