"""Let a linear rule on an earlier layer of the classifier learn its activation maps, in rounds.

reads   classifier, cams, images, labels.csv, superpixels
writes  distilled: logits of the present classes, above 0 for foreground, in the form of cams
scores  rounds, last change, level, agreement of levels, share of foreground
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from weakseg.harness.choices import Choice
from weakseg.harness.params import NetworkParams, Of
from weakseg.harness.stage import Outcome, Shared, run
from weakseg.masks.distillation.recipe import Recipe


class Params(NetworkParams, Recipe):
    part: ClassVar[str] = "distill"
    seed: int
    refiner: Annotated[Choice, Of("refiners", "refine", ("threshold", "decide_all"))]  # of masks between rounds


def main(
    params: Params, *, classifier: Path, cams: Path, images: Path, labels: Path, superpixels: Path, out: Path
) -> Outcome:
    from weakseg.artifacts import activations
    from weakseg.artifacts.formats import zips
    from weakseg.artifacts.formats.labels import load_labels
    from weakseg.harness import device, digests, resume
    from weakseg.masks.distillation.distill import distill, read_features
    from weakseg.masks.distillation.task import Task
    from weakseg.masks.sources import Sources
    from weakseg.networks import levels
    from weakseg.networks.loading import saved_classifier

    network, header = saved_classifier.load(classifier)
    levels.require_finite(network)
    network.to(device.pick())
    wanted = [levels.count_blocks(network, level) for level in params.levels]
    frame = load_labels(labels)
    task = Task(
        sources=Sources(zips.Images(images), zips.Segments(superpixels), activations.Cams(cams)),
        recipe=params,
        ids=list(frame.index),
        trained=[place for place, split in enumerate(frame["split"]) if split == "train"],
        classes=len(header.classes),
        seed=params.seed,
    )
    settings = [params.image_size, params.batch_size, params.precision, wanted, task.grid(), digests.machine()]
    with resume.folder(__file__, settings, [classifier], keep=True) as folder:
        features = read_features(task, network, wanted, folder)
        scores, rounds = distill(task, features, params.refiner, out)
        features.remove()
    return Outcome(scores=scores, curves=rounds)


if __name__ == "__main__":
    run(main, shared=Shared(["out"]))
