"""Score a classifier's predictions, and how faithful its activation maps are to it; needs no masks.

reads   labels, images, a table of predictions, the classifier, its cams
writes  a confusion table (one row an image), a picture of activation maps
scores  accuracy and mean average precision of each split; faithfulness of the maps on a sample of images
"""

from __future__ import annotations

from pathlib import Path

from weakseg.evaluation.classifier.recipe import FaithfulnessRecipe
from weakseg.harness.params import StageParams
from weakseg.harness.stage import Outcome, run


class Params(StageParams, FaithfulnessRecipe):
    top: int  # classes, of the top-k accuracy
    pictures: int  # images whose maps are shown
    faithfulness_images: int  # whose maps are tested, evenly spaced over the test split


def main(
    params: Params, *, labels: Path, images: Path, predictions: Path, classifier: Path, cams: Path, confusion: Path,
    pictures: Path,
) -> Outcome:  # fmt: skip
    from weakseg.artifacts import activations
    from weakseg.artifacts.formats import zips
    from weakseg.artifacts.formats.labels import load_labels
    from weakseg.artifacts.sampling import evenly
    from weakseg.evaluation.classifier import predictions as report
    from weakseg.evaluation.classifier.top_maps import Explained, TopMaps, explain
    from weakseg.harness import files
    from weakseg.networks.loading import saved_classifier

    frame, archives = load_labels(labels), (zips.Images(images), activations.Cams(cams))
    network, header = saved_classifier.load(classifier)
    table = report.load_predictions(predictions, frame, header.classes)
    rows = report.pick_split(table)
    files.save_csv(confusion, report.confusion_rows(rows))
    most = params.pictures, params.faithfulness_images
    shown, tested = (rows.loc[evenly(list(rows.index), count)] for count in most)
    zips.save_png(pictures, TopMaps(*archives, shown, header.classes).draw())
    tested_maps = TopMaps(*archives, tested, header.classes)
    faithfulness = explain(Explained(network, header.image_size), tested_maps, params)
    scores = report.score_splits(table, header.classes, params.top) | faithfulness
    return Outcome(report.headline(scores), scores)


if __name__ == "__main__":
    run(main)
