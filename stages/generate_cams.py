"""Compute the class activation maps of every image, for its labels or, on test images, for the predicted classes.

reads   classifier, images.zip, labels.csv
writes  cams.zip: scores of the present classes, feature norm and projected features, least processed
scores  images, images_labeled, images_predicted, maps an image
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict

from weakseg.artifacts import tables, zips
from weakseg.cams import arithmetic, extraction
from weakseg.cams.archive import Source, fit_projection, write
from weakseg.cams.extraction import Extractor, Recipe
from weakseg.harness import device, resume
from weakseg.harness.params import StageParams
from weakseg.harness.stage import run
from weakseg.networks import levels
from weakseg.networks.loading import saved_classifier


class Levels(BaseModel):
    """Options of the backbone this stage was called for: 0 is its last level, -n is n blocks before it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    levels: list[int]  # layers the maps are computed at; several are fused
    norm_level: int  # layer of the class-agnostic feature norm
    feature_level: int  # layer of the stored features


class Params(StageParams):
    """Section generate_cams."""

    choices: ClassVar = {"method": ("methods", "maps"), "backbone": ("backbones", "build")}
    source: Literal["classifier", "crm"]  # whose weights; read by dvc.yaml in the path
    method: str
    fusion: arithmetic.Fusion  # of several layers
    image_size: int  # pixels, images are warped to a square
    batch_size: int
    scales: list[float]  # of image_size; the first decides the grid and the prediction
    flip: bool  # average over the mirror image too
    relu: bool  # negative scores count as zero in each scale and mirror image
    predicted: extraction.Rule  # classes of an image without label
    predicted_count: int  # classes, for topk
    predicted_score: float  # probability in [0, 1], for above
    target: Literal["single", "multi"]  # probability is a softmax or a sigmoid
    feature_channels: int  # principal axes stored of the feature level; as many as it has: stored as they are
    projection_images: int  # training images the axes are fitted on
    precision: Literal["fp32", "bf16"]


def main(params: Params, *, backbone: str, classifier: Path, images: Path, labels: Path, out: Path) -> dict[str, float]:
    places = params.section(backbone, Levels)
    method, options = params.choice("method")
    network, header = saved_classifier.load(classifier)
    levels.require_finite(network)
    frame, archive = tables.load_labels(labels), zips.Images(images)
    recipe = Recipe(
        partial(method, **options), places.levels, params.fusion, places.norm_level, places.feature_level,
        params.scales, params.flip, params.relu, params.precision,
    )  # fmt: skip
    rule = partial(
        extraction.predict_classes, rule=params.predicted, count=params.predicted_count, score=params.predicted_score,
        target=params.target,
    )  # fmt: skip
    network.to(device.pick()).to(memory_format=torch.channels_last)
    source = Source(archive, frame, header.classes, params.image_size, params.batch_size)
    axes = fit_projection(network, source, recipe, params.feature_channels, params.projection_images)
    settings = [params.model_dump(), backbone, places.model_dump(), options]
    with resume.folder("generate_cams", settings, [classifier, images, labels]) as folder:
        return write(Extractor(network, recipe, rule, axes), source, folder, out)


if __name__ == "__main__":
    run(main)
