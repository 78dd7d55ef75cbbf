"""Score the boxes and pixels that a network's activation maps find, beside baselines that learned nothing.

reads   images, labels, true boxes and masks, cams, cams of missed labels (so that the class can be given), predictions,
        the classifier (for random weights in its shape)
writes  overlaps of each image, accuracy at each IoU, pictures of boxes and of accuracy over the threshold
scores  GT-known MaxBoxAcc, V2, PxAP; Top-1 and Top-5 localization; the same with the threshold of the validation split
        and without one; maps of the predicted class
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
    params: Params, *, images: Path, labels: Path, boxes: Path, masks: Path, cams: Path, known: Path,
    predictions: Path, classifier: Path, overlaps: Path, accuracy: Path, pictures: Path, thresholds: Path,
) -> Outcome:  # fmt: skip
    from weakseg.artifacts.activations import Cams
    from weakseg.artifacts.formats import zips
    from weakseg.artifacts.formats.labels import load_labels
    from weakseg.artifacts.sampling import evenly
    from weakseg.evaluation.boxes import baselines, report
    from weakseg.evaluation.boxes.localization import Localization, compare_labels
    from weakseg.evaluation.boxes.object_maps import ObjectMaps
    from weakseg.evaluation.boxes.pictures import draw_maps, draw_thresholds
    from weakseg.evaluation.boxes.protocol import BoxProtocol, TrueBoxes
    from weakseg.harness import files

    protocol, frame, archive = BoxProtocol.build(params), load_labels(labels), zips.Images(images)
    truth, maps = TrueBoxes(frame, boxes, masks, protocol), ObjectMaps(Cams(cams), Cams(known), frame, params)
    localization = Localization(protocol, truth, maps, compare_labels(predictions, frame))
    ids = truth.list_images(frame, "test")
    truth.require_boxes(ids)
    carried = localization.choose_threshold(truth.list_images(frame, "val"))
    found = localization.evaluate(ids, carried)
    untrained = baselines.stream_random_maps(classifier, archive, frame.loc[ids], params.batch_size, params.seed)
    sources = baselines.score_all(protocol, truth, ids, untrained)
    others = {"predicted": found.predicted, **sources}
    shown = evenly([row["image_id"] for row in found.rows], params.pictures)
    zips.save_png(pictures, draw_maps(localization, archive, shown, found.scores.boxes.optimum()))
    files.save_bytes(thresholds, draw_thresholds(found.scores, others))
    files.save_csv(overlaps, found.rows)
    files.save_csv(accuracy, report.tabulate_accuracy(found, sources, carried))
    scores = report.summarize(protocol, found, carried) | report.summarize_baselines(others)
    return Outcome(report.headline(scores), scores, report.tabulate_curve(protocol, found.scores, sources))


if __name__ == "__main__":
    run(main)
