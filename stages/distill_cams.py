"""Let a linear rule on an earlier layer of the classifier learn its activation maps, in rounds.

reads   classifier, cams.zip, images.zip, labels.csv, superpixels.zip
writes  distilled.zip: logits of the present classes, above 0 for foreground, in the form of cams.zip
scores  rounds, last change, level, agreement of levels, share of foreground
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from weakseg.artifacts import activations, tables, zips
from weakseg.harness import resume
from weakseg.harness.params import StageParams
from weakseg.harness.stage import run
from weakseg.masks.distillation.distill import distill, read_features
from weakseg.masks.distillation.task import Recipe, Task
from weakseg.masks.sources import Sources
from weakseg.networks import levels
from weakseg.networks.loading import saved_classifier


class Levels(BaseModel):
    """Options of the backbone: 0 is its last level, -n is n blocks before it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    levels: list[int]  # one: the level of the rule; several: the one that agrees best with the others


class Params(StageParams, Recipe):
    """Section distill_cams."""

    choices: ClassVar[dict[str, tuple[str, str]]] = {
        "refiner": ("refiners", "refine"),
        "backbone": ("backbones", "build"),
    }
    supplied: ClassVar[tuple[str, ...]] = ("threshold", "decide_all")

    seed: int
    refiner: str  # refines masks between rounds


def main(
    params: Params,
    *,
    backbone: str,
    classifier: Path,
    cams: Path,
    images: Path,
    labels: Path,
    superpixels: Path,
    out: Path,
) -> tuple[dict[str, float], list[dict[str, float]]]:
    network, header = saved_classifier.load(classifier)
    levels.require_finite(network)
    wanted = [levels.count_blocks(network, level) for level in params.section(backbone, Levels).levels]
    refine, options = params.choice("refiner")
    frame = tables.load_labels(labels)
    task = Task(
        sources=Sources(zips.Images(images), zips.Segments(superpixels), activations.Cams(cams)),
        recipe=params,
        ids=list(frame.index),
        trained=list(np.flatnonzero(frame["split"] == "train")),
        classes=len(header.classes),
        seed=params.seed,
    )
    settings = [params.image_size, params.precision, wanted]
    with resume.folder("distill_cams", settings, [classifier, images, labels]) as folder:
        stacks = read_features(task, network, wanted, folder)
        return distill(task, stacks, partial(refine, **options), out)


if __name__ == "__main__":
    run(main)
