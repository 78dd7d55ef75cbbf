"""Measure the effective receptive field of a classifier, trained and with random weights.

reads   classifier, images, labels
writes  averaged fields (npz), the saliency area of each image, a picture of the fields, a histogram of the areas
scores  area ratios and shape of the central unit's field, area of class saliency (mean, quantiles, largest),
        parameters, operations
"""

from __future__ import annotations

from pathlib import Path

from weakseg.evaluation.receptive_field.recipe import ErfRecipe
from weakseg.harness.params import StageParams
from weakseg.harness.stage import Outcome, run


class Params(StageParams, ErfRecipe):
    seed: int  # of the random weights


def main(
    params: Params, *, classifier: Path, images: Path, labels: Path, out: Path, areas: Path, picture: Path, sizes: Path
) -> Outcome:
    from weakseg.artifacts.formats import zips
    from weakseg.artifacts.formats.labels import load_labels
    from weakseg.evaluation.receptive_field import measure, summary
    from weakseg.evaluation.receptive_field.pictures import draw_networks, draw_sizes
    from weakseg.harness import files
    from weakseg.networks.loading import saved_classifier

    frame, archive = load_labels(labels), zips.Images(images)
    network, header = saved_classifier.load(classifier)
    ids = list(frame.index[frame["split"] == "test"]) or list(frame.index)
    trained = measure.measure(network, archive, ids, params, "trained")
    random = measure.measure(saved_classifier.build(header, params.seed), archive, ids, params, "random")
    files.save_bytes(out, measure.pack(trained=trained, random=random))
    files.save_csv(areas, summary.list_areas(trained))
    zips.save_png(picture, draw_networks(trained=trained, random=random))
    files.save_bytes(sizes, draw_sizes(trained=trained, random=random))
    scores = summary.compare_random(trained, random) | measure.count_cost(network, header.image_size)
    return Outcome(summary.headline(scores), scores)


if __name__ == "__main__":
    run(main)
