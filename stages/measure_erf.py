"""Measure the effective receptive field of a classifier, trained and with random weights.

reads   classifier, images, labels
writes  averaged fields (npz), the saliency area of each image, a picture
scores  area ratios and shape of the central unit's field, area of class saliency, parameters, operations
"""

from __future__ import annotations

from pathlib import Path

from weakseg.artifacts import tables, zips
from weakseg.evaluation.receptive_field import measure
from weakseg.harness import files
from weakseg.harness.params import StageParams
from weakseg.harness.stage import run
from weakseg.networks.loading import saved_classifier


class Params(StageParams):
    """Section measure_erf."""

    seed: int
    central_size: int  # pixels, images are warped to a square; any size
    central_images: int  # images the central unit's field is averaged over
    saliency_size: int  # pixels
    saliency_images: int
    saliency_share: float  # of the gradient's sum, in (0, 1)
    batch_size: int


def main(
    params: Params, *, classifier: Path, images: Path, labels: Path, out: Path, areas: Path, picture: Path
) -> dict[str, float]:
    frame, archive = tables.load_labels(labels), zips.Images(images)
    network, header = saved_classifier.load(classifier)
    ids = list(frame.index[frame["split"] == "test"]) or list(frame.index)
    recipe = measure.Recipe(**params.model_dump(exclude={"seed"}))
    trained = measure.measure(network, archive, ids, recipe, "trained")
    random = measure.measure(saved_classifier.build(header, params.seed), archive, ids, recipe, "random")
    files.save_bytes(out, measure.archive(trained=trained, random=random))
    files.save_csv(areas, measure.rows(trained))
    zips.save_png(picture, measure.picture(trained=trained, random=random))
    untrained = {f"random_{name}": value for name, value in measure.numbers(random).items() if name != "images"}
    return measure.numbers(trained) | untrained | measure.cost(network, header.image_size)


if __name__ == "__main__":
    run(main)
