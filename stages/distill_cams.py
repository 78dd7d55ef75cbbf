"""Let a linear rule on an earlier layer of the classifier learn its activation maps, in rounds.

reads   classifier, cams.zip, images.zip, labels.csv, superpixels.zip
writes  distilled.zip: logits of the present classes, above 0 for foreground, in the form of cams.zip
scores  rounds, last change, level, agreement of levels, share of foreground
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from weakseg.artifacts import activations, tables, zips
from weakseg.data import samples
from weakseg.harness import resume
from weakseg.harness.params import StageParams
from weakseg.harness.stage import run
from weakseg.masks.distillation import feature_grids
from weakseg.masks.distillation.rounds import Task, distilled
from weakseg.networks import levels
from weakseg.networks.loading import saved_classifier


class Levels(BaseModel):
    """Options of the backbone: 0 is its last level, -n is n blocks before it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    levels: list[int]  # one: the level of the rule; several: the one that agrees best with the others


class Params(StageParams):
    """Section distill_cams."""

    choices: ClassVar = {"refiner": ("refiners", "refine"), "backbone": ("backbones", "build")}
    supplied: ClassVar = ("threshold", "decide_all")
    seed: int
    image_size: int  # pixels, images are warped to a square
    batch_size: int
    precision: Literal["fp32", "bf16"]
    rules: Literal["foreground", "classes"]  # one rule for all classes, or one a class
    seeds: Literal["product", "cam", "norm", "norm_squared"]  # what the first labels are made from
    seed_band: float  # cells this near Otsu's threshold of their min-max map are left out at first
    cells: int  # random cells an image
    most_cells: int  # over all images; bounds the memory
    rounds: int  # plain rounds at most
    covariance_ridge: float  # added to the covariance of standardized features
    tails: float  # quantile at which scores are clipped before Otsu's threshold
    band: float  # standard deviations; cells this near the threshold are left out of the next round
    least_change: float  # settled when 1 - IoU with the round before is smaller
    smallest: float  # share of foreground cells under which the rounds have diverged
    largest: float  # share of foreground cells above which the rounds have diverged
    refiner: str  # refines masks between rounds
    refined_rounds: int  # rounds after the plain ones that are fitted on refined masks; 0: none
    refine_images: int  # training images refined in each of them
    hold: bool  # keep the share of foreground that the plain rounds ended with


FIT = {"rounds", "covariance_ridge", "tails", "band", "least_change", "smallest", "largest"}
REFINEMENT = {"refined_rounds", "refine_images", "hold"}
SAMPLING = {"seeds", "seed_band", "cells", "most_cells", "seed"}


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
    wanted = [levels.counted(network, level) for level in params.section(backbone, Levels).levels]
    frame, archives = (
        tables.load_labels(labels),
        (activations.Cams(cams), zips.Images(images), zips.Segments(superpixels)),
    )
    rules = 1 if params.rules == "foreground" else len(header.classes)
    trained = list(np.flatnonzero(frame["split"] == "train"))
    facts = params.model_dump(include=SAMPLING) | {"fit": params.model_dump(include=FIT)}
    task = Task(*archives, list(frame.index), trained, rules, params.rules == "foreground", **facts)
    dataset = samples.ImageSamples(archives[1], task.ids, params.image_size, (network.mean, network.std))
    settings = [params.image_size, params.precision, wanted]
    with resume.folder("distill_cams", settings, [classifier, images, labels]) as folder:
        stacks = feature_grids.Grids(folder, wanted)
        if not stacks.whole():
            how = {"batch_size": params.batch_size, "precision": params.precision}
            stacks.write(network, dataset, **how, grid=task.grid() if len(wanted) > 1 else None)
        refinement = params.model_dump(include=REFINEMENT)
        return distilled(task, stacks, params.choice("refiner"), **refinement, out=out)


if __name__ == "__main__":
    run(main)
