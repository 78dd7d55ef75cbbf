"""Compute the class activation maps of every image, for its labels or, on test images, for the predicted classes.

reads   classifier, images, labels.csv
writes  cams: scores of the present classes, feature norm and projected features, least processed; known_cams:
        the same for the labels of the test images whose prediction missed one, which only evaluate_boxes reads
scores  images, images_labeled, images_predicted, maps an image
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from weakseg.cams.recipe import Recipe
from weakseg.harness.choices import Choice
from weakseg.harness.params import NetworkParams, Of
from weakseg.harness.stage import Outcome, Shared, run


class Params(NetworkParams, Recipe):
    part: ClassVar[str] = "cams"
    background_classes: list[str]  # labels that get no map
    method: Annotated[Choice, Of("methods", "maps")]


def main(params: Params, *, classifier: Path, images: Path, labels: Path, out: Path, known: Path) -> Outcome:
    import torch

    from weakseg.artifacts import activations
    from weakseg.artifacts.formats import zips
    from weakseg.artifacts.formats.labels import check_background, load_labels
    from weakseg.cams import archive
    from weakseg.cams.extraction import Extractor, needed_levels
    from weakseg.harness import device, digests, resume
    from weakseg.networks import levels
    from weakseg.networks.frozen import once
    from weakseg.networks.loading import saved_classifier

    network, header = saved_classifier.load(classifier)
    levels.require_finite(network)
    network.to(device.pick()).to(memory_format=torch.channels_last)
    background = check_background(params.background_classes, header.classes)
    source = archive.Source(zips.Images(images), load_labels(labels), header.classes, params, background)
    stored = once.find(network, source.reader(), needed_levels(network, params))
    projection = archive.fit_projection(network, source, stored)
    extractor = Extractor(network, params.method, params, projection, source.background_indices(), stored)
    with resume.kept(__file__, [params.model_dump(), extractor.digest(), digests.machine()], [classifier]) as items:
        scores = archive.write(extractor, source, items, out)
        archive.write(extractor, source.reveal(activations.Cams(out)), items, known, last=True)
    return Outcome(scores=scores)


if __name__ == "__main__":
    run(main, shared=Shared(["out", "known"]))
