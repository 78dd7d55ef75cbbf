"""Score a classifier's predictions, and how faithful its activation maps are to it; needs no masks.

reads   labels, images, a table of predictions, the classifier, its cams
writes  a confusion table (one row an image), a picture of activation maps
scores  accuracy and mean average precision of each split; faithfulness of the maps on a sample of images
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from weakseg.artifacts import activations, tables, zips
from weakseg.evaluation.classifier import predictions as classifier_predictions
from weakseg.harness import files
from weakseg.harness.params import StageParams
from weakseg.harness.stage import run
from weakseg.networks.loading import saved_classifier


class Params(StageParams):
    """Section evaluate_classifier."""

    seed: int
    target: Literal["single", "multi"]  # probability of a class is a softmax or a sigmoid
    top: int  # classes, of the top-k accuracy
    pictures: int  # images whose maps are shown
    images: int  # images whose maps are tested for faithfulness; evenly spaced over the test split
    batch_size: int  # images a forward pass
    steps: int  # parts of the insertion and deletion curves
    blur: float  # pixels, sigma of the blurred image that insertion starts from
    fractions: list[float]  # shares of pixels that ROAD removes, in (0, 1)


def main(
    params: Params, *, labels: Path, images: Path, predictions: Path, classifier: Path, cams: Path, confusion: Path,
    pictures: Path,
) -> dict[str, float]:  # fmt: skip
    frame, archives = tables.load_labels(labels), (zips.Images(images), activations.Cams(cams))
    network, header = saved_classifier.load(classifier)
    table = classifier_predictions.load_predictions(predictions, frame, header.classes)
    metrics: dict[str, float] = {f"{split}_images": int((table["split"] == split).sum()) for split in tables.SPLITS}
    for split in tables.SPLITS:
        found = classifier_predictions.scores(table[table["split"] == split], header.classes, params.top)
        metrics |= {f"{split}_{name}": value for name, value in found.items()}
    shown = classifier_predictions.shown_split(table)
    files.save_csv(confusion, classifier_predictions.confusion_rows(shown))
    sample = shown.loc[classifier_predictions.evenly(list(shown.index), params.pictures)]
    zips.save_png(pictures, classifier_predictions.pictures(*archives, sample, header.classes))
    options = {"steps": params.steps, "blur": params.blur, "fractions": params.fractions, "target": params.target}
    sample = shown.loc[classifier_predictions.evenly(list(shown.index), params.images)]
    found = classifier_predictions.explain(
        network, *archives, sample, header.classes,
        size=header.image_size, batch_size=params.batch_size, seed=params.seed, options=options,
    )  # fmt: skip
    return metrics | {f"faithfulness_{name}": value for name, value in found.items()}


if __name__ == "__main__":
    run(main)
